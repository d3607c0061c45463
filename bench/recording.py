"""Jobs that write through the recorder, beside the same jobs writing to a file themselves."""

from __future__ import annotations

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
    ("recorded, 1 GiB in writes of 1 MiB", "dd if=/dev/zero bs=1M count=1024 status=none", 1 << 30, _MB, "MB/s"),
    ("recorded, yes | head -c 500M", "yes | head -c 500M", 500 << 20, _MB, "MB/s"),
    (f"recorded, {_LINES:,} writes of 60 bytes", f"exec python3 -c {shlex.quote(_LINE_WRITER)}", 60 * _LINES, 60,
     "lines/s"),
)  # fmt: skip


def rows(place: Place) -> list[Row]:
    """One for each writer."""
    return [_row(place, *writer) for writer in _WRITERS]


def _row(place: Place, name: str, command: str, count: int, per: int, unit: str) -> Row:
    itself = place.folder / "itself"

    def recorded() -> float:
        return count / per / _run(place, command, count, None)

    def written() -> float:
        return count / per / _run(place, f"exec >{shlex.quote(str(itself))}; {command}", count, itself)

    figures = take_turns(name, {"recorder": recorded, "file": written})
    ratio = figures.ratio("recorder", "file")
    return Row(f"{name} : to a file", figures.median("recorder"), figures.median("file"), ratio, unit, _AT_LEAST)


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
