"""What processes hold: idle, and at most during a measure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .place import Place
from .table import Row


def idle(place: Place) -> list[Row]:
    """Proportional, of each process of a worker that has had no call yet."""
    pids = {"runner": place.runner, "recorder": place.peer("recorder"), "API": place.peer("api")}
    sizes = {name: _kib(pid, "smaps_rollup", "Pss:") / 1024 for name, pid in pids.items()}
    rows = [Row(f"memory idle, {name}", size, unit="MiB PSS") for name, size in sizes.items()]
    return [*rows, Row("memory idle, in all", sum(sizes.values()), unit="MiB PSS")]


class Peak:
    """The most that a process has held, and held before, in MiB; 0 where it was not seen."""

    before = 0.0
    most = 0.0

    @property
    def growth(self) -> float:
        """Over what it held before."""
        return self.most - self.before


@contextmanager
def peak(pid: int) -> Iterator[Peak]:
    """Of a process that outlives this."""
    found = Peak()
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM begins anew
    found.before = _kib(pid, "status", "VmRSS:") / 1024
    yield found
    found.most = _kib(pid, "status", "VmHWM:") / 1024


class Following:
    """Looks at a process that ends by itself: its VmHWM only ever grows, so the last look has it."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        """Looks no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            try:
                self.most = max(self.most, _kib(self._pid, "status", "VmHWM:") / 1024)
            except (OSError, ValueError):
                return  # a zombie has none


def _kib(pid: int, file: str, field: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise ValueError(f"no {field} of {pid}")
