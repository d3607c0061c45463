"""Messages to bytes and back: one byte for the kind, then the fields in their order.

=================== ====================================================================
field               bytes
=================== ====================================================================
``int``             8, big-endian, signed
``float``           8, IEEE 754; finite
``bool``            1, 0 or 1
``str``             4 for the length, then UTF-8; at most MAX_TEXT, no NUL. ``report``: 32 KiB
``tuple[str, ...]`` 4 for the length, then each string in UTF-8 with a NUL behind it
=================== ====================================================================

The dataclasses are the schema, so encoder and decoder cannot drift apart. Decoding trusts nothing:
whatever is not exactly one well-formed message is a ProtocolError.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import fields

from . import messages
from .messages import MAX_ARGV_AND_ENV, MAX_MESSAGE, MAX_TEXT, Message

MAX_REPORT = 32 * 1024
_INT = struct.Struct(">q")
_FLOAT = struct.Struct(">d")
_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """What came is not a message, or not one that may come now. The peer that sent it is ended."""


def _put_int(value: int, limit: int) -> bytes:
    return _INT.pack(value)


def _put_float(value: float, limit: int) -> bytes:
    return _FLOAT.pack(value)


def _put_bool(value: bool, limit: int) -> bytes:
    return b"\1" if value else b"\0"


def _put_str(value: str, limit: int) -> bytes:
    data = value.encode()
    if len(data) > limit or 0 in data:
        raise ValueError(f"a text of {len(data)} bytes (at most {limit}) or with a NUL in it")
    return _LENGTH.pack(len(data)) + data


def _put_strings(value: tuple[str, ...], limit: int) -> bytes:
    data = b"".join(item.encode() + b"\0" for item in value)
    if len(data) > limit or data.count(0) != len(value):
        raise ValueError(f"strings of {len(data)} bytes (at most {limit}) or with a NUL in one")
    return _LENGTH.pack(len(data)) + data


class _Reader:
    """Takes a packet apart from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ProtocolError("a message ends too early")
        self._at += count
        return piece

    def sized(self, limit: int) -> bytes:
        (length,) = _LENGTH.unpack(self.take(4))
        if length > limit:
            raise ProtocolError(f"a field of {length} bytes, at most {limit}")
        return self.take(length)

    def at_end(self) -> bool:
        return self._at == len(self._data)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a text that is not UTF-8") from None


def _get_int(reader: _Reader, limit: int) -> int:
    value: int = _INT.unpack(reader.take(8))[0]
    return value


def _get_float(reader: _Reader, limit: int) -> float:
    value: float = _FLOAT.unpack(reader.take(8))[0]
    if not math.isfinite(value):
        raise ProtocolError("a number that is not finite")
    return value


def _get_bool(reader: _Reader, limit: int) -> bool:
    byte = reader.take(1)[0]
    if byte > 1:
        raise ProtocolError("a truth value that is neither 0 nor 1")
    return byte == 1


def _get_str(reader: _Reader, limit: int) -> str:
    data = reader.sized(limit)
    if 0 in data:
        raise ProtocolError("a text with a NUL in it")
    return _text(data)


def _get_strings(reader: _Reader, limit: int) -> tuple[str, ...]:
    data = reader.sized(limit)
    if not data:
        return ()
    if data[-1] != 0:
        raise ProtocolError("strings without a NUL at their end")
    return tuple(_text(item) for item in data[:-1].split(b"\0"))


_Put = Callable[..., bytes]
_Get = Callable[[_Reader, int], object]
_KINDS: dict[str, tuple[_Put, _Get, int]] = {
    "int": (_put_int, _get_int, 0),
    "float": (_put_float, _get_float, 0),
    "bool": (_put_bool, _get_bool, 0),
    "str": (_put_str, _get_str, MAX_TEXT),
    "tuple[str, ...]": (_put_strings, _get_strings, MAX_ARGV_AND_ENV),
}


def _schema(cls: type[Message]) -> tuple[tuple[str, _Put, _Get, int], ...]:
    rows = []
    for field in fields(cls):
        put, get, limit = _KINDS[str(field.type)]
        rows.append((field.name, put, get, MAX_REPORT if field.name == "report" else limit))
    return tuple(rows)


_CLASSES = tuple(
    thing
    for thing in vars(messages).values()
    if isinstance(thing, type) and issubclass(thing, Message) and thing is not Message
)
_SCHEMAS = {cls: (number, _schema(cls)) for number, cls in enumerate(_CLASSES)}


def encode(message: Message) -> bytes:
    """The packet for a message. ValueError where a field is too large or out of range."""
    number, schema = _SCHEMAS[type(message)]
    try:
        data = bytes([number]) + b"".join(put(getattr(message, name), limit) for name, put, _, limit in schema)
    except (struct.error, UnicodeEncodeError) as error:
        raise ValueError(f"{type(message).__name__}: {error}") from None
    if len(data) > MAX_MESSAGE:
        raise ValueError(f"{type(message).__name__} of {len(data)} bytes, at most {MAX_MESSAGE}")
    return data


def decode(data: bytes) -> Message:
    """The message in a packet. ProtocolError where it is not exactly one."""
    reader = _Reader(data)
    number = reader.take(1)[0]
    if number >= len(_CLASSES):
        raise ProtocolError(f"no message has the number {number}")
    cls = _CLASSES[number]
    values = [get(reader, limit) for _, _, get, limit in _SCHEMAS[cls][1]]
    if not reader.at_end():
        raise ProtocolError(f"{cls.__name__} with more behind it")
    return cls(*values)
