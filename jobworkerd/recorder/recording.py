"""One job's output: its two pipes moved to its two files, byte for byte, and indexed.

Every method but the constructor runs in a worker, for each may hang on a pipe or a disk. splice(2)
moves bytes from pipe to file in one step, so a recorder killed at any moment loses and doubles none;
the next one goes on at the file's size.
"""

from __future__ import annotations

import array
import errno
import fcntl
import functools
import os
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from jobworkerd.channel.messages import (
    Message,
    Open,
    Opened,
    OpenFailed,
    OutputClosed,
    OutputHeld,
    OutputLimit,
    OutputPaused,
)

from .folder import Files, open_files
from .index import Index
from .pool import Pool
from .punch import BLOCK, punch

_TURN = 1 << 20
_SMALL_PIPE = 64 * 1024
_LARGE_PIPE = 1 << 20
_GROWTH = 48 << 20
_SLACK = 1 << 20
"""Bytes at most that a ring grows over its limit before its oldest bytes go."""

_LAST_WORDS = 16 << 20
"""Bytes taken beyond the limit while a job is being stopped for it."""

_SPLICE_F_NONBLOCK = 2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class Budget:
    """What grown pipes may cost in all: kernel memory, charged to root."""

    def __init__(self, room: int = _GROWTH) -> None:
        self._room = room
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether there was as much."""
        with self._lock:
            if self._room < count:
                return False
            self._room -= count
            return True

    def give(self, count: int) -> None:
        """Back."""
        with self._lock:
            self._room += count


@dataclass(slots=True)
class _Stream:
    """One pipe and its file. ``number`` is 0 for stdout, 1 for stderr; the index counts from 1."""

    number: int
    pipe: int
    offset: int = 0  # bytes in the file
    indexed: int = 0  # of those, in the index
    capacity: int = _SMALL_PIPE
    grown: int = 0
    paused: int = 0  # the errno
    retrying: bool = False
    done: bool = False  # nothing more is taken
    left: int = -1  # after the job's end: what may still be taken; -1: as long as there is any
    over: bool = False  # beyond its limit, and said so
    cut: bool = False  # there was more than is recorded
    lock: threading.Lock = field(default_factory=threading.Lock)


class Recording:
    """From Open to Close. ``say`` hands a message to the main thread."""

    def __init__(
        self, message: Open, pipes: tuple[int, ...], pool: Pool, budget: Budget, say: Callable[[Message], None]
    ) -> None:
        self.job_id = message.job_id
        self._message = message
        self._pool = pool
        self._budget = budget
        self._say = say
        self._streams = tuple(_Stream(number, pipe) for number, pipe in enumerate(pipes))
        self._files: Files | None = None
        self._index: Index | None = None
        self._lock = threading.Lock()
        self._in_order = threading.Lock()
        self._held = [False, False]
        self._ring = message.ring and message.max_output > 0

    # --- in the order of the messages ---------------------------------------------------------

    def open(self, log_dir: str) -> None:
        """Makes or finds the files, then watches the pipes."""
        with self._in_order:
            try:
                self._open(log_dir)
            except OSError as error:
                self._forget_pipes()
                text = f"cannot open output files in {log_dir}: {error.strerror}"
                self._say(OpenFailed(self.job_id, error.errno or errno.EIO, text))
                return
            # Said first: what is moved from now on may be reported in any order.
            self._say(Opened(self.job_id))
            for stream in self._streams:
                held = self._held_teller(stream.number)
                self._pool.watch(stream.pipe, lambda stream=stream: self._move(stream), held)  # type: ignore[misc]

    def ended(self) -> None:
        """The job is empty: take what is left of each pipe, at most what it can hold."""
        with self._in_order:
            if self._files is None:
                return
            for stream in self._streams:
                with stream.lock:
                    stream.left = fcntl.fcntl(stream.pipe, fcntl.F_GETPIPE_SZ)
                self._pool.forget(stream.pipe)
                self._drain(stream)

    def retry(self) -> None:
        """There may be room again: for the main thread, and once at a time, for a worker may be held at it."""
        for stream in self._streams:
            if stream.paused and not stream.retrying:
                stream.retrying = True
                self._pool.submit(functools.partial(self._retry, stream), self._held_teller(stream.number))

    def _retry(self, stream: _Stream) -> None:
        try:
            if stream.left >= 0:
                self._drain(stream)
            else:
                self._move(stream)
        finally:
            stream.retrying = False

    def close(self, fds: tuple[int, ...]) -> None:
        """Closes the pipes for good, the runner's ends of them first. May hang."""
        with self._in_order:
            for fd in fds:
                os.close(fd)
            self._forget_pipes()

    # --- moving -------------------------------------------------------------------------------

    def _move(self, stream: _Stream) -> None:
        """One turn of one pipe, then it is armed again, behind those that wait."""
        with stream.lock:
            if stream.done or stream.left >= 0:
                return
            try:
                room = self._room(stream)
                if room <= 0 or self._splice(stream, min(_TURN, room)) == 0:
                    self._pool.forget(stream.pipe)  # cut off, or every write end is closed
                    self._go_on(stream)
                    return
            except BlockingIOError:
                pass
            except OSError as error:
                self._pause(stream, error)
                return
            self._go_on(stream)
            self._pool.arm(stream.pipe)

    def _drain(self, stream: _Stream) -> None:
        with stream.lock:
            try:
                while not stream.done and stream.left > 0:
                    room = self._room(stream)
                    if room <= 0:
                        stream.cut = _holds_any(stream.pipe)
                        break
                    moved = self._splice(stream, min(stream.left, room))
                    stream.left -= moved
                    if moved == 0:
                        break
            except BlockingIOError:
                pass
            except OSError as error:
                self._pause(stream, error)
                return
            if stream.indexed < stream.offset:
                return  # paused by the index
            self._go_on(stream)
            stream.done = True
        self._finish_if_done()

    def _splice(self, stream: _Stream, count: int) -> int:
        """Moves up to ``count`` bytes and indexes them; how many.

        OSError where there is no room, BlockingIOError where there is nothing to move.
        """
        assert self._files is not None
        if stream.indexed < stream.offset:
            self._add_to_index(stream)
        moved = os.splice(
            stream.pipe,
            self._files.streams[stream.number],
            count,
            offset_dst=stream.offset,
            flags=_SPLICE_F_NONBLOCK,
        )
        if moved:
            stream.offset += moved
            self._add_to_index(stream)
            if self._message.max_output:
                self._keep_within_limit(stream)
            if moved * 4 >= stream.capacity * 3:
                self._grow(stream)
        return moved

    def _add_to_index(self, stream: _Stream) -> None:
        assert self._index is not None
        with self._lock:
            self._index.add(stream.number + 1, stream.offset - stream.indexed)
        stream.indexed = stream.offset

    def _room(self, stream: _Stream) -> int:
        """How much more of a stream may be taken at all."""
        limit = self._message.max_output
        if not limit or self._ring:
            return _TURN
        assert self._index is not None
        return limit + _LAST_WORDS - self._index.weight(stream.number + 1)

    def _keep_within_limit(self, stream: _Stream) -> None:
        """The oldest bytes go, or the runner is told, and ends the job. OSError."""
        assert self._index is not None
        if self._ring:
            self._turn_the_ring(stream)
        elif self._index.weight(stream.number + 1) > self._message.max_output and not stream.over:
            stream.over = True
            self._say(OutputLimit(self.job_id))

    def _turn_the_ring(self, stream: _Stream) -> None:
        assert self._index is not None
        assert self._files is not None
        number, limit = stream.number + 1, self._message.max_output
        if self._index.weight(number) <= limit + min(_SLACK, limit // 8):
            return
        try:
            with self._lock:
                before = self._index.first(number)
                first = self._index.shrink(number, limit)
            punch(self._files.streams[stream.number], before // BLOCK * BLOCK, first // BLOCK * BLOCK)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._ring = False  # this file system keeps what it has: then the limit ends the job

    def _grow(self, stream: _Stream) -> None:
        """A pipe found full gets more room; where the kernel says no, it stays as it is."""
        if stream.grown or not self._budget.take(_LARGE_PIPE):
            return
        try:
            stream.capacity = fcntl.fcntl(stream.pipe, fcntl.F_SETPIPE_SZ, _LARGE_PIPE)
            stream.grown = _LARGE_PIPE
        except OSError:
            self._budget.give(_LARGE_PIPE)
            stream.grown = -1

    # --- states told --------------------------------------------------------------------------

    def _pause(self, stream: _Stream, error: OSError) -> None:
        number = error.errno if error.errno in _NO_ROOM else errno.EIO
        assert number is not None
        told = any(each.paused for each in self._streams)
        stream.paused = number
        if not told:
            self._say(OutputPaused(self.job_id, number))

    def _go_on(self, stream: _Stream) -> None:
        if stream.paused:
            stream.paused = 0
            if not any(each.paused for each in self._streams):
                self._say(OutputPaused(self.job_id, 0))

    def _held_teller(self, number: int) -> Callable[[bool], None]:
        def tell(held: bool) -> None:
            self._held[number] = held
            self._say(OutputHeld(self.job_id, *self._held))

        return tell

    def _finish_if_done(self) -> None:
        with self._lock:
            files, index = self._files, self._index
            if files is None or index is None or not all(stream.done for stream in self._streams):
                return
            self._files = None
        files.close()
        sizes = [index.end(number) for number in (1, 2)]
        firsts = [index.first(number) for number in (1, 2)]
        whole = not any(stream.cut for stream in self._streams)
        self._say(OutputClosed(self.job_id, sizes[0], sizes[1], firsts[0], firsts[1], complete=whole))

    # --- inside -------------------------------------------------------------------------------

    def _open(self, log_dir: str) -> None:
        name = f"{self.job_id}-{self._message.start_stamp}"
        files = open_files(log_dir, name, resume=self._message.resume)
        try:
            index = Index(files.index)
            for stream, fd in zip(self._streams, files.streams, strict=False):
                size = os.fstat(fd).st_size
                index.recover(stream.number + 1, size)
                stream.offset = stream.indexed = size
        except OSError:
            files.close()
            raise
        self._files, self._index = files, index

    def _forget_pipes(self) -> None:
        for stream in self._streams:
            self._pool.forget(stream.pipe)
            if stream.grown > 0:
                self._budget.give(stream.grown)
            os.close(stream.pipe)


def _holds_any(pipe: int) -> bool:
    """Whether bytes are left in it."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0] > 0
