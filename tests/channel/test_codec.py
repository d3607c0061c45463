"""The decoder trusts nothing: every packet is exactly one message, or a ProtocolError."""

from __future__ import annotations

import os
import socket
import typing
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import size

from jobworkerd.channel import codec, messages
from jobworkerd.channel.endpoint import ChannelClosed, Endpoint

pytestmark = pytest.mark.soak
_CASES = size(5_000, 100_000)
_TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=200)
_VALUES = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    str: _TEXT,
    tuple[str, ...]: st.lists(_TEXT, max_size=20).map(tuple),
}


def _any_message() -> st.SearchStrategy[messages.Message]:
    return st.sampled_from(codec._CLASSES).flatmap(
        lambda cls: st.builds(cls, **{f.name: _VALUES[typing.get_type_hints(cls)[f.name]] for f in fields(cls)})
    )


@given(_any_message())
@settings(max_examples=_CASES, deadline=None)
def test_every_message_survives_the_wire(message: messages.Message) -> None:
    """Encoded and decoded it is itself."""
    assert codec.decode(codec.encode(message)) == message


@given(st.binary(max_size=400))
@settings(max_examples=_CASES, deadline=None)
def test_noise_is_a_protocol_error_or_a_message(data: bytes) -> None:
    """Never another exception, and what decodes encodes to the same bytes."""
    try:
        message = codec.decode(data)
    except codec.ProtocolError:
        return
    assert codec.encode(message) == data


@given(_any_message(), st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
@settings(max_examples=_CASES, deadline=None)
def test_a_message_cut_or_lengthened_is_refused(message: messages.Message, at: int, more: bytes) -> None:
    """A prefix is never a message, nor is one with more behind it."""
    data = codec.encode(message)
    with pytest.raises(codec.ProtocolError):
        codec.decode(data[: at % len(data)])
    with pytest.raises(codec.ProtocolError):
        codec.decode(data + more)


def test_what_is_too_large_is_refused_before_it_is_sent() -> None:
    """128 KiB of argv fit, one byte more does not."""
    fits = messages.Start("j", "s", "c", "r", "u", 1, "/x", ("a" * (128 * 1024 - 1),), (), "", False, 0, False)
    assert len(codec.encode(fits)) < messages.MAX_MESSAGE
    with pytest.raises(ValueError, match="at most 131072"):
        codec.encode(
            messages.Start("j", "s", "c", "r", "u", 1, "/x", ("a" * 128 * 1024,), (), "", False, 0, False)
        )


def _pair() -> tuple[Endpoint, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Endpoint(ours), theirs


def test_descriptors_arrive_close_on_exec_and_are_closed_with_a_bad_message() -> None:
    """Else they would leak into the next job forked."""
    endpoint, other = _pair()
    with other:
        read, write = os.pipe()
        socket.send_fds(other, [codec.encode(messages.Ping(1))], [read])
        received = endpoint.receive()
        assert received is not None
        assert not os.get_inheritable(received.fds[0])
        received.close_fds()
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(other, [b"\xff"], [read])
        with pytest.raises(codec.ProtocolError):
            endpoint.receive()
        assert len(os.listdir("/proc/self/fd")) == before
        os.close(read)
        os.close(write)
    endpoint.close()


def test_a_packet_that_was_cut_is_refused() -> None:
    """Larger than any message may be."""
    endpoint, other = _pair()
    with other:
        other.send(b"x" * (messages.MAX_MESSAGE + 2))
        with pytest.raises(codec.ProtocolError, match="cut short"):
            endpoint.receive()
    endpoint.close()


def test_a_peer_that_does_not_read_makes_the_queue_grow_and_nobody_wait() -> None:
    """Order is kept when it reads again."""
    endpoint, other = _pair()
    with other:
        for serial in range(5000):
            endpoint.send(messages.Ping(serial))
        assert endpoint.queued > 0
        seen = 0
        while seen < 5000:
            message = codec.decode(other.recv(messages.MAX_MESSAGE))
            assert message == messages.Ping(seen)
            seen += 1
            endpoint.flush()
    with pytest.raises(ChannelClosed):
        endpoint.send(messages.Ping(0))
    endpoint.close()
