"""Signals to jobctl, and the waits that they end.

A handler must not raise into grpc: an exception in the wrong place there leaves a channel that can
never be closed. So a caught signal is put aside and wakes the main thread, whose next wait raises
``Interrupted``. Only where ``raising`` says so, as around a write that may block, it is raised at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

from .failure import INTERRUPTED

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """jobctl got a signal. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """For the main thread. Until ``caught``, signals do what they always did."""

    def __init__(self) -> None:
        self._pending: deque[BaseException] = deque()
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._raises = False

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """INT, TERM and HUP become Interrupted. One that was ignored stays ignored: nohup means it."""
        before = {number: signal.getsignal(number) for number in _CAUGHT}
        for number, disposition in before.items():
            if disposition is not signal.SIG_IGN:
                signal.signal(number, self._catch)
        try:
            yield
        finally:
            for number, disposition in before.items():
                signal.signal(number, disposition)

    def wait_until(self, done: Callable[[], object], seconds: float | None = None) -> None:
        """Until ``done()``, of which ``wake`` tells, or until the time has passed. Interrupted."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done():
            self._check()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                self._wakeups.get(timeout=left)
            except queue.Empty:
                return

    def post(self, event: BaseException) -> None:
        """Raised by the next ``wait_until``; from any thread."""
        self._pending.append(event)
        self.wake()

    def wake(self, _: object = None) -> None:
        """Lets ``wait_until`` look again; from any thread, as a callback of anything."""
        self._wakeups.put(None)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Here, where nothing of grpc is on the stack, a signal raises Interrupted at once."""
        self._raises = True
        try:
            self._check()
            yield
        finally:
            self._raises = False

    def _check(self) -> None:
        if self._pending:
            raise self._pending.popleft()

    def _catch(self, number: int, _: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise Interrupted(number)
        self.post(Interrupted(number))  # a SimpleQueue may be put into from a handler, also during its own get


def exit_on_int() -> None:
    """INT ends jobctl at once, wherever it is: whatever was printed is out, and grpc is not asked."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
