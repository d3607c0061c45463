"""The order between a job's two streams, as its writes were apart."""

from __future__ import annotations

import subprocess

import pytest
from conftest import Worker

_APART = """
import os, time
for number in range(10):
    os.write(1 + number % 2, b"line %d\\n" % number)
    time.sleep(0.02)
"""
_AT_ONCE = """
import os
for number in range(2000):
    os.write(1 + number % 2, b"line %d\\n" % number)
"""


@pytest.mark.parametrize("verb", [["logs", "-t"], ["logs", "-t", "-f"]])
def test_lines_20_ms_apart_come_in_their_order(shared_worker: Worker, verb: list[str]) -> None:
    """With their times, into one pipe, whichever stream they were written to; as they come and afterwards."""
    job = shared_worker.job("--", "/usr/bin/python3", "-c", _APART)
    if "-f" not in verb:
        shared_worker.ended(job)
    logs = shared_worker.popen(*verb, job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out, _ = logs.communicate(timeout=20)
    times, lines = zip(*(line.split(" ", 1) for line in out.splitlines()), strict=True)
    assert list(lines) == [f"line {number}" for number in range(10)]
    assert list(times) == sorted(times)
    assert len(set(times)) == 10


def test_merged_output_is_in_exact_order_however_fast(shared_worker: Worker) -> None:
    """Both streams are one pipe: all of it is stdout."""
    argv = ("--merge-output", "--", "/usr/bin/python3", "-c", _AT_ONCE)
    wanted = "".join(f"line {number}\n" for number in range(2000))
    done = shared_worker.jobctl("run", "--name", "merged", *argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, wanted, "")
    timed = shared_worker.jobctl("logs", "-t", "merged")
    assert "".join(line.split(" ", 1)[1] for line in timed.stdout.splitlines(keepends=True)) == wanted
    assert timed.stderr == ""
