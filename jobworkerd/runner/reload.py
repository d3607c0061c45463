"""A reload: all or nothing. The runner parses, the API prepares, then both put it in force.

``systemctl reload`` runs ``jobworkerd --reload``, which asks over a root-only socket and waits for the
answer: so a bad file fails the reload in the face of whoever asked. One reload at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import asdict

from jobworkerd import config_load
from jobworkerd.channel.messages import Abort, Commit, Prepare, Prepared
from jobworkerd.config import Config
from jobworkerd.journal import ERROR, NOTICE, Journal

from .loop import Loop, Timer
from .peers import Peer, Phase

_UNCHANGEABLE = ("state_dir", "log_dir", "user", "log_user")
_PATIENCE_SECONDS = 10.0

Answer = Callable[[str], None]
"""Called once with the error, empty where the new configuration is in force."""


class Configuration:
    """What is in force, and its sources as a snapshot for the peers."""

    def __init__(self, path: str) -> None:
        """Raises config_load.ConfigError."""
        self.path = path
        self.sources = config_load.read_sources(path)
        self.config = config_load.parse(self.sources)

    def snapshot(self) -> int:
        """A new sealed memfd that holds the sources; whoever gets it closes it."""
        return _memfd(config_load.to_snapshot(self.sources))


class Reload:
    """At most one under way."""

    def __init__(self, current: Configuration, api: Peer, loop: Loop, journal: Journal) -> None:
        self.current = current
        self._api = api
        self._loop = loop
        self._journal = journal
        self._generation = 0
        self._next: Configuration | None = None
        self._answer: Answer | None = None
        self._timer: Timer | None = None

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.current.config

    def begin(self, answer: Answer) -> None:
        """Reads the files again; ``answer`` is called when it is decided."""
        if self._answer is not None:
            answer("another reload is under way")
            return
        self._answer = answer
        try:
            new = Configuration(self.current.path)
        except (config_load.ConfigError, OSError) as error:
            self._end(str(error))
            return
        changed = [
            name
            for name in _UNCHANGEABLE
            if asdict(new.config.server)[name] != asdict(self.config.server)[name]
        ]
        if changed:
            self._end(f"server.{changed[0]} cannot change without a restart")
            return
        if self._api.phase is not Phase.READY:
            self._end("the API is being restarted; try again")
            return
        self._generation += 1
        self._next = new
        self._timer = self._loop.after(_PATIENCE_SECONDS, lambda: self._end("the API did not answer"))
        self._api.send(Prepare(self._generation), (new.snapshot(),))

    def prepared(self, message: Prepared) -> None:
        """The API has loaded it, or says why not. An answer to an earlier one is ignored."""
        if message.generation != self._generation or self._next is None:
            return
        if message.error:
            self._end(message.error)
            return
        self.current = self._next
        self._api.send(Commit(self._generation))
        self._end("")

    def _end(self, error: str) -> None:
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
        if error and self._next is not None:
            self._api.send(Abort(self._generation))
        self._next = None
        if error:
            self._journal.event("reload_failed", f"nothing was reloaded: {error}", ERROR)
        else:
            self._journal.event("reloaded", "the configuration was read again", NOTICE)
        if answer is not None:
            answer(error)


def _memfd(data: bytes) -> int:
    fd = os.memfd_create("jobworker-config", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd
