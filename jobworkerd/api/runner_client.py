"""The API's end of its channel: Hello, Welcome, replay, then events to the table and pings answered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from jobworkerd import __version__
from jobworkerd.channel import messages
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import ChannelClosed, Endpoint, Received
from jobworkerd.channel.messages import Message

JOB_EVENTS = (
    messages.Held,
    messages.ReplayDone,
    messages.Spawned,
    messages.StartPending,
    messages.StartFailed,
    messages.Stopping,
    messages.Exited,
    messages.OutputClosed,
    messages.OutputHeld,
    messages.OutputPaused,
    messages.CannotKill,
)
RELOADS = (messages.Prepare, messages.Commit, messages.Abort, messages.Drain)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the runner said first."""

    welcome: messages.Welcome
    snapshot: bytes


class RunnerClient:
    """``on_event`` takes job events, ``on_reload`` (message, snapshot) the rest; neither may wait."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._greeted: asyncio.Future[Greeting] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self.on_event: Callable[[Message], None] = lambda _: None
        self.on_reload: Callable[[Message, bytes], None] = lambda *_: None
        self._loop.add_reader(endpoint.fileno(), self._readable)
        self._greeting = True
        self._held_back: list[Received] = []

    async def greet(self) -> Greeting:
        """Hello, and what comes back. ProtocolError, ChannelClosed."""
        self._endpoint.send(messages.Hello(messages.PROTOCOL_VERSION, "api", __version__))
        return await self._greeted

    def listen(self) -> None:
        """From now on events are handed on, those that came meanwhile first."""
        self._greeting = False
        held, self._held_back = self._held_back, []
        for received in held:
            self._take(received)

    def send(self, message: Message) -> None:
        """Sends or queues; a channel that is gone ends the process soon."""
        try:
            self._endpoint.send(message)
        except ChannelClosed as error:
            self._close(str(error))
            return
        if self._endpoint.queued:
            self._loop.add_writer(self._endpoint.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            self._endpoint.flush()
        except ChannelClosed as error:
            self._close(str(error))
        if not self._endpoint.queued:
            self._loop.remove_writer(self._endpoint.fileno())

    def _readable(self) -> None:
        try:
            while (received := self._endpoint.receive()) is not None:
                self._take(received)
        except ChannelClosed:
            self._close("")
        except ProtocolError as error:
            self._close(str(error))

    def _take(self, received: Received) -> None:
        message = received.message
        if isinstance(message, messages.Ping):
            self.send(messages.Pong(message.serial))
        elif not self._greeted.done():
            if not isinstance(message, messages.Welcome) or len(received.fds) != 1:
                raise ProtocolError("no Welcome came first")
            self._greeted.set_result(Greeting(message, _read(received.fds[0])))
        elif self._greeting:
            self._held_back.append(received)
        elif isinstance(message, JOB_EVENTS):
            self.on_event(message)
        elif isinstance(message, RELOADS):
            self.on_reload(message, _read(received.fds[0]) if received.fds else b"")
        else:
            raise ProtocolError(f"{type(message).__name__} is not the runner's to send")

    def _close(self, why: str) -> None:
        """``closed`` gets the protocol error, empty for an end of file."""
        if not self.closed.done():
            self._loop.remove_reader(self._endpoint.fileno())
            self.closed.set_result(why)
        if not self._greeted.done():
            self._greeted.set_exception(ProtocolError(why or "the channel closed"))


def _read(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()
