"""The runner's own life: limits, lock, ledger, peers, READY, the loop, and the end of it all."""

from __future__ import annotations

import fcntl
import os
import pwd
import resource
import signal
import socket
import uuid

import prctl

from jobworkerd import __version__
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import Received
from jobworkerd.channel.messages import (
    PROTOCOL_VERSION,
    CannotServe,
    Drain,
    Hello,
    Serving,
    Welcome,
)
from jobworkerd.config import Config
from jobworkerd.journal import ERROR, NOTICE, WARNING, Journal

from . import cgroup, dispatch, privileges, procfs
from .control import Control
from .jobs import Jobs
from .ledger import Ledger
from .loop import Loop
from .peers import Peer, Phase
from .reload import Configuration, Reload
from .spawn import Spool
from .systemd import Systemd

_SETTLE_SECONDS = 5.0
_PEERS_SECONDS = 3.0


class StartError(Exception):
    """The worker cannot start; one line that says why and what to try."""


class Runner:
    """One worker's privileged process."""

    def __init__(self, configuration: Configuration) -> None:
        """Raises StartError. Everything is prepared; ``run`` starts the peers."""
        config = configuration.config
        self._journal = Journal("jobworkerd")
        self._loop = Loop(self._journal)
        self._systemd = Systemd()
        self._instance_id = str(uuid.uuid4())
        self._boot_id = procfs.boot_id()
        self._exit_code = 0
        self._stopping = False
        self._served = False
        nofile = _raise_limits()
        privileges.come_first()
        prctl.set_child_subreaper(1)
        self._lock = _lock(config.server.state_dir)
        folder = runtime_folder(config)
        try:
            ledger = Ledger(f"{folder}/ledger")
        except OSError as error:
            raise StartError(f"cannot write {folder}: {error.strerror}") from None
        self._cgroups = cgroups = cgroup.prepare(self._systemd.present, config.server.state_dir)
        if cgroups.base is None:
            why = "no cgroup can be made for jobs: escapees are found by their environment"
            self._journal.event("no_cgroup", why, WARNING)
        for job_id, pid, name in ledger.sweep():
            self._journal.event("swept", f"killed {name} (pid {pid}), left of {job_id}", WARNING, job_id=job_id)
        self.api: Peer = Peer(
            "api", lambda: self.reload.config.server.user, self._loop, self._journal, self._take
        )
        self.recorder: Peer = Peer(
            "recorder", lambda: self.reload.config.server.log_user, self._loop, self._journal, self._take
        )
        self.reload: Reload = Reload(configuration, self.api, self._loop, self._journal)
        self.jobs: Jobs = Jobs(
            self._loop, self._journal, ledger, cgroups, lambda: self.reload.config, nofile, self._boot_id,
            _spool(config),
        )  # fmt: skip
        self.jobs.api = self.api
        self.jobs.recorder = self.recorder
        self.jobs.service_users = _service_users(config)
        self.jobs.on_change = self._changed
        self.recorder.on_reap_overdue = self.jobs.kill_held
        self.recorder.on_unsent = self.jobs.take_back
        # Not at SIGCHLD, which may be looked at before the peer is reaped.
        self.api.on_gone = self.recorder.on_gone = self._end_if_alone
        self._control: Control | None = Control(folder, self._loop, self.reload)
        self._watch_signals()

    def run(self) -> int:
        """Until the worker has stopped; its exit code."""
        self._systemd.feed_watchdog(self._loop)
        self.recorder.start()
        self.api.start()
        self._loop.run()
        if self._cgroups.base is not None:
            cgroup.remove(self._cgroups.base)
        return self._exit_code

    # --- from the peers -----------------------------------------------------------------------

    def _take(self, peer: Peer, received: Received) -> None:
        dispatch.take(self, peer, received)

    def greet(self, peer: Peer, hello: Hello) -> None:
        """The first message of a peer: it gets its configuration and what is held."""
        if hello.protocol != PROTOCOL_VERSION or hello.role != peer.role:
            raise ProtocolError(
                f"a Hello of {hello.role}, protocol {hello.protocol}; this is {PROTOCOL_VERSION}"
            )
        welcome = Welcome(PROTOCOL_VERSION, self._instance_id, self._boot_id)
        peer.phase = Phase.READY
        peer.send(welcome, (self.reload.current.snapshot(),))
        if peer is self.recorder:
            self.jobs.resume_recorder()
        else:
            self.jobs.replay(peer)
            if self._stopping:
                peer.send(Drain())

    def serving(self, message: Serving) -> None:
        """The API's listener is bound: the worker is ready, if the recorder is as well."""
        where = ", ".join(message.addresses)
        self._journal.event("serving", f"version {__version__} serves on {where}", NOTICE)
        self._served = True
        if not self._stopping:
            self._systemd.ready(f"serving on {where}")

    def cannot_serve(self, message: CannotServe) -> None:
        """At the first start that is the end; later the API is tried again, and jobs live on."""
        self._journal.event("cannot_serve", message.message, ERROR)
        if not self._served:
            self._exit_code = 1
            self._stop()

    # --- the end ------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Drain, end the jobs with grace, let the API commit their ends, then end the peers."""
        if self._stopping:
            return
        self._stopping = True
        grace = self.reload.config.server.drain_grace_seconds
        self._systemd.stopping(grace + _SETTLE_SECONDS + 2 * _PEERS_SECONDS)
        self._journal.event(
            "stopping", f"{self.jobs.running} jobs are stopped with {grace:g} s of grace", NOTICE
        )
        self.api.send(Drain())
        self.jobs.stop_all(grace)
        self._loop.after(grace + _SETTLE_SECONDS, self._end_peers)
        self._changed()

    def _changed(self) -> None:
        if self._stopping and (self.jobs.unsettled == 0 or not self._served):
            self._end_peers()

    def _end_peers(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
            self.api.finish()
            self.recorder.finish()
            self._loop.after(_PEERS_SECONDS, self._kill_peers)
            self._end_if_alone()

    def _kill_peers(self) -> None:
        for peer in (self.api, self.recorder):
            peer.kill("it did not end when the worker did")
        self._loop.after(_PEERS_SECONDS, self._loop.stop)

    def _end_if_alone(self) -> None:
        if self._control is None and self.api.pid == self.recorder.pid == 0:
            self._loop.stop()

    # --- signals ------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Handlers only wake the loop."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeup = (ours, theirs)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._loop.watch(ours.fileno(), self._signalled)

    def _signalled(self) -> None:
        numbers = set(self._wakeup[0].recv(4096))
        if signal.SIGCHLD in numbers:
            self._reap_orphans()
            self.jobs.look_again()
        if signal.SIGHUP in numbers:
            self.reload.begin(lambda _: None)
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._stop()

    def _reap_orphans(self) -> None:
        """Processes of jobs whose parents died are the runner's children now; leaders are reaped elsewhere."""
        known = self.jobs.leaders | {self.api.pid, self.recorder.pid}
        for pid in procfs.children(os.getpid()):
            if pid not in known:
                os.waitpid(pid, os.WNOHANG)


def runtime_folder(config: Config) -> str:
    """For ledger and control socket: a file system that ends with the boot, writable for the runner alone.

    Where the API runs as the runner's own user there is no boundary to keep, and state_dir will do.
    """
    given = os.environ.get("RUNTIME_DIRECTORY")
    if given:
        return given.split(":")[0]
    if config.server.user == pwd.getpwuid(os.geteuid()).pw_name:
        return f"{config.server.state_dir}/run"
    return "/run/jobworker"


def _raise_limits() -> tuple[int, int]:
    """As many descriptors as the hard limit allows; jobs get back what was there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def _lock(state_dir: str) -> int:
    """One worker on one state_dir: the folder itself is locked, so there is no file to replace."""
    try:
        fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"cannot open state_dir {state_dir}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise StartError(
            f"another worker runs on state_dir {state_dir}; stop it, or give this one its own"
        ) from None
    return fd


def _spool(config: Config) -> Spool:
    """Neither state_dir nor user changes while a runner lives."""
    return Spool(f"{config.server.state_dir}/input", pwd.getpwnam(config.server.user).pw_uid)


def _service_users(config: Config) -> tuple[str, ...]:
    """The worker's own users, as whom no job may run; none where they are one plain user (development)."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    users = (config.server.user, config.server.log_user)
    return () if set(users) == {own} else users
