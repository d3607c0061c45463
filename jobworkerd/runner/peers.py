"""The recorder and the API as the runner sees them: executed, spoken with, killed, started again.

A peer is a fresh interpreter at the other end of a socketpair. It is frozen until its Hello; it is
killed when it sends what it may not, when it does not answer a Ping, or when it does not read; and
the next one is started only after it was reaped, with a backoff that resets after two healthy
seconds. A failing peer is news, never a reason for the runner to die.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sys
import time
from collections.abc import Callable
from enum import Enum, auto

import prctl

from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import ChannelClosed, Endpoint, Received
from jobworkerd.channel.messages import Message, Ping, Pong
from jobworkerd.journal import ERROR, NOTICE, Journal

from . import privileges, procfs
from .loop import READABLE, WRITABLE, Loop, Timer

_FIRST_BACKOFF_SECONDS = 0.05
_LAST_BACKOFF_SECONDS = 2.0
_HEALTHY_SECONDS = 2.0
_PING_SECONDS = 2.0
_SILENCE_SECONDS = 10.0
_REAP_SECONDS = 2.0
_MAX_QUEUED = 20_000
_CHANNEL_FD = 3
_SO_PASSRIGHTS = 83  # asm-generic/socket.h
_ENVIRONMENT = ("PATH", "LANG", "TZ", "JOURNAL_STREAM")


class Phase(Enum):
    """Where in its life a peer is; which messages it may send depends on it."""

    DOWN = auto()
    GREETING = auto()  # executed; its Hello is awaited
    READY = auto()
    DYING = auto()  # killed; to be reaped


class Peer:
    """One of the two. ``role`` is its package, "api" or "recorder".

    ``take`` gets each message it may not have a reason to send: it raises ProtocolError then.
    """

    def __init__(
        self,
        role: str,
        user: Callable[[], str],
        loop: Loop,
        journal: Journal,
        take: Callable[[Peer, Received], None],
    ) -> None:
        self.role = role
        self.phase = Phase.DOWN
        self.on_reap_overdue: Callable[[], None] = lambda: None
        self.on_unsent: Callable[[Message, tuple[int, ...]], None] = lambda _, fds: _close(fds)
        self.on_gone: Callable[[], None] = lambda: None
        self._user = user
        self._loop = loop
        self._journal = journal
        self._take = take
        self._endpoint: Endpoint | None = None
        self._pid = 0
        self._pidfd = -1
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._started = 0.0
        self._heard = 0.0
        self._serial = 0
        self._ping: Timer | None = None
        self._wanted = True

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._pid

    def start(self) -> None:
        """Executes it."""
        if not self._wanted:
            return
        try:
            ours, self._pid, self._pidfd = _start(self.role, self._user())
        except (OSError, KeyError) as error:
            self._journal.event("peer_failed", f"cannot start the {self.role}: {error}", ERROR)
            self._again()
            return
        self._endpoint = Endpoint(ours)
        self.phase = Phase.GREETING
        self._started = self._heard = time.monotonic()
        self._loop.watch(self._pidfd, self._reap)
        self._loop.watch(self._endpoint.fileno(), self._readable)
        self._ping = self._loop.after(_PING_SECONDS, self._beat)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> bool:
        """Sends to a READY peer; False (and the fds are still the caller's) where there is none.

        One that has not said Hello gets nothing: its first message is Welcome, and the replay makes up.
        """
        endpoint = self._endpoint
        if endpoint is None or self.phase is not Phase.READY:
            return False
        try:
            endpoint.send(message, fds)
        except ChannelClosed:
            self.kill("it closed its channel")
            return True
        if endpoint.queued > _MAX_QUEUED:
            self.kill("it does not read")
        elif endpoint.queued:
            self._loop.change(endpoint.fileno(), READABLE | WRITABLE)
        return True

    def kill(self, why: str) -> None:
        """Ends it; jobs live on, and the next one is started."""
        if self.phase in (Phase.DOWN, Phase.DYING):
            return
        self._journal.event("peer_killed", f"the {self.role} (pid {self._pid}) is killed: {why}", ERROR)
        self.phase = Phase.DYING
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._loop.after(_REAP_SECONDS, lambda pid=self._pid: self._reap_overdue(pid))  # type: ignore[misc]

    def finish(self) -> None:
        """The worker ends: closes the channel, upon which a peer exits by itself."""
        self._wanted = False
        if self._endpoint is not None:
            self._drop_endpoint()

    # --- events -------------------------------------------------------------------------------

    def _readable(self) -> None:
        endpoint = self._endpoint
        if endpoint is None:
            return
        try:
            endpoint.flush()
            if not endpoint.queued:
                self._loop.change(endpoint.fileno(), READABLE)
            self._drain(endpoint)
        except ChannelClosed:
            self.kill("it closed its channel")
            self._drop_endpoint()
        except ProtocolError as error:
            self.kill(str(error))
            self._drop_endpoint()

    def _drain(self, endpoint: Endpoint) -> None:
        """A bounded number of messages a turn, so that a talkative peer starves nobody."""
        for _ in range(64):
            received = endpoint.receive()
            if received is None:
                return
            self._heard = time.monotonic()
            if not isinstance(received.message, Pong):
                self._take(self, received)
            if self._endpoint is not endpoint:
                return

    def _beat(self) -> None:
        if self.phase in (Phase.DOWN, Phase.DYING):
            return
        self._ping = self._loop.after(_PING_SECONDS, self._beat)
        now = time.monotonic()
        if now - self._heard > _SILENCE_SECONDS:
            self.kill(f"it has not answered for {_SILENCE_SECONDS:.0f} s")
            return
        process = procfs.read(self._pid)
        if process is not None and process.state == "Z" and not process.dead:
            # Killed, but a thread hangs in the kernel: the channel stays open and the pidfd silent.
            self.kill("its main thread is gone")
            return
        if now - self._started > _HEALTHY_SECONDS and self.phase is Phase.READY:
            self._backoff = _FIRST_BACKOFF_SECONDS
        self._serial += 1
        if self.phase is Phase.READY:
            self.send(Ping(self._serial))

    def _reap(self) -> None:
        """It has ended: what it had still said counts, then it is reaped and started again."""
        if self._endpoint is not None:
            self._last_words(self._endpoint)
        self._drop_endpoint()
        self._loop.unwatch(self._pidfd)
        _, status = os.waitpid(self._pid, os.WNOHANG)
        os.close(self._pidfd)
        if self._ping is not None:
            self._ping.cancel()
        if self._wanted:
            how = describe_status(status)
            self._journal.event(
                "peer_restarted", f"the {self.role} (pid {self._pid}) {how}; starting another", NOTICE
            )
        if time.monotonic() - self._started > _HEALTHY_SECONDS:
            self._backoff = _FIRST_BACKOFF_SECONDS
        self._pid = 0
        self.phase = Phase.DOWN
        self._again()
        self.on_gone()

    def _last_words(self, endpoint: Endpoint) -> None:
        if self.phase is Phase.DYING:
            self.phase = Phase.READY  # what was sent before it was killed was permitted then
        try:
            while (received := endpoint.receive()) is not None:
                if not isinstance(received.message, Pong):
                    self._take(self, received)
        except (ChannelClosed, ProtocolError):
            return
        finally:
            self.phase = Phase.DYING

    def _reap_overdue(self, pid: int) -> None:
        if self._pid == pid:
            self.on_reap_overdue()

    def _again(self) -> None:
        if self._wanted:
            self._loop.after(self._backoff, self.start)
            self._backoff = min(self._backoff * 2, _LAST_BACKOFF_SECONDS)

    def _drop_endpoint(self) -> None:
        if self._endpoint is not None:
            self._loop.unwatch(self._endpoint.fileno())
            unsent = self._endpoint.close()
            self._endpoint = None
            for message, fds in unsent:
                if fds:
                    self.on_unsent(message, fds)


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def describe_status(status: int) -> str:
    """How a peer ended, in words, from waitpid's status."""
    code = os.waitstatus_to_exitcode(status)
    return f"exited with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _start(role: str, user: str) -> tuple[socket.socket, int, int]:
    """Our end of its channel, its pid and its pidfd. OSError and KeyError leave nothing behind."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            _refuse_descriptors(ours)
            pid = _execute(role, user, theirs.fileno())
            try:
                return ours, pid, os.pidfd_open(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)  # unreaped, so the number is its own
                os.waitpid(pid, 0)
                raise
        except BaseException:
            ours.close()
            raise


def _refuse_descriptors(channel: socket.socket) -> None:
    """No peer passes any, and closing one can hang: a socket that lingers, a file of a hung FUSE server.

    unix(7): since Linux 6.16 whoever tries gets EPERM. Before, what comes is closed without lingering.
    """
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
    except OSError:
        return


def _execute(role: str, user: str, channel: int) -> int:
    """Forks and executes a peer as its user, without capabilities; its pid. OSError, KeyError: no such user."""
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    argv = [sys.executable, "-I", "-m", f"jobworkerd.{role}", str(_CHANNEL_FD)]
    runner = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _child(argv, environment, channel, runner, (entry.pw_uid, entry.pw_gid, groups))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return pid


def _child(
    argv: list[str], environment: dict[str, str], channel: int, runner: int, ids: tuple[int, int, list[int]]
) -> None:
    """Never returns. The channel becomes descriptor 3, and 0 to 2 stay: /dev/null and the journal."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        os.dup2(channel, _CHANNEL_FD)
        os.closerange(_CHANNEL_FD + 1, os.sysconf("SC_OPEN_MAX"))
        privileges.as_before()
        privileges.leave_oom_protection()
        privileges.join_new_keyring()
        privileges.clear_ambient()
        uid, gid, groups = ids
        if uid != 0 and os.geteuid() == 0:
            privileges.empty_bounding_set()
        privileges.change_ids(uid, gid, groups)
        if uid != 0:
            privileges.zero_capabilities()
        prctl.set_no_new_privs(1)
        privileges.die_with(runner)
        os.umask(0o027)
        os.chdir("/")
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(argv[0], argv, environment)
    except BaseException as error:
        os.write(2, f"jobworkerd: cannot execute {argv[3]}: {error}\n".encode())
    finally:
        os._exit(127)
