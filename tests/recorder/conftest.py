"""Recordings without a runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from recordings import Jobs, new_pool

from jobworkerd.recorder.pool import Pool


@pytest.fixture(scope="session")
def pool() -> Pool:
    """One for all recordings: its threads have no end but the process's."""
    return new_pool()


@pytest.fixture
def make_job(pool: Pool) -> Iterator[Jobs]:
    """Makes jobs that write and are recorded."""
    jobs = Jobs(pool)
    try:
        yield jobs
    finally:
        jobs.close()
