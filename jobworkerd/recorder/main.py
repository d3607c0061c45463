"""The recorder's main thread: the channel, the heartbeat, and two clocks. It touches no pipe and no disk."""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from jobworkerd import __version__, config_load
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import ChannelClosed, Endpoint, Received
from jobworkerd.channel.messages import (
    PROTOCOL_VERSION,
    Close,
    Ended,
    Hello,
    Message,
    Open,
    OpenFailed,
    OutputClosed,
    OutputPaused,
    Ping,
    Pong,
    Welcome,
)
from jobworkerd.journal import ERROR, Journal

from .pool import HELD_SECONDS, Pool
from .recording import Budget, Recording

_RETRY_SECONDS = 1.0


class Recorder:
    """Speaks with the runner, hands all else to the pool."""

    def __init__(self, endpoint: Endpoint, log_dir: str, max_running: int, journal: Journal) -> None:
        self._endpoint = endpoint
        self._log_dir = log_dir
        self._said: deque[Message] = deque()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._pool = Pool(2 * max_running + 4, self._wake, journal)
        self._budget = Budget()
        self._recordings: dict[str, Recording] = {}
        self._paused: set[str] = set()
        self._take: dict[type[Message], Callable[[Any, tuple[int, ...]], None]] = {
            Open: self._open,
            Ended: self._ended,
            Close: self._close,
            Ping: self._ping,
        }

    def run(self) -> None:
        """Until ChannelClosed or ProtocolError."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(self._endpoint.fileno(), select.POLLIN)
        looking = False
        retry_at = time.monotonic()
        while True:
            patience = HELD_SECONDS if looking else _RETRY_SECONDS if self._paused else None
            ready = {fd for fd, _ in poll.poll(None if patience is None else patience * 1000)}
            if self._woken in ready:
                os.eventfd_read(self._woken)
            looking = self._pool.tick() if not ready or self._woken in ready or looking else False
            self._pass_on()
            self._endpoint.flush()
            events = select.POLLIN | (select.POLLOUT if self._endpoint.queued else 0)
            poll.modify(self._endpoint.fileno(), events)
            if self._paused and time.monotonic() >= retry_at:
                retry_at = time.monotonic() + _RETRY_SECONDS
                self._retry()
            while (received := self._endpoint.receive()) is not None:
                self._dispatch(received)

    # --- from workers -------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        """Any thread."""
        self._said.append(message)
        self._wake()

    def _wake(self) -> None:
        os.eventfd_write(self._woken, 1)

    def _pass_on(self) -> None:
        while self._said:
            message = self._said.popleft()
            if isinstance(message, OpenFailed):
                self._recordings.pop(message.job_id, None)
            elif isinstance(message, OutputPaused) and message.errno:
                self._paused.add(message.job_id)
            elif isinstance(message, OutputPaused | OutputClosed):
                self._paused.discard(message.job_id)
            self._endpoint.send(message)

    # --- from the runner ----------------------------------------------------------------------

    def _dispatch(self, received: Received) -> None:
        message = received.message
        take = self._take.get(type(message))
        wanted = (1, 2) if isinstance(message, Open | Close) else (0,)
        if take is None or len(received.fds) not in wanted:
            received.close_fds()
            raise ProtocolError(f"{type(message).__name__} with {len(received.fds)} descriptors")
        take(message, received.fds)

    def _open(self, message: Open, fds: tuple[int, ...]) -> None:
        if message.job_id in self._recordings:
            raise ProtocolError(f"{message.job_id} is recorded already")
        recording = Recording(message, fds, self._pool, self._budget, self._say)
        self._recordings[message.job_id] = recording
        self._pool.submit(lambda: recording.open(self._log_dir))

    def _ended(self, message: Ended, _: tuple[int, ...]) -> None:
        recording = self._recordings.get(message.job_id)
        if recording is not None:
            self._pool.submit(recording.ended)

    def _close(self, message: Close, fds: tuple[int, ...]) -> None:
        """Of a job that an earlier recorder recorded, the runner's ends are all there is to close."""
        recording = self._recordings.pop(message.job_id, None)
        if recording is not None:
            self._pool.submit(lambda: recording.close(fds))
        else:
            self._pool.submit(lambda: _close(fds))

    def _ping(self, message: Ping, _: tuple[int, ...]) -> None:
        self._endpoint.send(Pong(message.serial))

    def _retry(self) -> None:
        for job_id in self._paused:
            recording = self._recordings.get(job_id)
            if recording is not None:
                recording.retry()


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def greet(endpoint: Endpoint) -> tuple[Welcome, bytes]:
    """Hello, and the runner's answer with the configuration in its memfd. ProtocolError for any other."""
    endpoint.send(Hello(PROTOCOL_VERSION, "recorder", __version__))
    select.select([endpoint.fileno()], [], [])
    received = endpoint.receive()
    if received is None or not isinstance(received.message, Welcome) or len(received.fds) != 1:
        raise ProtocolError("no Welcome came")
    with open(received.fds[0], "rb") as file:
        return received.message, file.read()


def main(channel: int) -> int:
    """Runs until the channel closes; the exit code."""
    journal = Journal("jobworker-recorder")
    endpoint = Endpoint(socket.socket(fileno=channel))
    try:
        _, snapshot = greet(endpoint)
        config = config_load.from_snapshot(snapshot)
        Recorder(endpoint, config.server.log_dir, config.jobs.max_running or 1000, journal).run()
    except ChannelClosed:
        return 0
    except ProtocolError as error:
        journal.event("protocol_error", f"the recorder ends: {error}", ERROR)
        return 1
    return 0
