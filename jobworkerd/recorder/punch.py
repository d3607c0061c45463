"""Holes in files: fallocate(2), which the standard library lacks in this form."""

from __future__ import annotations

import ctypes
import os

BLOCK = 4096
"""Bytes in which file systems keep a file; a hole smaller than one frees nothing."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def punch(fd: int, begin: int, end: int) -> None:
    """Bytes ``begin`` to ``end`` read as zeros from now on and take no room. OSError."""
    if begin < end and _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, begin, end - begin):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
