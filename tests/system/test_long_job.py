"""What only time shows; `make soak` has it."""

from __future__ import annotations

import json
import os

import pytest
from container import Container

_EVERY_SECONDS = 10


@pytest.mark.long
def test_a_job_of_an_hour_is_recorded_to_its_last_line(container: Container) -> None:
    """It writes a line now and then, for SOAK_MINUTES; the worker is reloaded meanwhile and does not mind."""
    minutes = int(os.environ.get("SOAK_MINUTES", "60"))
    count = minutes * 60 // _EVERY_SECONDS
    script = f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; sleep {_EVERY_SECONDS}; done; exit 7"
    job = container.jobctl("start", "--shell", script).stdout.strip()
    runner = container.main_pid()
    container.run(["systemctl", "reload", "jobworker"])
    waited = container.run(["jobctl", "wait", job], check=False, timeout=minutes * 60 + 60)
    assert waited.returncode == 7
    assert container.main_pid() == runner
    lines = container.jobctl("logs", "--stdout", job).stdout.splitlines()
    assert lines == [f"line {number}" for number in range(1, count + 1)]
    record = json.loads(container.jobctl("status", "-o", "json", job).stdout)
    assert (record["state"], record["exit_code"]) == ("EXITED", 7)
