"""One job's three files, open for one reader. ``recorder/index.py`` writes the index and says what is in it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

RECORD = struct.Struct("<QIIQQ")
_HEADS = 2 * RECORD.size
_BATCH, _LOOK = 4096, 64
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
LARGEST_READ = 256 * 1024
_buffer = memoryview(bytearray(LARGEST_READ))
"""Of ``read``, for all readers: what it holds is copied before another can come."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes ``offset`` to ``end`` of a stream (1 or 2), recorded at ``time_ns``, said at ``position``."""

    position: int
    time_ns: int
    stream: int
    offset: int
    end: int


class Recorded:
    """Opened once the recorder has made the folder: FileNotFoundError before, OSError."""

    def __init__(self, folder: str) -> None:
        self.index_path = f"{folder}/index"
        self._fds: list[int] = []
        try:
            # Not a comprehension: those opened so far are closed on an error.
            for name in ("index", "stdout.log", "stderr.log"):
                self._fds.append(os.open(f"{folder}/{name}", _FLAGS))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Closes them."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def size(self, stream: int) -> int:
        """Bytes of a stream so far, those given up included."""
        return os.fstat(self._fds[stream]).st_size

    def first(self, stream: int) -> int:
        """The first byte of it that is kept."""
        return self._head(stream)[0]

    def read(self, stream: int, offset: int, count: int) -> bytes:
        """At once where it is in memory: BlockingIOError where a disk would have to be waited for.

        LARGEST_READ at most. For one thread, that of the event loop.
        """
        try:
            length = os.preadv(self._fds[stream], [_buffer[:count]], offset, os.RWF_NOWAIT)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise
            raise BlockingIOError from error  # a file system without RWF_NOWAIT
        return bytes(_buffer[:length])

    def read_from_disk(self, stream: int, offset: int, count: int) -> bytes:
        """For a thread: it may have to wait."""
        return os.pread(self._fds[stream], count, offset)

    def pieces(self, position: int, count: int = _BATCH) -> list[Piece]:
        """The next ones, up to ``count``, from a position in the index on; empty at its end."""
        while True:
            data = os.pread(self._fds[0], RECORD.size * count, position)
            if len(data) < RECORD.size:
                return []
            found = list(_pieces(data, position))
            if found:
                return found
            # Punched out: on to what is there.
            position = self._next_data(position + len(data) // RECORD.size * RECORD.size)

    def piece_at(self, position: int) -> Piece | None:
        """One of them, again: the newest of a stream may have grown, or a ring has given it up."""
        return next(_pieces(os.pread(self._fds[0], RECORD.size, position), position), None)

    def begin(self, streams: list[int]) -> int:
        """The position of the first piece that is kept of any of these."""
        return min(self._head(stream)[1] for stream in streams)

    def seek(self, begin: int, is_before: Callable[[Piece], bool], stream: int = 0) -> int:
        """By halving, a position from ``begin`` on before which ``is_before`` holds for every piece.

        It must hold up to some piece and for none behind that. With ``stream``, other streams do not count.
        """
        low, high = begin // RECORD.size, os.fstat(self._fds[0]).st_size // RECORD.size
        while low < high:
            middle = (low + high) // 2
            piece = self._next_of(middle * RECORD.size, high * RECORD.size, stream)
            if piece is not None and is_before(piece):
                low = piece.position // RECORD.size + 1
            else:
                high = middle
        return low * RECORD.size

    def _next_of(self, position: int, end: int, stream: int) -> Piece | None:
        while position < end and (found := self.pieces(position, _LOOK)):
            for piece in found:
                if piece.position < end and stream in (0, piece.stream):
                    return piece
            position = found[-1].position + RECORD.size
        return None

    def _head(self, stream: int) -> tuple[int, int]:
        """Its first byte that is kept, and the position of the first piece that is needed for it."""
        data = os.pread(self._fds[0], RECORD.size, (stream - 1) * RECORD.size)
        if len(data) < RECORD.size:
            return 0, _HEADS  # only just made
        _, _, _, first, position = RECORD.unpack(data)
        return first, max(position, _HEADS)

    def _next_data(self, position: int) -> int:
        try:
            found = os.lseek(self._fds[0], position, os.SEEK_DATA)
        except OSError:
            return position  # the end
        return max(position, found // RECORD.size * RECORD.size)


def _pieces(data: bytes, position: int) -> Iterator[Piece]:
    whole = memoryview(data)[: len(data) // RECORD.size * RECORD.size]
    for number, (time_ns, stream, _, offset, length) in enumerate(RECORD.iter_unpack(whole)):
        if stream:
            yield Piece(position + number * RECORD.size, time_ns, stream, offset, offset + length)
