"""The index beside a job's two files: when which bytes were recorded.

Fixed records of 32 bytes, little-endian: time in nanoseconds since the epoch (u64), stream (u32: 1
stdout, 2 stderr), flags (u32: bit 0 *recovered*, the time is a recorder's start), offset in the
stream (u64), length (u64). Pieces of one stream moved within a millisecond of each other are one
record. What a recorder's crash left unindexed becomes one *recovered* record per stream.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass

RECORD = struct.Struct("<QIIQQ")
RECOVERED = 1
_MERGE_NS = 1_000_000


@dataclass(slots=True)
class _Last:
    """The newest record of a stream: where it stands, when it began, and what it covers."""

    position: int
    time_ns: int
    offset: int
    length: int


class Index:
    """One job's index file, appended to by whoever holds the job's lock."""

    def __init__(self, fd: int) -> None:
        """Goes on behind the last whole record; one cut short by a crash is written over."""
        self._fd = fd
        self._size = os.fstat(fd).st_size // RECORD.size * RECORD.size
        self._last: dict[int, _Last] = {}
        self.bytes_indexed = self._covered()

    def add(self, stream: int, offset: int, length: int) -> None:
        """Bytes ``offset`` to ``offset + length`` of a stream have been moved now. OSError: no room."""
        now = time.time_ns()
        last = self._last.get(stream)
        if last is not None and 0 <= now - last.time_ns < _MERGE_NS and last.offset + last.length == offset:
            self._write(last.position, last.time_ns, stream, 0, last.offset, last.length + length)
            last.length += length
            return
        self._write(self._size, now, stream, 0, offset, length)
        self._last[stream] = _Last(self._size, now, offset, length)
        self._size += RECORD.size

    def recover(self, stream: int, size: int) -> None:
        """The file is ``size`` bytes long: what lies behind the index's end was moved by a dead recorder."""
        end = self.bytes_indexed.get(stream, 0)
        if size > end:
            self._write(self._size, time.time_ns(), stream, RECOVERED, end, size - end)
            self._size += RECORD.size

    def _write(self, position: int, *record: int) -> None:
        os.pwrite(self._fd, RECORD.pack(*record), position)

    def _covered(self) -> dict[int, int]:
        """The end of each stream as the records have it."""
        ends: dict[int, int] = {}
        for at in range(0, self._size, RECORD.size * 4096):
            data = os.pread(self._fd, min(RECORD.size * 4096, self._size - at), at)
            for _, stream, _, offset, length in RECORD.iter_unpack(data):
                ends[stream] = max(ends.get(stream, 0), offset + length)
        return ends
