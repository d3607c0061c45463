"""One thing done to each of several jobs at once: all are tried, errors are printed as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from jobctl import render
from jobctl.failure import Failure
from jobctl.render import Record
from jobctl.session import Session

_T = TypeVar("_T")


def each(
    session: Session,
    jobs: Sequence[str],
    begin: Callable[[str], _T],
    finish: Callable[[_T], int],
    failed: int | None = None,
) -> int:
    """All begun, then all finished in order: the first exit code, in order, that is not 0.

    ``failed`` is the code of every Failure, if not its own. A single job's is left to the caller.
    """
    if len(jobs) == 1:
        return finish(begin(jobs[0]))
    codes = [0] * len(jobs)
    begun: dict[int, _T] = {}

    def fail(at: int, failure: Failure) -> None:
        shown = failure if failed is None else failure.exiting(failed)
        session.complain(shown)
        codes[at] = shown.code

    for at, job in enumerate(jobs):
        try:
            begun[at] = begin(job)
        except Failure as failure:
            fail(at, failure)
    for at, handle in begun.items():
        try:
            codes[at] = finish(handle)
        except Failure as failure:
            fail(at, failure)
    return next((code for code in codes if code), 0)


class Printer:
    """Records as they come, in the format asked for; ``text`` makes the one for people."""

    def __init__(self, session: Session, text: Callable[[Record], str]) -> None:
        self._session = session
        self._text = text
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """Prints it, unless it has to wait for the others."""
        self._records.append(record)
        if self._session.format == "jsonl":
            self._session.out(render.as_json(record, indent=False))
        elif self._session.format == "id":
            self._session.out(f"{record['id']}\n")
        elif self._session.format == "table":
            self._session.out(self._text(record))

    def close(self) -> None:
        """JSON: an object where one job was asked for, else an array."""
        if self._session.format == "json":
            one = len(self._session.options.ids) == 1
            self._session.out(render.as_json(self._records[0] if one else self._records))
