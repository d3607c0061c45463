"""The socket by which root asks the runner to reload: one packet "reload", one packet back.

Who may ask is what the kernel says of the other end (SO_PEERCRED): root or the runner's own user.
The answer is empty for done, else the error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

from .loop import Loop
from .reload import Reload

_MAX_ANSWER = 4096


class Control:
    """Listens on ``folder``/control."""

    def __init__(self, folder: str, loop: Loop, reload: Reload) -> None:
        self._path = f"{folder}/control"
        self._loop = loop
        self._reload = reload
        if os.path.lexists(self._path):
            os.unlink(self._path)  # of a runner that was killed: the state_dir's lock is ours
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with _short(folder) as path:
            self._sock.bind(path)
        os.chmod(self._path, 0o600)
        self._sock.listen(4)
        self._sock.setblocking(False)
        loop.watch(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Removes the socket."""
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()
        os.unlink(self._path)

    def _accept(self) -> None:
        try:
            client, _ = self._sock.accept()
        except OSError:
            return
        client.setblocking(False)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] not in (0, os.geteuid()):
            client.close()
            return
        self._loop.watch(client.fileno(), lambda: self._ask(client))

    def _ask(self, client: socket.socket) -> None:
        self._loop.unwatch(client.fileno())
        try:
            wanted = client.recv(64)
        except OSError:
            wanted = b""
        if wanted != b"reload":
            client.close()
            return
        self._reload.begin(lambda error: _answer(client, error))


@contextlib.contextmanager
def _short(folder: str) -> Iterator[str]:
    """The socket's path within the 107 bytes of unix(7), however deep the folder lies."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/control"
    finally:
        os.close(fd)


def _answer(client: socket.socket, error: str) -> None:
    try:
        client.send(b"!" + error.encode()[:_MAX_ANSWER])
    except OSError:
        pass  # whoever asked has gone; the journal has it
    finally:
        client.close()


def request_reload(folder: str) -> str:
    """Asks the runner and waits for its answer: empty for done. OSError where there is no runner."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(30)
        with _short(folder) as path:
            sock.connect(path)
        sock.send(b"reload")
        data = sock.recv(_MAX_ANSWER + 1)
    return data[1:].decode(errors="replace") if data else "the runner went away"
