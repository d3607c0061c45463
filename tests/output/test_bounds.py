"""Bounds of output: rings, limits and a disk that fills up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Worker, wait_for

_MIB = 1 << 20
_LINES = "import time\nwhile True:\n    print(time.time_ns(), flush=True)\n    time.sleep(0.05)\n"
_DOTS = "import os, time\nfor _ in range(20000):\n    os.write(1, b'.')\n    time.sleep(0.0001)\n"


def _on_disk(record: dict[str, object]) -> int:
    return sum(path.stat().st_blocks * 512 for path in Path(str(record["log_path"])).iterdir())


def _flood(worker: Worker, policy: str) -> str:
    worker.configure(jobs=f'max_output = "8MiB"\non_max_output = "{policy}"\n')
    assert subprocess.run(worker.command("--reload"), check=False).returncode == 0
    return worker.job("--", "yes")


def test_a_flood_in_a_ring_takes_no_more_than_its_bound_and_holds_nobody_up(worker: Worker) -> None:
    """Another job's lines are with their follower within 100 ms at the median meanwhile."""
    flood = _flood(worker, "ring")
    job = worker.job("--", sys.executable, "-c", _LINES)
    follower = worker.popen("logs", "-f", job, stdout=subprocess.PIPE)
    assert follower.stdout is not None
    late = []
    most = 0
    folder = worker.record(flood)
    for _ in range(100):
        written = int(follower.stdout.readline())
        late.append((time.time_ns() - written) / 1e9)
        most = max(most, _on_disk(folder))
    record = worker.record(flood)
    assert record["stdout_bytes"] > 64 * _MIB
    assert most < 72 * _MIB
    assert sorted(late)[50] < 0.1, sorted(late)
    assert record["stdout_bytes"] - record["stdout_first_offset"] < 12 * _MIB
    assert worker.jobctl("stop", "--grace", "0", flood, job).returncode == 0
    follower.wait(timeout=20)
    done = subprocess.run(worker.argv("logs", flood), env=worker.environment(), capture_output=True, timeout=30)
    assert done.stdout.startswith((b"y\n", b"\ny"))
    assert done.stderr.decode().startswith("jobctl: ")
    assert "bytes of stdout, from 0 on, are no longer kept\n" in done.stderr.decode()


def test_a_flood_with_a_limit_is_stopped_for_it(worker: Worker) -> None:
    """STOPPED, OUTPUT_LIMIT; the record says that it is not complete, and what is there is the beginning."""
    flood = _flood(worker, "stop")
    record = worker.ended(flood)
    assert (record["state"], record["reason"]) == ("STOPPED", "OUTPUT_LIMIT")
    assert 8 * _MIB < record["stdout_bytes"] < 26 * _MIB
    assert _on_disk(record) < 72 * _MIB
    assert record["stdout_first_offset"] == 0


def test_the_index_of_a_job_that_prints_dots_is_bounded(worker: Worker) -> None:
    """Its records count as its output does."""
    job = worker.job("--max-output", "64KiB", "--", sys.executable, "-c", _DOTS)
    record = worker.ended(job)
    wait_for(lambda: worker.record(job)["output_closed"])
    assert record["exit_code"] == 0
    index = Path(record["log_path"]) / "index"
    assert worker.record(job)["stdout_bytes"] == 20_000
    assert index.stat().st_blocks * 512 <= 64 * 1024 + 4 * 4096


def test_below_min_free_nothing_is_started_and_all_else_goes_on(worker: Worker) -> None:
    """One line with both sizes; what runs and what reads does not mind."""
    job = worker.job("--", "sh", "-c", "echo before; exec sleep 600")
    worker.configure('[retention]\nmin_free = "1000TiB"\n')
    assert subprocess.run(worker.command("--reload"), check=False).returncode == 0
    done = worker.jobctl("-o", "json", "start", "--", "true")
    assert done.returncode == 1
    assert '"reason": "NO_ROOM"' in done.stderr
    assert "less than min_free (1048576000 MiB); nothing was started" in done.stderr
    assert worker.jobctl("logs", job).stdout == "before\n"
    assert worker.jobctl("stop", job).returncode == 0
    assert worker.jobctl("list", "-o", "id").stdout.split() == [job]


@pytest.mark.parametrize("pause", [0.02, 0.0])
def test_lines_come_back_in_the_order_they_were_written(shared_worker: Worker, pause: float) -> None:
    """With -t where 20 ms lie between the two streams, without any pause with --merge-output."""
    script = (
        "import os, time\nfor number in range(10):\n"
        f"    os.write(1 + number % 2, b'line %d\\n' % number)\n    time.sleep({pause})\n"
    )
    options = [] if pause else ["--merge-output"]
    job = shared_worker.job(*options, "--", sys.executable, "-c", script)
    shared_worker.ended(job)
    wait_for(lambda: shared_worker.record(job)["output_closed"])
    logs = subprocess.run(
        shared_worker.argv("logs", "-t", job), env=shared_worker.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert [line.split(" ", 1)[1] for line in logs.stdout.splitlines()] == [f"line {n}" for n in range(10)]
