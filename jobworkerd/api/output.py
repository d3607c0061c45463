"""Where a job's output lies, how large it is, and its ends, for the unary answers.

The files are the recorder's; here they are opened for reading, never through a link, in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from jobworkerd.config import Config

from .recorded import Recorded
from .store import Row

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


async def extent(config: Config, row: Row) -> tuple[tuple[int, int], tuple[int, int]]:
    """Bytes of stdout and stderr so far, then the first byte kept of each."""
    if row.output_closed and row.output_complete:
        return (row.stdout_bytes, row.stderr_bytes), (row.stdout_first, row.stderr_first)
    return await asyncio.to_thread(_extent, folder(config, row))


async def tails(config: Config, row: Row, count: int) -> tuple[Tail, Tail]:
    """The last ``count`` bytes of each stream; nothing where nothing was started."""
    return await asyncio.to_thread(_tails, folder(config, row), count)


def _extent(folder: str) -> tuple[tuple[int, int], tuple[int, int]]:
    try:
        files = Recorded(folder)
    except FileNotFoundError:
        return (0, 0), (0, 0)
    with contextlib.closing(files):
        return (files.size(1), files.size(2)), (files.first(1), files.first(2))


def _tails(folder: str, count: int) -> tuple[Tail, Tail]:
    try:
        files = Recorded(folder)
    except FileNotFoundError:
        return Tail(b"", 0), Tail(b"", 0)
    with contextlib.closing(files):
        return _tail(files, 1, count), _tail(files, 2, count)


def _tail(files: Recorded, stream: int, count: int) -> Tail:
    offset = max(files.size(stream) - count, 0)
    data = files.read_from_disk(stream, offset, count)
    gone = max(files.first(stream) - offset, 0)  # of a ring that turned meanwhile, or holds less than that
    return Tail(data[gone:], offset + gone)
