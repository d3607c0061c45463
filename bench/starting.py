"""What a start takes, on a connection that is there."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import bare
from .place import Place
from .rounds import say
from .table import Row

_COUNT, _COUNT_OF_UNITS = 200, 20
_UNIT = ["systemd-run", "--quiet", "--property=Type=exec", "/bin/true"]


def rows(place: Place) -> list[Row]:
    """Start of /bin/true until it is answered, beside a bare unary call; and systemd's own, where it runs."""
    say(f"{_COUNT} starts")
    ours, bare_calls = [], []
    with bare.connect(place.context, place.bare_port) as channel:
        echo: Any = channel.unary_unary(bare.ECHO, None, None)
        for number in range(_COUNT + 5):
            one = _ms(lambda: place.start("/bin/true"))
            other = _ms(lambda: echo(b"x" * 64))
            if number >= 5:  # both warm
                ours.append(one)
                bare_calls.append(other)
    value, baseline = statistics.median(ours), statistics.median(bare_calls)
    late = statistics.quantiles(ours, n=100)[98]
    return [
        Row("Start of /bin/true, median : bare unary call", value, baseline, value / baseline, "ms"),
        Row("Start of /bin/true, p99", late, unit="ms"),
        _of_systemd(value),
    ]


def _of_systemd(value: float) -> Row:
    name = "Start of /bin/true, median : systemd-run"
    if not Path("/run/systemd/system").is_dir():
        return Row(name, note="skipped: systemd does not run here")
    baseline = statistics.median(_ms(lambda: subprocess.run(_UNIT, check=True)) for _ in range(_COUNT_OF_UNITS))
    return Row(name, value, baseline, value / baseline, "ms")


def _ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000
