"""What the tests of live output share: writers of known bytes, followers as processes, a memory's size."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import Worker

MIB = 1 << 20

# Random bytes on both streams or one, in small pieces, so many a second; and what they were, in a file.
WRITER = """
import hashlib, os, sys, time
fds, pieces, size, pause, sums = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
digests = {fd: hashlib.sha256() for fd in map(int, fds)}
begin = time.monotonic()
for number in range(pieces):
    for fd, digest in digests.items():
        data = os.urandom(size)
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    time.sleep(max(0.0, begin + (number + 1) * pause - time.monotonic()))
with open(sums + ".new", "w") as file:
    file.write(" ".join(each.hexdigest() for each in digests.values()))
os.rename(sums + ".new", sums)
"""


def writer(fds: str, pieces: int, size: int, pause: float, sums: Path) -> list[str]:
    """The command of a job that writes to each of ``fds`` ("1", "2" or "12"), and its digests to ``sums``."""
    return ["/usr/bin/python3", "-c", WRITER, fds, str(pieces), str(size), str(pause), str(sums)]


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def memory(pid: int) -> int:
    """Bytes of a process's memory, what it shares with others counted in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no Pss of {pid}")


class Follower:
    """A jobctl process whose stdout and stderr are files; started anew it may go on or begin again."""

    def __init__(self, worker: Worker, folder: Path, *args: str, **environment: str) -> None:
        self._worker = worker
        self._environment = worker.environment() | environment
        self.args = args
        self.out, self.err = folder / "out", folder / "err"
        folder.mkdir()
        self.process = self.start()

    def start(self, *more: str, mode: str = "wb") -> subprocess.Popen[bytes]:
        """Into the files anew, or with "ab" behind what is in them."""
        with self.out.open(mode) as out, self.err.open(mode) as err:
            self.process = subprocess.Popen(
                self._worker.argv(*self.args, *more), env=self._environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err,
            )  # fmt: skip
        return self.process

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    @property
    def size(self) -> int:
        """Bytes of stdout so far."""
        return self.out.stat().st_size

    def ends(self, seconds: float = 30) -> int:
        """The exit code."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def ended(processes: list[Any]) -> Iterator[None]:
    """None of them is left afterwards, nor stopped."""
    try:
        yield
    finally:
        for each in processes:
            process = getattr(each, "process", each)
            if process.poll() is None:
                process.kill()
            process.wait()
