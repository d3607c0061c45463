"""A TCP proxy in front of a worker, whose connections a test cuts, and which it takes away and brings back."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes on, in one thread of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._closing = False
        self.hang_ups = 0  # so many of the next connections are cut right behind the client's handshake
        self._doomed: set[socket.socket] = set()  # the worker's ends of those
        self._answered: set[socket.socket] = set()  # the clients', once the worker has answered
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def connections(self) -> int:
        """Through it, now."""
        return len(self._pairs) // 2

    def cut(self, *, reset: bool) -> int:
        """Ends all connections, by RST or FIN; how many."""
        with self._lock:
            count = self.connections
            for each in list(self._pairs):
                self._drop(each, reset=reset)
            return count

    def leave(self) -> None:
        """Nothing listens there any more."""
        with self._lock:
            self._selector.unregister(self._listener)
            self._listener.close()
        self.cut(reset=True)

    def come_back(self) -> None:
        """On the same port."""
        with self._lock:
            self._listener = self._listen(self.port)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def close(self) -> None:
        """And everything with it."""
        self._closing = True
        self._thread.join(10)
        self.leave()
        self._selector.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(100)
        return listener

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    self._ready(key.fileobj)

    def _ready(self, ready: object) -> None:
        if ready is self._listener:
            ours, _ = self._listener.accept()
            try:
                theirs = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                ours.close()
                return
            for one, other in ((ours, theirs), (theirs, ours)):
                self._pairs[one] = other
                self._selector.register(one, selectors.EVENT_READ)
            if self.hang_ups:
                self.hang_ups -= 1
                self._doomed.add(theirs)
            return
        if not isinstance(ready, socket.socket) or ready not in self._pairs:
            return
        try:
            data = ready.recv(_PIECE)
            if ready in self._doomed:
                self._answered.add(self._pairs[ready])
            elif ready in self._answered:
                data = b""  # the end of its handshake, behind which it waits for what the worker says
            self._pairs[ready].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(ready, reset=False)

    def _drop(self, one: socket.socket, *, reset: bool) -> None:
        other = self._pairs.pop(one, None)
        if other is None:
            return
        del self._pairs[other]
        self._doomed -= {one, other}
        self._answered -= {one, other}
        for each in (one, other):
            self._selector.unregister(each)
            if reset:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.close()


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """To a port of this host."""
    each = Proxy(target)
    try:
        yield each
    finally:
        each.close()
