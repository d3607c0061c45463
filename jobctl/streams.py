"""The standard streams, also where they are full, closed or non-blocking: whole writes or a Failure."""

from __future__ import annotations

import os
import select
import sys

from .failure import FAILED, Failure

STDOUT, STDERR = 1, 2
_NAMES = {STDOUT: "standard output", STDERR: "standard error"}


def prepare() -> None:
    """Before any other file is opened. A closed descriptor of 0 to 2 is given a place.

    Otherwise the next socket would get its number, and what is printed would go into the
    connection. Standard output is opened for reading, so that writing it still is an error.
    """
    for fd, flags in ((0, os.O_RDONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free: fd
    if sys.stdout is None:
        sys.stdout = open(STDOUT, "w", closefd=False)  # noqa: SIM115 -- it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", closefd=False)  # noqa: SIM115 -- it lives as long as the process


def write(fd: int, data: bytes, written: list[int] | None = None) -> None:
    """All of it. Failure where it cannot be written; BrokenPipeError where the reader has gone.

    ``written`` adds up to what is out, also where a signal's exception ends this: a signal can come
    between a write and the next line, but not between one C function and the next, so no other way of
    counting is exact.
    """
    counts: list[int] = [] if written is None else written
    before = sum(counts)
    while (done := sum(counts) - before) < len(data):
        try:
            counts.extend(map(os.write, (fd,), (memoryview(data)[done:],)))
        except BlockingIOError:
            select.select([], [fd], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(
                FAILED, "OUTPUT_NOT_WRITTEN", f"cannot write to {_NAMES[fd]}: {error.strerror}"
            ) from None


def write_text(text: str) -> None:
    """To standard output; what its encoding lacks as backslash escapes."""
    write(STDOUT, text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def tell(text: str) -> None:
    """To standard error, as far as somebody is there to read it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return
