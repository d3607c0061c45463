"""``jobctl logs`` of a large job, beside a bare gRPC stream of as many bytes and beside ssh and cat."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from . import ssh
from .memory import Following, peak
from .place import Place, seconds
from .rounds import Broken, say, take_turns
from .table import Row, Target

_BYTES = int(float(os.environ.get("BENCH_GB", "2")) * 10**9)
_SMALL = _BYTES // 8
"""Long enough for buffers and windows to be what they will be."""

_AT_LEAST = Target("ratio", 0.8)
_FLAT = Target("value", 16, at_most=True)


def rows(place: Place) -> list[Row]:
    """The rates, and what API and jobctl grow by on the way."""
    jobs = {count: _recorded(place, count) for count in (_SMALL, _BYTES)}
    name = f"logs of {_BYTES / 10**9:g} GB > /dev/null"
    read = [sys.executable, "-m", "bench.bare", "read", str(place.context), str(place.bare_port), str(_BYTES)]
    info = place.wait(jobs[_BYTES])
    logs = place.jobctl("logs", info.uuid)
    things: dict[str, Callable[[], float]] = {
        "jobctl": lambda: _rate(logs),
        "bare": lambda: _rate(read),
    }
    with ssh.server(place.folder) as (remote, why_not):
        if remote:
            things["ssh"] = lambda: _rate([*remote, "cat", info.stdout_path])
        with peak(place.peer("api")) as of_api:
            figures = take_turns("logs", things)
    held = {count: _most_of(place.jobctl("logs", job)) for count, job in jobs.items()}
    grown = held[_BYTES] - held[_SMALL]
    return [
        figures.row(f"{name} : bare gRPC", "jobctl", "bare", "MB/s", _AT_LEAST),
        figures.row(f"{name} : ssh cat", "jobctl", "ssh", "MB/s", _AT_LEAST)
        if remote
        else Row(f"{name} : ssh cat", note=f"skipped: {why_not}"),
        Row("  the API's most over what it held before", of_api.growth, of_api.before, None, "MiB RSS", _FLAT),
        Row(
            f"  jobctl's most over that for {_SMALL / 10**9:g} GB", grown, held[_SMALL], None, "MiB RSS", _FLAT
        ),
    ]


def _recorded(place: Place, count: int) -> str:
    say(f"recording {count:,} bytes")
    job = place.start("head", "-c", str(count), "/dev/zero").uuid
    info = place.wait(job)
    if info.stdout.bytes != count or info.stdout.first_offset:
        raise Broken(f"{info.stdout.first_offset} to {info.stdout.bytes} is kept of {count} bytes")
    return job


def _rate(argv: list[str]) -> float:
    return _BYTES / seconds(argv) / 10**6


def _most_of(argv: list[str]) -> float:
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        following = Following(process.pid)
        code = process.wait()
        following.end()
    if code:
        raise Broken(f"jobctl ended with {code}")
    return following.most
