"""Jobs that write without end: their disk use is bounded while they run, and nobody else waits for them."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

from conftest import Worker, wait_for
from following import MIB, ended

_LIMIT, _LEEWAY = 8 * MIB, 64 * MIB
# Each line is the time at which it was written.
_TICKING = """
import time
for _ in range(60):
    print(time.time_ns(), flush=True)
    time.sleep(0.03)
"""


def _on_disk(folder: Path) -> int:
    """Bytes that its files take."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def test_a_flood_in_a_ring_stays_small_and_holds_up_nobody(idle_worker: Worker) -> None:
    """While `yes` goes on, another job's lines reach its follower in less than 100 ms."""
    worker = idle_worker
    worker.configure(jobs='max_output = "8MiB"\non_max_output = "ring"')
    worker.start()
    flood = worker.job("--", "yes")
    folder = Path(worker.record(flood)["stdout_path"]).parent
    stdout = folder / "stdout.log"
    wait_for(lambda: stdout.stat().st_size > 20 * _LIMIT)
    most, delays = 0, []
    ticking = worker.popen("run", "--", "/usr/bin/python3", "-c", _TICKING, stdout=subprocess.PIPE)
    with ended([ticking]):
        assert ticking.stdout is not None
        for line in ticking.stdout:
            delays.append((time.time_ns() - int(line)) / 1e6)
            most = max(most, _on_disk(folder))
        assert ticking.wait(10) == 0
    record = worker.record(flood)
    assert record["state"] == "RUNNING"
    assert record["stdout_bytes"] > 20 * _LIMIT
    print(
        f"{record['stdout_bytes'] // MIB} MiB of yes took at most {most / MIB:.1f} MiB; another job's lines took "
        f"{statistics.median(delays):.1f} ms in the median, {max(delays):.1f} ms at most"
    )
    assert _LIMIT / 2 < most < _LIMIT + _LEEWAY
    assert len(delays) == 60
    assert statistics.median(delays) < 100
    # What is kept is what it wrote, and begins where the record says.
    assert worker.jobctl("stop", "--grace", "0", flood).returncode == 0
    wait_for(lambda: worker.record(flood)["output_closed"])
    kept = worker.jobctl("-q", "logs", flood, text=False).stdout
    record = worker.record(flood)
    assert _LIMIT * 3 // 4 < len(kept) < _LIMIT + 2 * MIB
    assert kept.strip(b"y\n") == b""
    assert record["output_complete"]


def test_a_flood_ends_its_job_where_the_limit_is_to_stop(idle_worker: Worker) -> None:
    """STOPPED, OUTPUT_LIMIT; meanwhile and afterwards it takes little more than the limit."""
    worker = idle_worker
    worker.configure(jobs='max_output = "8MiB"\non_max_output = "stop"\nstop_grace = "1s"')
    worker.start()
    flood = worker.job("--", "sh", "-c", "trap '' TERM; exec yes")
    folder = Path(worker.record(flood)["stdout_path"]).parent
    waiting = worker.popen("wait", flood, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    most = samples = 0
    with ended([waiting]):
        while waiting.poll() is None:
            most, samples = max(most, _on_disk(folder)), samples + 1
    wait_for(lambda: worker.record(flood)["output_closed"])
    record = worker.record(flood)
    assert (record["state"], record["reason"], record["exit_signal"]) == ("STOPPED", "OUTPUT_LIMIT", 9)
    assert waiting.returncode == 128 + 9
    assert samples > 10
    assert _LIMIT <= record["stdout_bytes"] < _LIMIT + _LEEWAY
    assert most < _LIMIT + _LEEWAY
    assert worker.jobctl("run", "--", "echo", "next").stdout == "next\n"


def test_dots_one_by_one_take_no_more_than_the_limit(worker: Worker) -> None:
    """Each is a byte of output and 32 of index, which counts: both stay small, to the end and after it."""
    limit = 64 * 1024
    code = "import os, time\nwhile True:\n os.write(1, b'.')\n os.write(2, b'.')\n time.sleep(0.0011)"
    job = worker.job("--max-output", "64KiB", "--", "/usr/bin/python3", "-c", code)
    folder = Path(worker.record(job)["stdout_path"]).parent
    index = folder / "index"
    most = 0

    def has_turned() -> bool:
        nonlocal most
        most = max(most, _on_disk(folder))
        return index.stat().st_size > 6 * limit  # of both streams, thrice what either may have

    wait_for(has_turned, 40)
    record = worker.record(job)
    assert worker.jobctl("stop", "--grace", "0", job).returncode == 0
    print(f"dots: {index.stat().st_size} bytes of index were written, {most} on disk at most")
    # Each stream's limit, an eighth that it may grow beyond it, and the blocks that are kept in part.
    assert most < 2 * (limit + limit // 8) + 12 * 4096
    assert record["state"] == "RUNNING"
    assert record["stdout_bytes"] > 6 * limit // 32 // 3
