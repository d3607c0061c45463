"""A page of the table: filters, and a token that goes on behind the last row (https://google.aip.dev/158)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from jobworkerd import rules
from jobworkerd.v1 import jobworker_pb2 as pb

from .errors import invalid
from .store import Filter, Row, Store

_DEFAULT = 50
_MOST = 1000
_MAX_PAGE_BYTES = 1 << 20
_BATCH = 64  # rows read at once: each may be 128 KiB, and a page holds 1 MiB
_ROW_BYTES, _TEXT_BYTES = 512, 4
_MAX_LABELS = 32
_LAST_NS = (1 << 63) - 1
"""Of SQLite's integers: in the year 2262, while a Timestamp goes to 9999."""


async def page(
    request: pb.QueryRunningProcessesRequest, store: Store, visible: Callable[[str], bool]
) -> tuple[list[Row], str]:
    """Rows, newest first, and the next page's token, empty on the last one.

    A page ends early where its rows reach 1 MiB: one command line may have 128 KiB.
    """
    if request.page_size < 0:
        raise invalid("page_size", "must not be negative")
    size = min(request.page_size or _DEFAULT, _MOST)
    wanted = _filter(request)
    rows: list[Row] = []
    weight = 0
    while True:
        batch = await store.page(wanted, _BATCH)
        for row in batch:
            if not visible(row.caller) or not _owned(request.owner, row.caller):
                continue
            weight += _weight(row)
            if rows and (len(rows) == size or weight > _MAX_PAGE_BYTES):
                return rows, _token(rows[-1])
            rows.append(row)
        if len(batch) < _BATCH:
            return rows, ""
        wanted = _behind(wanted, batch[-1])


def _weight(row: Row) -> int:
    """Bytes on the wire, roughly: each text in UTF-8 with its tag and length, and what every row has."""
    texts = (row.command, row.dir, row.error, row.report, *row.args, *row.labels, *row.labels.values())
    return _ROW_BYTES + sum(len(text.encode()) + _TEXT_BYTES for text in texts)


def _owned(pattern: str, owner: str) -> bool:
    return not pattern or rules.text_matches(pattern, owner)


def _filter(request: pb.QueryRunningProcessesRequest) -> Filter:
    try:
        states = tuple(pb.State.Name(state) for state in request.states)
    except ValueError:
        raise invalid("states", "holds a state that does not exist") from None
    if len(request.labels) > _MAX_LABELS:
        raise invalid("labels", f"at most {_MAX_LABELS}")
    return Filter(
        running_only=request.running_only,
        states=tuple(dict.fromkeys(states)),
        since_ns=_nanoseconds(request.since),
        until_ns=_nanoseconds(request.until),
        before=_before(request.page_token),
        labels=dict(request.labels),
    )


def _nanoseconds(time: Timestamp) -> int:
    """0 for an unset field."""
    return max(-_LAST_NS, min(time.seconds * 10**9 + time.nanos, _LAST_NS))


def _behind(wanted: Filter, row: Row) -> Filter:
    return replace(wanted, before=(row.start_time_ns, row.job_id))


def _token(row: Row) -> str:
    return base64.urlsafe_b64encode(f"{row.start_time_ns} {row.job_id}".encode()).decode()


def _before(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    try:
        start, job_id = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
        before = int(start)
    except (ValueError, binascii.Error):
        before, job_id = -1, ""
    if not 0 <= before <= _LAST_NS:
        raise invalid("page_token", "is not one that an earlier page gave")
    return before, job_id
