"""A stream of messages read ahead by a thread, so that a signal can end the wait for the next one."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from .signals import Signals

_AHEAD = 4


class Reader:
    """An iterator over ``call``, which has ``cancel``. What it raises is raised here."""

    def __init__(self, call: Any, signals: Signals) -> None:  # noqa: ANN401 -- grpc has no type for it
        self._call = call
        self._signals = signals
        self._read: deque[Any] = deque()
        self._room = threading.Semaphore(_AHEAD)
        self._error: BaseException | None = None
        self._ended = False
        threading.Thread(target=self._run, daemon=True).start()

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 -- grpc has no type for it
        self._signals.wait_until(lambda: self._read or self._ended)
        if self._read:
            self._room.release()
            return self._read.popleft()
        raise self._error or StopIteration

    def cancel(self) -> None:
        """Ends the call, and with it the thread."""
        self._call.cancel()
        self._room.release()

    def _run(self) -> None:
        try:
            for message in self._call:
                self._room.acquire()
                self._read.append(message)
                self._signals.wake()
        except Exception as error:
            self._error = error
        self._ended = True
        self._signals.wake()
