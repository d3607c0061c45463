"""A hostile API on the channel: the runner grants nothing beyond root's config, and ends it for nonsense."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
from conftest import Worker

from jobworkerd.channel.messages import Start
from jobworkerd.config import Config, Grant, Jobs
from jobworkerd.runner import ceiling

_ALICE = Grant("jobworker://ops/alice", "operator", run_as=("deploy",), commands=("/usr/bin/rsync -a *",))


def _start(**changes: object) -> Start:
    given: dict[str, object] = {
        "job_id": str(uuid.uuid4()), "start_stamp": "20261124T024300Z", "caller": "jobworker://local/root",
        "rule": "made up:1", "user": "deploy", "uid": 1000, "executable": "/usr/bin/rsync",
        "argv": ("rsync", "-a", "/srv", "/backup"), "env": (), "dir": "",
        "merge_output": False, "max_output": 0, "has_input": False,
    }  # fmt: skip
    return Start(**(given | changes))  # type: ignore[arg-type]


def test_what_a_grant_allows_passes() -> None:
    """Whoever the API says it is for."""
    assert ceiling.refusal(Config(grants=(_ALICE,)), _start(), ("jobworker", "jobworker-log")) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"user": "root", "uid": 0}, "no grant allows anybody to run /usr/bin/rsync as root"),
        ({"user": "jobworker", "uid": 997}, "no grant allows anybody to run /usr/bin/rsync as jobworker"),
        (
            {"executable": "/bin/sh", "argv": ("sh", "-a", "x")},
            "no grant allows anybody to run /bin/sh as deploy",
        ),
        ({"argv": ("rsync", "-e", "sh")}, "no grant allows anybody to run /usr/bin/rsync as deploy"),
        ({"argv": ("sh", "-a", "x")}, "'sh' is not the name of /usr/bin/rsync"),
        ({"executable": "rsync"}, "the command is not an absolute path"),
        ({"env": ("LD_PRELOAD=/tmp/x",)}, "environment variable LD_PRELOAD: refused by name"),
        ({"env": ("JOBWORKER_JOB_ID=x",)}, "environment variable JOBWORKER_JOB_ID: refused by name"),
        ({"env": ("NOEQUALS",)}, "environment variable NOEQUALS: not of the form K=V"),
        ({"argv": ("rsync", "-a", "x" * 131072)}, "argv and environment are too large"),
    ],
)
def test_what_no_grant_allows_is_refused(changes: dict[str, object], why: str) -> None:
    """By the runner, whatever the API claims."""
    config = Config(grants=(_ALICE,))
    assert ceiling.refusal(config, _start(**changes), ("jobworker", "jobworker-log")) == why


def test_one_grant_must_allow_user_command_and_environment_together() -> None:
    """What another grant allows, for another command, is no help."""
    other = Grant("*", "operator", run_as=("deploy",), commands=("/usr/bin/perl *",), env=("PERL5LIB",))
    config = Config(grants=(_ALICE, other))
    refused = ceiling.refusal(config, _start(env=("PERL5LIB=/x",)), ())
    assert refused is not None
    assert refused.startswith("environment variable PERL5LIB: ")
    perl = _start(executable="/usr/bin/perl", argv=("perl", "x"), env=("PERL5LIB=/x",))
    assert ceiling.refusal(config, perl, ()) is None


def test_a_viewers_grant_lets_nothing_be_started() -> None:
    """Whatever it names."""
    viewer = Grant("*", "viewer", run_as=("deploy",), commands=("*",))
    refused = ceiling.refusal(Config(grants=(viewer,)), _start(), ())
    assert refused == "no grant allows anybody to run /usr/bin/rsync as deploy"


def test_a_service_user_is_refused_even_where_it_is_named() -> None:
    """Its uid could open the job table and the channel."""
    grant = Grant("*", "admin", run_as=("jobworker", "*"), commands=("*",))
    config = Config(grants=(grant,), jobs=Jobs(allow_root=True))
    refused = ceiling.refusal(config, _start(user="jobworker", uid=997), ("jobworker", "jobworker-log"))
    assert refused == "no grant allows anybody to run /usr/bin/rsync as jobworker"


@pytest.mark.parametrize("job_id", ["../../etc", "", "x" * 36, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"])
def test_a_job_id_that_is_no_uuid_is_not_well_formed(job_id: str) -> None:
    """It becomes part of paths."""
    assert not ceiling.is_well_formed(_start(job_id=job_id))


def test_a_stamp_that_is_a_path_is_not_well_formed() -> None:
    """So does it."""
    assert not ceiling.is_well_formed(_start(start_stamp="../../../../x"))


_FAKE_API = """
import os, socket, sys, select
from jobworkerd.channel import messages
from jobworkerd.channel.endpoint import Endpoint, ChannelClosed
from jobworkerd.channel.codec import encode
sock = socket.socket(fileno=3)
endpoint = Endpoint(sock)
endpoint.send(messages.Hello(messages.PROTOCOL_VERSION, "api", "x"))
{evil}
try:
    while True:
        select.select([endpoint.fileno()], [], [])
        received = endpoint.receive()
        if received:
            received.close_fds()
except ChannelClosed:
    pass
"""


@pytest.mark.parametrize(
    "evil",
    [
        "sock.send(b'\\xff' * 10)",
        "sock.send(b'x' * 200000)",
        "endpoint.send(messages.Opened('x'))",
        "endpoint.send(messages.Hello(messages.PROTOCOL_VERSION, 'api', 'x'))",
        "endpoint.send(messages.Start('../x', 's', 'c', 'r', 'root', 0, '/bin/sh', ('sh',), (), '', False, 0, False))",
    ],
)
def test_nonsense_from_the_api_ends_the_api_alone(idle_worker: Worker, evil: str) -> None:
    """The runner goes on and starts another; the journal says why."""
    runner = f"""
import sys
from jobworkerd.runner import peers
real = peers._execute
def execute(role, user, channel):
    if role != "api":
        return real(role, user, channel)
    import os
    pid = os.fork()
    if pid == 0:
        os.dup2(channel, 3)
        os.execv(sys.executable, [sys.executable, "-c", {_FAKE_API.format(evil=evil)!r}])
    return pid
peers._execute = execute
from jobworkerd.__main__ import main
sys.exit(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", runner, "--config", str(idle_worker.config)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        seen = [line for line, _ in zip(process.stderr, range(3), strict=False)]
        killed = [line for line in seen if "peer_killed: the api" in line]
        assert killed, seen
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
