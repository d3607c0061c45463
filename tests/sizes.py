"""How much of it: each item's size in ``make test``, and in ``make soak``, which sets JOBWORKER_SOAK."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("JOBWORKER_SOAK"))


def size(test: int, soak: int) -> int:
    """The one that applies."""
    return soak if SOAK else test
