"""Jobs that write through the recorder, beside the same jobs writing to a file themselves."""

from __future__ import annotations

import functools
import shlex
import time
from pathlib import Path

from .place import Place, settle
from .rounds import Broken, take_turns
from .table import Row, Target

_LINES = 200_000
_LINE_WRITER = f"import os\nline = b'x' * 59 + b'\\n'\nfor _ in range({_LINES}): os.write(1, line)"
_AT_LEAST = Target("ratio", 0.75)
_MB = 10**6
# what it is, its shell command, its bytes, how many of them make one of the unit, the unit
_WRITERS = (
    ("1 GiB in writes of 1 MiB", "dd if=/dev/zero bs=1M count=1024 status=none", 1 << 30, _MB, "MB/s"),
    ("yes | head -c 500M", "yes | head -c 500M", 500 << 20, _MB, "MB/s"),
    (f"{_LINES:,} writes of 60 bytes", f"python3 -c {shlex.quote(_LINE_WRITER)}", 60 * _LINES, 60, "lines/s"),
)


def rows(place: Place) -> list[Row]:
    """Two for each writer."""
    return [row for writer in _WRITERS for row in _rows(place, *writer)]


def _rows(place: Place, what: str, command: str, count: int, per: int, unit: str) -> list[Row]:
    """To a file the job has no second process and no pipe; with cat it has what any recorder needs."""
    itself = place.folder / "itself"
    commands = {
        "recorder": command,
        "a file": f"{{ {command}; }} >{shlex.quote(str(itself))}",
        "cat >file": f"{{ {command}; }} | cat >{shlex.quote(str(itself))}",
    }

    def rate(name: str) -> float:
        return count / per / _run(place, commands[name], count, None if name == "recorder" else itself)

    figures = take_turns(what, {name: functools.partial(rate, name) for name in commands})
    return [
        figures.row(f"recorded, {what} : to {name}", "recorder", name, unit, target)
        for name, target in (("a file", _AT_LEAST), ("cat >file", None))
    ]


def _run(place: Place, command: str, count: int, output: Path | None) -> float:
    """From the call that starts it until all is in the file; that is removed, for it is the size of a disk."""
    settle()
    begin = time.perf_counter()
    info = place.wait(place.start("sh", "-c", command).uuid)
    elapsed = time.perf_counter() - begin
    path = output or Path(info.stdout_path)
    if path.stat().st_size != count:
        raise Broken(f"{command}: {path.stat().st_size} bytes were written, not {count}")
    path.unlink()
    return elapsed
