"""Where a job's output goes: as it is, with the time before each line, or as one JSON object a line.

A sink gets chunks in order and says nothing of connections. Every one of them takes bytes that are no
text, a line without an end, and a last line without a newline.
"""

from __future__ import annotations

import base64
import json
from typing import Protocol

from jobworkerd.v1 import jobworker_pb2 as pb

from . import render, streams
from .signals import Signals

TARGETS = {pb.STDOUT: streams.STDOUT, pb.STDERR: streams.STDERR}
NAMES = {pb.STDOUT: "stdout", pb.STDERR: "stderr"}
_LONGEST = 64 * 1024
"""Bytes of a line that one JSON object holds; a longer line is several."""


class Sink(Protocol):
    """One of the three."""

    def take(self, chunk: pb.OutputChunk, written: list[int]) -> None:
        """Writes it. ``written`` adds up to the bytes of it that are out, also where a signal ends it early."""

    def close(self) -> None:
        """Writes what is left."""


class Raw:
    """The job's stdout to stdout and stderr to stderr."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def take(self, chunk: pb.OutputChunk, written: list[int]) -> None:
        """See Sink."""
        with self._signals.raising():
            streams.write(TARGETS[chunk.stream], chunk.data, written)

    def close(self) -> None:
        """Nothing is held back."""


class Timed:
    """The same, with the time before each line at which its first byte was recorded."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._in_line: set[int] = set()  # streams whose last line has not ended

    def take(self, chunk: pb.OutputChunk, written: list[int]) -> None:
        """See Sink."""
        prefix = f"{render.rfc3339(chunk.time) or '-'} ".encode()
        ended = chunk.data.endswith(b"\n")
        body = chunk.data[:-1] if ended else chunk.data
        text = body.replace(b"\n", b"\n" + prefix) + (b"\n" if ended else b"")
        if chunk.stream not in self._in_line:
            text = prefix + text
        (self._in_line.discard if ended else self._in_line.add)(chunk.stream)
        written.append(len(chunk.data))  # interrupted here, it is not gone on with
        with self._signals.raising():
            streams.write(TARGETS[chunk.stream], text)

    def close(self) -> None:
        """Nothing is held back."""


class Objects:
    """{stream, time, offset, text, partial} each, base64 for text where it is no UTF-8; or an array of them."""

    def __init__(self, signals: Signals, *, array: bool = False) -> None:
        self._signals = signals
        self._before = "[" if array else ""
        self._between, self._after = (",\n", "]\n") if array else ("\n", "\n")
        self._any = False
        self._held: dict[int, tuple[int, str | None, bytes]] = {}  # offset, time and beginning of a line

    def take(self, chunk: pb.OutputChunk, written: list[int]) -> None:
        """See Sink."""
        time = render.rfc3339(chunk.time)
        offset, first_time, data = self._held.pop(chunk.stream, (chunk.offset, time, b""))
        if offset + len(data) != chunk.offset:  # something in between is gone
            self._put(chunk.stream, offset, first_time, data, partial=True)
            offset, first_time, data = chunk.offset, time, b""
        for line in _lines(data + chunk.data):
            while len(line) > _LONGEST:
                part = _whole_characters(line[:_LONGEST])
                self._put(chunk.stream, offset, first_time, part, partial=True)
                offset, first_time, line = offset + len(part), time, line[len(part) :]
            if not line.endswith(b"\n"):
                self._held[chunk.stream] = (offset, first_time, line)
                break
            self._put(chunk.stream, offset, first_time, line[:-1], partial=False)
            offset, first_time = offset + len(line), time
        written.append(len(chunk.data))

    def close(self) -> None:
        """Last lines without a newline, and the array's end."""
        for stream, (offset, time, data) in self._held.items():
            if data:
                self._put(stream, offset, time, data, partial=True)
        self._held.clear()
        if self._any or self._before:
            self._write((self._before if not self._any else "") + self._after)

    def _put(self, stream: int, offset: int, time: str | None, data: bytes, *, partial: bool) -> None:
        record: dict[str, object] = {"stream": NAMES[stream], "time": time, "offset": offset}  # type: ignore[index]
        try:
            record["text"] = data.decode()
        except UnicodeDecodeError:
            record["base64"] = base64.b64encode(data).decode()
        record["partial"] = partial
        self._write((self._between if self._any else self._before) + json.dumps(record))
        self._any = True

    def _write(self, text: str) -> None:
        with self._signals.raising():
            streams.write_text(text)


def _lines(data: bytes) -> list[bytes]:
    """With their newlines; the last one without, where it has none."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _whole_characters(data: bytes) -> bytes:
    """Without the beginning of a UTF-8 character at its end."""
    for back in range(1, 4):
        if data[-back] & 0xC0 != 0x80:
            return data[:-back] if data[-back] >= 0xC0 else data
    return data
