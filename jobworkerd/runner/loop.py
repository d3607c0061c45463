"""The runner's one blocking wait: descriptors and deadlines in, callbacks out.

A callback never waits. One that raises is a bug, written to the journal with its traceback, and
never a reason for the runner to die: its death would end every job.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
import traceback
from collections.abc import Callable

from jobworkerd.journal import ERROR, Journal

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT


class Timer:
    """A deadline on the monotonic clock; ``cancel`` forgets it."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Its callback will not be called."""
        self.callback = None


class Loop:
    """One epoll and a heap of timers."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()
        self._stopped = False

    def watch(self, fd: int, callback: Callable[[], None], events: int = READABLE) -> None:
        """Calls back whenever ``fd`` is ready (or hung up), until ``unwatch``."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """What ``fd`` is watched for."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forgets ``fd``; before it is closed, for epoll keeps what somebody else holds open."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back once, ``seconds`` from now."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.deadline, next(self._serial), timer))
        return timer

    def stop(self) -> None:
        """Makes ``run`` return."""
        self._stopped = True

    def run(self) -> None:
        """Turns until ``stop``."""
        while not self._stopped:
            self.turn()

    def turn(self) -> None:
        """Waits for the next thing and does all that is due."""
        for fd, _ in self._epoll.poll(self._patience()):
            # An earlier callback of this round may have unwatched it.
            callback = self._callbacks.get(fd)
            if callback is not None:
                self._call(callback)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                self._call(callback)

    def _patience(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            self._journal.event("bug", traceback.format_exc(), ERROR)
