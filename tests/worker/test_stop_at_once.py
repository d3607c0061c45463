"""How long the end of a worker takes that has nothing to wait for."""

from __future__ import annotations

import time

import pytest
from conftest import Worker
from sizes import size


@pytest.mark.soak
def test_a_worker_whose_jobs_have_ended_ends_as_soon_as_its_peers_have(worker: Worker) -> None:
    """Again and again: in whatever order it learns of their ends, it waits for no time to pass."""
    longest = 0.0
    for _ in range(size(40, 1000)):
        assert worker.jobctl("run", "--", "true").returncode == 0  # so that the API has something to take down
        begin = time.monotonic()
        assert worker.stop() == 0
        longest = max(longest, time.monotonic() - begin)
        worker.start()
    print(f"a stop took {longest:.2f} s at most")
    assert longest < 3
