"""Descriptors that the other side passes, and must not: none is kept, and none is waited for."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from jobworkerd.channel.endpoint import Endpoint
from jobworkerd.channel.messages import Pong
from jobworkerd.runner.peers import _refuse_descriptors

_LINGER_SECONDS = 20


def _lingering() -> tuple[socket.socket, socket.socket]:
    """A connection whose close would wait for what nobody reads; and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    ours.setblocking(True)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, _LINGER_SECONDS))
    return ours, theirs


def test_a_socket_that_lingers_is_closed_at_once() -> None:
    """The runner waits for nobody."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    runner, peer = Endpoint(one), Endpoint(other)
    passed, kept = _lingering()
    with kept:
        peer.send(Pong(1), (passed.detach(),))
        received = runner.receive()
        assert received is not None
        assert len(received.fds) == 1
        began = time.monotonic()
        received.close_fds()
        assert time.monotonic() - began < _LINGER_SECONDS / 4
    runner.close()
    peer.close()


def test_a_channel_of_the_runner_takes_no_descriptors() -> None:
    """Where the kernel can refuse them (Linux 6.16) it does; elsewhere they are closed as above."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        _refuse_descriptors(one)
        try:
            refuses = one.getsockopt(socket.SOL_SOCKET, 83) == 0
        except OSError:
            refuses = False
        try:
            socket.send_fds(other, [b"x"], [0])
        except PermissionError:
            assert refuses
        else:
            assert not refuses
