"""One reader of one job's output: where it stands, and what it gets next.

It goes along the index, so each piece comes with its time. What a ring has given up before it was
read is told as gone: the ring's head is looked at again after each read, for it is published before
the hole is punched. A reader takes what there is and never waits for it; who follows waits in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .recorded import LARGEST_READ, RECORD, Piece, Recorded

_SMALLEST_CHUNK, _LARGEST_CHUNK = 16 * 1024, LARGEST_READ
_PART = 256
"""A reader that stops taking costs its last chunk, some five times over, in messages and buffers: that grows
with what it has taken, of which sockets and windows swallow from 4 to 40 MB for one that takes nothing."""

_DISK = ThreadPoolExecutor(4, "disk")
"""Of its own, so that no other call waits behind those who read what is not in memory."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """``data`` begins at ``offset`` of a stream (1 or 2), recorded at ``time_ns`` (0: not known)."""

    stream: int
    offset: int
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """Bytes ``offset`` to ``end`` of a stream are no longer kept."""

    stream: int
    offset: int
    end: int


Item = Chunk | Gone


class Reading:
    """From ``offsets`` on, which move with what was delivered; they are of the streams wanted and no other."""

    def __init__(
        self, files: Recorded, offsets: dict[int, int], *, in_order: bool = False, since_ns: int = 0
    ) -> None:
        self._files = files
        self.offsets = offsets
        self._in_order = in_order
        self._delivered = 0
        self._newest: dict[int, int] = {}  # of each stream, the position of its newest piece seen
        begin = files.begin(list(offsets))
        if since_ns:
            self._position = files.seek(begin, lambda piece: piece.time_ns < since_ns)
            self._begins = set(offsets)  # streams whose first piece is yet to come, and says where they begin
        else:
            self._position = min(
                files.seek(begin, lambda piece: piece.end <= offsets[piece.stream], stream)
                for stream in offsets
            )
            self._begins = set()

    async def until(self, ends: dict[int, int] | None) -> AsyncIterator[Item]:
        """All that is indexed by now, of each stream up to its end where there are ends."""
        while pieces := self._next(ends):
            for piece in pieces if self._in_order else _by_stream(pieces):
                async for item in self._deliver(piece, ends):
                    yield item

    async def unindexed(self, ends: dict[int, int]) -> AsyncIterator[Item]:
        """What a runner's death has left behind the index's end, without its time."""
        for stream in set(self.offsets) - self._begins:
            end = min(ends[stream], self._files.size(stream))
            async for item in self._deliver(Piece(0, 0, stream, self.offsets[stream], end), ends):
                yield item

    def _next(self, ends: dict[int, int] | None) -> list[Piece]:
        """Pieces that are wanted in some part; empty where there are none by now."""
        seen = [self._files.piece_at(position) for position in self._newest.values()]
        pieces = [piece for piece in seen if piece is not None]
        while True:
            further = self._files.pieces(self._position)
            if further:
                self._position = further[-1].position + RECORD.size
            for piece in further:
                if piece.stream in self.offsets:
                    self._newest[piece.stream] = piece.position
            wanted = [piece for piece in (*pieces, *further) if self._wants(piece, ends)]
            if not further or wanted:
                break
        return wanted

    def _wants(self, piece: Piece, ends: dict[int, int] | None) -> bool:
        offset = self.offsets.get(piece.stream)
        return offset is not None and offset < piece.end and (ends is None or offset < ends[piece.stream])

    async def _deliver(self, piece: Piece, ends: dict[int, int] | None) -> AsyncIterator[Item]:
        stream, offsets = piece.stream, self.offsets
        if stream in self._begins:
            self._begins.remove(stream)
            offsets[stream] = max(offsets[stream], piece.offset)
        end = piece.end if ends is None else min(piece.end, ends[stream])
        while (offset := offsets[stream]) < end:
            count = min(end - offset, max(_SMALLEST_CHUNK, min(self._delivered // _PART, _LARGEST_CHUNK)))
            first = self._files.first(stream)
            if first <= offset:
                data = await self._read(stream, offset, count)
                first = self._files.first(stream)
            if first > offset:
                offsets[stream] = first
                yield Gone(stream, offset, first)
                continue
            if not data:
                return  # shorter than it was said to be: the host lost power
            offsets[stream] = offset + len(data)
            yield Chunk(stream, offset, piece.time_ns, data)
            self._delivered += len(data)

    async def _read(self, stream: int, offset: int, count: int) -> bytes:
        try:
            return self._files.read(stream, offset, count)
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_DISK, self._files.read_from_disk, stream, offset, count)


def _by_stream(pieces: Iterable[Piece]) -> list[Piece]:
    """Those that continue one another as one, where the order between the streams does not matter."""
    joined: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece.stream):
        last = joined[-1] if joined else None
        if last is not None and last.stream == piece.stream and piece.offset <= last.end:
            joined[-1] = Piece(last.position, last.time_ns, last.stream, last.offset, max(last.end, piece.end))
        else:
            joined.append(piece)
    return joined
