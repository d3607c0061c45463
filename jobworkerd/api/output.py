"""Recorded output, read: tails for the unary answers, chunks for StreamOutput.

The files are the recorder's; here they are opened for reading, never through a link, and read in
threads. A reader takes what was there when it began.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from jobworkerd.config import Config

from .store import Row

CHUNK = 256 * 1024
"""Bytes a message: big enough to be fast, small enough that a stalled reader costs little."""

MAX_TAIL = 256 * 1024
DEFAULT_TAIL = 64 * 1024
STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a stream: ``data`` begins at ``offset``."""

    data: bytes
    offset: int


def folder(config: Config, row: Row) -> str:
    """Of the job's output, on this host."""
    return f"{config.server.log_dir}/{row.job_id}-{row.start_stamp}"


def path(config: Config, row: Row, stream: int) -> str:
    """Of one stream's file: 0 stdout, 1 stderr."""
    return f"{folder(config, row)}/{STREAMS[stream]}.log"


async def sizes(config: Config, row: Row) -> tuple[int, int]:
    """Bytes recorded: of a closed output what the record says, else of the files now."""
    if row.output_closed and row.output_complete:
        return row.stdout_bytes, row.stderr_bytes
    return await asyncio.to_thread(lambda: (_size(path(config, row, 0)), _size(path(config, row, 1))))


async def tail(file: str, count: int) -> Tail:
    """The last ``count`` bytes; nothing where the file is not there (nothing was started)."""
    return await asyncio.to_thread(_tail, file, count)


async def chunks(file: str, offset: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
    """(offset, bytes) from ``offset`` up to ``end``; fewer where the file is shorter than that."""
    if offset >= end:
        return
    fd = await asyncio.to_thread(_open, file)
    if fd is None:
        return
    try:
        while offset < end:
            data = await asyncio.to_thread(os.pread, fd, min(CHUNK, end - offset), offset)
            if not data:
                return
            yield offset, data
            offset += len(data)
    finally:
        os.close(fd)


def _open(file: str) -> int | None:
    try:
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _size(file: str) -> int:
    try:
        return os.stat(file, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _tail(file: str, count: int) -> Tail:
    fd = _open(file)
    if fd is None:
        return Tail(b"", 0)
    try:
        offset = max(0, os.fstat(fd).st_size - count)
        return Tail(os.pread(fd, count, offset), offset)
    finally:
        os.close(fd)
