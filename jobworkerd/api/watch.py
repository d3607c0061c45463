"""One inotify instance for all that is followed: readers sleep until a file they read from is written.

inotify(7) by ctypes: the standard library has no such call, and Debian's three modules for it are each
unmaintained or synchronous. It taxes whoever writes a watched file, so only what is followed is watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator

_IN_MODIFY = 0x2
_IN_Q_OVERFLOW, _IN_IGNORED = 0x4000, 0x8000
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """For the thread of the running event loop."""

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._readers: dict[int, set[asyncio.Event]] = {}
        asyncio.get_running_loop().add_reader(self._fd, self._tell)

    @contextlib.contextmanager
    def on(self, path: str, woken: asyncio.Event) -> Iterator[None]:
        """Sets ``woken`` at each write to that file. OSError: it is not there, or too many are watched."""
        # The kernel gives the same number for the same file, however often it is asked.
        number = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY))
        readers = self._readers.setdefault(number, set())
        readers.add(woken)
        try:
            yield
        finally:
            readers.discard(woken)
            if not readers and self._readers.get(number) is readers:
                del self._readers[number]
                _libc.inotify_rm_watch(self._fd, number)

    def _tell(self) -> None:
        data = os.read(self._fd, 64 * 1024)
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if mask & _IN_Q_OVERFLOW:
                told = [woken for readers in self._readers.values() for woken in readers]
            elif mask & _IN_IGNORED:
                told = list(self._readers.pop(number, ()))  # the file is gone, and may be watched no more
            else:
                told = list(self._readers.get(number, ()))
            for woken in told:
                woken.set()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
