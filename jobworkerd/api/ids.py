"""From what a person types to one job: a whole uuid, a unique prefix, or a name.

A name means the job that has not ended, else the newest of that name; one's own first. Jobs that do
not exist for the caller are not even candidates.
"""

from __future__ import annotations

import re
import uuid

from .errors import CallError
from .jobs import Jobs
from .policy import Policy
from .store import Row, Store

_PREFIX = re.compile(r"[0-9a-f-]{4,36}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_MOST = 64
_NAMED = 8


async def resolve(reference: str, identity: str, store: Store, jobs: Jobs, policy: Policy) -> Row:
    """The job, as it is now. CallError MALFORMED_ID, NO_SUCH_JOB or AMBIGUOUS_ID (metadata: candidates)."""
    lower = reference.lower()
    if _is_uuid(lower):
        row = await store.get(lower)
        found = [row] if row is not None else []
    elif _PREFIX.fullmatch(lower):
        found = await store.by_prefix(lower, _MOST)
    elif _NAME.fullmatch(reference):
        callers = [each for each in await store.callers_of(reference) if policy.may_read(identity, each)]
        named = [await store.by_name(reference, each, _NAMED) for each in callers]
        found = _meant([row for rows in named for row in rows], identity)
    else:
        raise CallError(
            "MALFORMED_ID", f"{reference!r} is neither a job id, nor 4 or more characters of one, nor a name"
        )
    visible = [row for row in found if policy.may_read(identity, row.caller)]
    if not visible:
        raise CallError("NO_SUCH_JOB", f"there is no job {reference}")
    if len(visible) > 1:
        some = ", ".join(row.job_id for row in visible[:_NAMED])
        raise CallError("AMBIGUOUS_ID", f"{reference} is more than one job: {some}", candidates=some)
    return jobs.current(visible[0])


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _meant(rows: list[Row], identity: str) -> list[Row]:
    """Of those of one name (live first, then newest): one's own first; several live ones are ambiguous."""
    rows = sorted(rows, key=lambda row: (row.ended, -row.start_time_ns))
    own = [row for row in rows if row.caller == identity]
    if own:
        return own[:1]
    live = [row for row in rows if not row.ended]
    return live or rows[:1]
