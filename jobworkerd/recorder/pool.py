"""Worker threads: one shared epoll of pipes, one queue of other work, and a spare for each that is held.

A worker takes one thing at a time: a pipe that is readable (EPOLLONESHOT: nobody else gets it until
it is armed again) or a piece of queued work. The main thread looks, every 50 ms and only while
somebody is busy, for workers that have been at one thing for longer: each is replaced, and ends when
it comes back to enough idle ones. So ten jobs that hold their pipes cost ten threads, and no other
job's output waits.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from jobworkerd.journal import ERROR, Journal

Work = Callable[[], None]

HELD_SECONDS = 0.05
_AT_REST = 2
_STACK = 256 * 1024


@dataclass(slots=True, eq=False)
class Busy:
    """What a worker is at. ``held`` is what to tell when it is at it for too long, and when it is back."""

    since: float = 0.0  # 0: idle
    held: Callable[[bool], None] | None = None
    told: bool = False


class Pool:
    """Up to ``limit`` workers.

    ``wake`` makes the main thread call ``tick``, from then on every 50 ms while that says so.
    """

    def __init__(self, limit: int, wake: Callable[[], None], journal: Journal) -> None:
        self._limit = limit
        self._wake = wake
        self._journal = journal
        self._epoll = select.epoll()
        self._ready: dict[int, tuple[Work, Callable[[bool], None]]] = {}
        self._queue: deque[tuple[Work, Callable[[bool], None] | None]] = deque()
        self._queued = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._queued, select.EPOLLIN)
        self._lock = threading.Lock()
        self._workers: set[Busy] = set()
        self._watched = False
        threading.stack_size(_STACK)
        for _ in range(_AT_REST):
            self._hire()

    @property
    def size(self) -> int:
        """Threads there are."""
        return len(self._workers)

    def submit(self, work: Work, held: Callable[[bool], None] | None = None) -> None:
        """Queues work for any worker; ``held`` as in ``watch``."""
        self._queue.append((work, held))
        os.eventfd_write(self._queued, 1)

    def watch(self, fd: int, work: Work, held: Callable[[bool], None]) -> None:
        """Runs ``work`` once when ``fd`` is readable; ``arm`` for the next time."""
        self._ready[fd] = (work, held)
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def arm(self, fd: int) -> None:
        """Watches ``fd`` again; one that was forgotten meanwhile stays forgotten."""
        if fd in self._ready:
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """Before it is closed: the runner holds the same pipe, so epoll would not notice."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def tick(self) -> bool:
        """Main thread: replaces the held; whether to look again in HELD_SECONDS."""
        now = time.monotonic()
        # First false, then look: a worker that gets busy in between wakes us.
        self._watched = False
        busy = [worker for worker in list(self._workers) if worker.since]
        for worker in busy:
            if self._is_held(worker, now) and self._idle() == 0 and len(self._workers) < self._limit:
                self._hire()
        if busy:
            self._watched = True
        return bool(busy)

    def _is_held(self, worker: Busy, now: float) -> bool:
        """Whether it newly is, and says so: under the lock, for it may come back this moment."""
        with self._lock:
            if not worker.since or now - worker.since <= HELD_SECONDS or worker.told:
                return False
            worker.told = True
            if worker.held is not None:
                worker.held(True)
            return True

    def _idle(self) -> int:
        return sum(not worker.since for worker in list(self._workers))

    def _hire(self) -> None:
        worker = Busy()
        with self._lock:
            self._workers.add(worker)
        threading.Thread(target=self._work, args=(worker,), daemon=True).start()

    def _work(self, worker: Busy) -> None:
        while True:
            for fd, _ in self._epoll.poll(maxevents=1):
                self._take(fd, worker)
            if worker.told:
                worker.told = False
                if self._retire(worker):
                    return

    def _take(self, fd: int, worker: Busy) -> None:
        if fd == self._queued:
            try:
                os.eventfd_read(self._queued)
            except BlockingIOError:
                return  # another worker was faster
            work, held = self._queue.popleft()
        else:
            found = self._ready.get(fd)
            if found is None:
                return
            work, held = found
        worker.held = held
        worker.since = time.monotonic()
        if not self._watched:
            self._watched = True
            self._wake()
        try:
            work()
        except Exception as error:
            self._journal.event("bug", f"recorder: {type(error).__name__}: {error}", ERROR)
        finally:
            with self._lock:
                worker.since = 0.0
                if worker.told and held is not None:
                    held(False)

    def _retire(self, worker: Busy) -> bool:
        with self._lock:
            if self._idle() <= _AT_REST:
                return False
            self._workers.discard(worker)
        return True
