"""A TCP proxy whose connections a test cuts."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """From a port of its own to ``port``, until ``close``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.taken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Every connection there is; how many there were."""
        ends = list(self._open)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        """No more connections."""
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    worker = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    client.close()
                    continue
                self.taken += 1
                self._open |= {client, worker}
                for pair in ((client, worker), (worker, client)):
                    threading.Thread(target=self._move, args=pair, daemon=True).start()

    def _move(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
