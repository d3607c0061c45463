"""One end of a channel: whole messages and their file descriptors in and out, never blocking.

The sender's queue lives here: what the kernel does not take at once waits, in order, until
``flush``. It owns the socket and the descriptors queued with a message, nothing else.
"""

from __future__ import annotations

import array
import os
import socket
import stat
import struct
from collections import deque
from dataclasses import dataclass

from .codec import ProtocolError, decode, encode
from .messages import MAX_FDS, MAX_MESSAGE, Message


class ChannelClosed(Exception):
    """The other end is gone."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message and the descriptors that came with it; whoever takes it closes them."""

    message: Message
    fds: tuple[int, ...]

    def close_fds(self) -> None:
        """Closes all that came."""
        _close(self.fds)


class Endpoint:
    """A non-blocking SOCK_SEQPACKET socket that speaks in messages.

    Descriptors given to ``send`` are the endpoint's from then on: closed once the kernel took them,
    or given back when the endpoint closes. ``queued`` says how many messages wait.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._queue: deque[tuple[Message, bytes, tuple[int, ...]]] = deque()

    def fileno(self) -> int:
        """For a selector."""
        return self._sock.fileno()

    @property
    def queued(self) -> int:
        """Messages the kernel has not taken yet."""
        return len(self._queue)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Sends, or queues behind what waits already. ChannelClosed where nobody can read it."""
        self._queue.append((message, encode(message), fds))
        self.flush()

    def flush(self) -> None:
        """Hands the kernel as much of the queue as it takes. ChannelClosed as in ``send``."""
        while self._queue:
            _, data, fds = self._queue[0]
            try:
                if fds:
                    socket.send_fds(self._sock, [data], list(fds))
                else:
                    self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # ETOOMANYREFS and ENOBUFS pass; what is left says that the other end is gone.
                raise ChannelClosed(str(error)) from None
            self._queue.popleft()
            for fd in fds:
                os.close(fd)

    def receive(self) -> Received | None:
        """The next message; None where none waits.

        ChannelClosed at the end of file, ProtocolError for what is no message (its descriptors are
        closed). MSG_CMSG_CLOEXEC matters: socket.recv_fds does not set it, and a descriptor received
        without would leak into the next job forked.
        """
        space = socket.CMSG_SPACE(MAX_FDS * 4)
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(MAX_MESSAGE + 1, space, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise ChannelClosed(str(error)) from None
        fds = _descriptors(ancillary)
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ProtocolError("a message was cut short")
            if not data:
                raise ChannelClosed("end of file")
            return Received(decode(data), fds)
        except Exception:
            _close(fds)
            raise

    def close(self) -> list[tuple[Message, tuple[int, ...]]]:
        """Closes the socket; what was not sent, whose descriptors are the caller's again."""
        self._sock.close()
        unsent = [(message, fds) for message, _, fds in self._queue]
        self._queue.clear()
        return unsent


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += array.array("i", data[: len(data) - len(data) % 4])
    return tuple(fds)


def _close(fds: tuple[int, ...]) -> None:
    """Without waiting: a socket of the other side's may linger for what it has not sent (socket(7))."""
    for fd in fds:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=os.dup(fd)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        os.close(fd)
