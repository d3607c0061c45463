"""Followers: how late a line reaches one, and what twenty of them cost the job that they watch."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .place import Place
from .rounds import COUNT, Broken, say, take_turns
from .table import Row, Target

_LINES, _APART_SECONDS = 200, 0.02
_FOLLOWERS = 20
_BLOCKS, _BLOCK = 50, 100_000
_PATIENCE_SECONDS = 60.0
# Each says that it is there, and begins when it is told to: by then everybody watches.
_TELLS_TIME = f"""
import os, sys, time
os.write(1, b"ready\\n")
open(sys.argv[1]).read()
for _ in range({_LINES}):
    time.sleep({_APART_SECONDS})
    os.write(1, b"%d\\n" % time.time_ns())
"""
_WRITES_BLOCKS = f"""
import os, sys, time
os.write(1, b"ready\\n")
open(sys.argv[1]).read()
block = (b"x" * 99 + b"\\n") * ({_BLOCK} // 100)
for _ in range({_BLOCKS}):
    left = block
    while left:
        left = left[os.write(1, left):]
    time.sleep(0.1)
"""


def latency(place: Place) -> list[Row]:
    """From a job's write to a byte out of ``jobctl logs -f``, beside the same lines through a pipe."""
    say(f"latency of {_LINES} lines")
    with _signal(place, "latency") as go:
        job = place.start("python3", "-c", _TELLS_TIME, str(go)).uuid
        ours = _delays(place.jobctl("logs", "-f", job), go)
        place.wait(job)
        piped = _delays(["python3", "-c", _TELLS_TIME, str(go)], go)
    middle, late = _quantiles(ours)
    piped_middle, piped_late = _quantiles(piped)
    name = "logs -f, a line's way, {} : through a pipe"
    target = Target("value", 20, at_most=True)
    return [
        Row(name.format("median"), middle, piped_middle, middle / piped_middle, "ms", target),
        Row(name.format("p99"), late, piped_late, late / piped_late, "ms"),
    ]


def followed(place: Place) -> list[Row]:
    """A job's run time with and without followers, who must get every byte."""
    things = {"watched": lambda: _run(place, _FOLLOWERS), "unwatched": lambda: _run(place, 0)}
    figures = take_turns("followers", things, min(COUNT, 3))
    target = Target("ratio", 1.05, at_most=True)
    name = f"1 MB/s for 5 s, {_FOLLOWERS} followers : none"
    return [figures.row(name, "watched", "unwatched", "s", target)]


def _run(place: Place, followers: int) -> float:
    with ExitStack() as stack:
        go = stack.enter_context(_signal(place, "followers"))
        job = place.start("python3", "-c", _WRITES_BLOCKS, str(go)).uuid
        copies = [place.folder / f"copy-{number}" for number in range(followers)]
        for copy in copies:
            stack.callback(copy.unlink)
        readers = [_follow(place, job, copy) for copy in copies]
        _wait_until_all_have_some(copies)
        begin = time.perf_counter()
        go.write_text("")
        place.wait(job)
        elapsed = time.perf_counter() - begin
        for reader, copy in zip(readers, copies, strict=True):
            code, size = reader.wait(), copy.stat().st_size
            if code or size != _BLOCKS * _BLOCK + len("ready\n"):
                raise Broken(f"a follower ended with {code} and {size} bytes")
    return elapsed


def _follow(place: Place, job: str, copy: Path) -> subprocess.Popen[bytes]:
    with copy.open("wb") as file:
        return subprocess.Popen(place.jobctl("logs", "-f", job), stdin=subprocess.DEVNULL, stdout=file)


def _wait_until_all_have_some(files: list[Path]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not all(file.stat().st_size for file in files):
        if time.monotonic() > deadline:
            raise Broken("a follower has got nothing")
        time.sleep(0.05)


@contextmanager
def _signal(place: Place, name: str) -> Iterator[Path]:
    """A FIFO: whoever reads it goes on when it is written."""
    path = place.folder / f"go-{name}"
    os.mkfifo(path)
    try:
        yield path
    finally:
        path.unlink()


def _delays(argv: list[str], go: Path) -> list[float]:
    """In milliseconds, of each line behind the first."""
    delays: list[float] = []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        go.write_text("")
        while line := process.stdout.readline():
            delays.append((time.time_ns() - int(line)) / 1e6)
    if process.returncode or len(delays) != _LINES:
        raise Broken(f"{len(delays)} lines came, and exit code {process.returncode}")
    return delays


def _quantiles(numbers: list[float]) -> tuple[float, float]:
    return statistics.median(numbers), statistics.quantiles(numbers, n=100)[98]
