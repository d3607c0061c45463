"""glibc's allocator, set for a process that makes a large message, sends it, and makes the next.

By default it returns the top of the heap to the kernel as soon as a message is freed, and takes it back
page fault by page fault: a third of the time of a stream. mallopt(3) by ctypes: where it is read from
the environment, it would be every program's.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 8 << 20
"""Bytes of free heap that stay."""

_MAPPED = 4 << 20
"""Blocks from this size on are mapped each by itself."""


def keep() -> None:
    """Before there are threads. A C library without mallopt stays as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)
