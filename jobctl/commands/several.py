"""One thing done to each of several jobs: all are tried, errors are printed as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobctl.failure import Failure
from jobctl.session import Session


def each(session: Session, jobs: Sequence[str], do: Callable[[str], int], failed: int | None = None) -> int:
    """The first exit code, in order, that is not 0. ``failed``: the code of every Failure, if not its own.

    A single job's Failure is left to the caller of all.
    """
    if len(jobs) == 1:
        return do(jobs[0])
    codes = []
    for job in jobs:
        try:
            codes.append(do(job))
        except Failure as failure:
            session.complain(failure)
            codes.append(failed if failed is not None else failure.code)
    return next((code for code in codes if code), 0)
