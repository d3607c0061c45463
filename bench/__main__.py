"""``python -m bench [MEASURE ...]``: those, or all; the table, and exit code 0 unless something is broken."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import google.protobuf
import grpc

from . import live, memory, recording, starting, streams
from .place import Place, placed
from .rounds import Broken
from .table import Row, lines

_MEASURES: dict[str, Callable[[Place], list[Row]]] = {
    "memory": memory.idle,  # first: of a worker that has done nothing yet
    "start": starting.rows,
    "latency": live.latency,
    "followers": live.followed,
    "recording": recording.rows,
    "logs": streams.rows,
}


def main(wanted: list[str]) -> int:
    """The exit code."""
    unknown = set(wanted) - set(_MEASURES)
    if unknown:
        sys.exit(f"no measure {', '.join(sorted(unknown))}; there are: {', '.join(_MEASURES)}")
    rows: list[Row] = []
    begin = time.monotonic()
    code = 0
    with tempfile.TemporaryDirectory(prefix="jobworker-bench-") as folder:
        try:
            with placed(Path(folder)) as place:
                for name in wanted or _MEASURES:
                    rows += _MEASURES[name](place)
        except Broken as error:
            print(f"bench: broken: {error}", file=sys.stderr)
            code = 1
    versions = (
        f"Python {platform.python_version()}, grpcio {grpc.__version__}, protobuf {google.protobuf.__version__}"
    )
    print(*lines(rows), "", f"{versions}; {time.monotonic() - begin:.0f} s", sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
