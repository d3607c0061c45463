"""Which message each peer may send in which phase, and what takes it: one closed table.

In the manner of OpenSSH's monitor: what is not in the table is a protocol error, and a protocol
error from the weak side ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobworkerd.channel import messages
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import Received

from .peers import Peer, Phase

if TYPE_CHECKING:
    from .main import Runner

_Take = Callable[["Runner", Any], None]

TABLE: dict[tuple[str, Phase], dict[type[messages.Message], _Take]] = {
    ("api", Phase.GREETING): {
        messages.Hello: lambda runner, m: runner.greet(runner.api, m),
    },
    ("api", Phase.READY): {
        messages.Serving: lambda runner, m: runner.serving(m),
        messages.CannotServe: lambda runner, m: runner.cannot_serve(m),
        messages.Start: lambda runner, m: runner.jobs.start(m),
        messages.Stop: lambda runner, m: runner.jobs.stop(m),
        messages.Acknowledge: lambda runner, m: runner.jobs.acknowledge(m),
        messages.Prepared: lambda runner, m: runner.reload.prepared(m),
    },
    ("recorder", Phase.GREETING): {
        messages.Hello: lambda runner, m: runner.greet(runner.recorder, m),
    },
    ("recorder", Phase.READY): {
        messages.Opened: lambda runner, m: runner.jobs.opened(m),
        messages.OpenFailed: lambda runner, m: runner.jobs.open_failed(m),
        messages.OutputClosed: lambda runner, m: runner.jobs.output_closed(m),
        messages.OutputHeld: lambda runner, m: runner.jobs.output_held(m),
        messages.OutputPaused: lambda runner, m: runner.jobs.output_paused(m),
        messages.OutputLimit: lambda runner, m: runner.jobs.output_limit(m),
    },
}


def take(runner: Runner, peer: Peer, received: Received) -> None:
    """Hands a message on. ProtocolError where it may not come now; no peer may send descriptors."""
    received.close_fds()
    name = type(received.message).__name__
    if received.fds:
        raise ProtocolError(f"{name} with file descriptors")
    handler = TABLE.get((peer.role, peer.phase), {}).get(type(received.message))
    if handler is None:
        raise ProtocolError(f"{name} is not permitted in phase {peer.phase.name}")
    handler(runner, received.message)
