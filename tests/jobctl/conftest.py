"""What the tests of jobctl share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from canned import Worker, serving


@pytest.fixture
def canned(tmp_path: Path) -> Iterator[Worker]:
    """A worker that answers what a test wants it to."""
    with serving(Worker(), tmp_path) as worker:
        yield worker
