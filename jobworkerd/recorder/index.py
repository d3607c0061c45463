"""The index beside a job's two files: when which bytes were recorded, and from where on they are kept.

Fixed records of 32 bytes, little-endian: time in nanoseconds since the epoch (u64), stream (u32: 1
stdout, 2 stderr), flags (u32), offset in the stream (u64), length (u64). The first two are the heads
of stdout and stderr (flag HEAD): offset is the first byte still kept, length the position in this file
of the first record still needed for it. All others are pieces. Pieces of one stream moved within a
millisecond of each other are one record, written again as it grows. What a recorder's crash left
unindexed becomes one piece per stream (flag RECOVERED: the time is that of the recovery). Records that
are no longer needed are punched out, a block at a time, and read as zeros.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .punch import BLOCK, punch

RECORD = struct.Struct("<QIIQQ")
RECOVERED, HEAD = 1, 2
HEADS = 2 * RECORD.size
_MERGE_NS = 1_000_000
_BATCH = RECORD.size * 4096


@dataclass(slots=True)
class _Last:
    """The newest record of a stream: where it stands, when it began, and what it covers."""

    position: int
    time_ns: int
    offset: int
    length: int


@dataclass(slots=True)
class _Kept:
    """What a stream's records cover: from ``first`` to ``end``, ``records`` of them from ``position`` on."""

    first: int = 0
    end: int = 0
    position: int = HEADS
    records: int = 0

    @property
    def weight(self) -> int:
        """Bytes on disk, of output and index together."""
        return self.end - self.first + self.records * RECORD.size


class Index:
    """One job's index file, appended to by whoever holds the job's lock."""

    def __init__(self, fd: int) -> None:
        """Goes on behind the last whole record; one cut short by a crash is written over. OSError."""
        self._fd = fd
        self._size = max(HEADS, os.fstat(fd).st_size // RECORD.size * RECORD.size)
        self._last: dict[int, _Last] = {}
        self._kept = {1: _Kept(), 2: _Kept()}
        for stream, kept in self._kept.items():
            _, _, flags, first, position = RECORD.unpack(self._read(_place(stream), RECORD.size))
            if flags & HEAD:
                kept.first = kept.end = first
                kept.position = position
            else:
                self._write_head(stream)
        for _, _, stream, _, offset, length in self._records(
            min(kept.position for kept in self._kept.values())
        ):
            kept = self._kept[stream]
            if offset + length > kept.first:
                kept.end = offset + length
                kept.records += 1

    def end(self, stream: int) -> int:
        """How far the stream is indexed."""
        return self._kept[stream].end

    def first(self, stream: int) -> int:
        """The first byte that is kept."""
        return self._kept[stream].first

    def weight(self, stream: int) -> int:
        """Bytes that a stream takes on disk, its records counted."""
        return self._kept[stream].weight

    def add(self, stream: int, length: int) -> None:
        """So many more bytes of a stream have been moved now. OSError: no room."""
        now = time.time_ns()
        kept, last = self._kept[stream], self._last.get(stream)
        if last is not None and 0 <= now - last.time_ns < _MERGE_NS:
            self._write(last.position, last.time_ns, stream, 0, last.offset, last.length + length)
            last.length += length
        else:
            self._append(now, stream, 0, kept.end, length)
            self._last[stream] = _Last(self._size - RECORD.size, now, kept.end, length)
        kept.end += length

    def recover(self, stream: int, size: int) -> None:
        """The file is ``size`` bytes long: what lies behind the index's end was moved by a dead recorder."""
        kept = self._kept[stream]
        if size > kept.end:
            self._append(time.time_ns(), stream, RECOVERED, kept.end, size - kept.end)
            kept.end = size

    def shrink(self, stream: int, weight: int) -> int:
        """Gives up a stream's oldest bytes until it weighs no more than that; the new first offset.

        The new head is written before anything is punched out of this file; for the stream's own file
        the caller does the same. The newest record may still grow, and stays. OSError.
        """
        kept, last = self._kept[stream], self._last.get(stream)
        block = kept.position // BLOCK
        needed = [max(0, block - 1)]  # blocks of this file that stay; the first has the heads in it
        for position, _, other, _, offset, length in self._records(max(HEADS, block * BLOCK)):
            end = offset + length
            if end <= self._kept[other].first:
                continue
            if other != stream:
                needed.append(position // BLOCK)
                continue
            kept.position = position
            excess = kept.weight - weight
            if excess < end - kept.first or (last and position == last.position):
                kept.first += max(0, min(excess, end - kept.first))
                break
            kept.first = end
            kept.records -= 1
        else:
            kept.position = self._size
        self._write_head(stream)
        needed.append(kept.position // BLOCK)
        for before, after in itertools.pairwise(needed):
            if after - before > 1:
                punch(self._fd, (before + 1) * BLOCK, after * BLOCK)
        return kept.first

    def _records(self, begin: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """(position, time, stream, flags, offset, length) from there on; what was punched out is skipped."""
        at = begin
        while at < self._size:
            data = self._read(at, min(_BATCH, self._size - at))
            for number, record in enumerate(RECORD.iter_unpack(data)):
                if record[1]:
                    yield (at + number * RECORD.size, *record)
            at += len(data)

    def _append(self, *record: int) -> None:
        self._write(self._size, *record)
        self._size += RECORD.size
        self._kept[record[1]].records += 1

    def _write_head(self, stream: int) -> None:
        kept = self._kept[stream]
        self._write(_place(stream), time.time_ns(), stream, HEAD, kept.first, kept.position)

    def _write(self, position: int, *record: int) -> None:
        os.pwrite(self._fd, RECORD.pack(*record), position)

    def _read(self, position: int, count: int) -> bytes:
        """Zeros where the file is shorter."""
        return os.pread(self._fd, count, position).ljust(count, b"\0")


def _place(stream: int) -> int:
    """Of a stream's head."""
    return (stream - 1) * RECORD.size
