"""``jobctl list``: jobs, newest first."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from jobctl import render, values
from jobctl.cli import typed
from jobctl.failure import USAGE, Failure
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

EXAMPLE = "example: jobctl list --running --label team=web"
_SHOWN = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("--running", action="store_true", help="only jobs that have not ended")
    parser.add_argument(
        "--state", action="append", default=[], metavar="S", help="RUNNING, EXITED, …; several: any of them"
    )
    parser.add_argument("--owner", default="", metavar="X", help="a caller; * matches any run of characters")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=typed(values.pair),
        metavar="k=v",
        help="may be given several times",
    )
    parser.add_argument("--since", type=typed(values.instant), metavar="T", help="a time, or an age as 7d")
    parser.add_argument("--until", type=typed(values.instant), metavar="T", help="before it; default: now")
    parser.add_argument(
        "--limit", type=typed(values.count), metavar="N", help=f"the table shows {_SHOWN} without it"
    )


def run(session: Session) -> int:
    """The exit code."""
    limit = session.options.limit
    if limit == 0:
        raise Failure(USAGE, "USAGE", "--limit must be 1 or more")
    if limit is None and session.format == "table":
        limit = _SHOWN
    records: list[render.Record] = []
    more = False
    for info in _jobs(session, limit):
        if limit is not None and len(records) == limit:
            more = True
            break
        records.append(render.job(info))
        if session.format == "jsonl":
            session.out(render.as_json(records[-1], indent=False))
        elif session.format == "id":
            session.out(f"{info.uuid}\n")
    if session.format == "json":
        session.out(render.as_json(records))
    elif session.format == "table":
        session.out(render.table(records))
    if more and session.options.limit is None:
        session.say(f"these are the newest {limit}; more with --limit N")
    return 0


def _jobs(session: Session, limit: int | None) -> Iterator[pb.ProcessInfo]:
    """Page after page."""
    request = _request(session.options)
    request.page_size = min(limit + 1 if limit is not None else 1000, 1000)
    while True:
        answer = session.client.page(request)
        yield from answer.process_table
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def _request(options: argparse.Namespace) -> pb.QueryRunningProcessesRequest:
    request = pb.QueryRunningProcessesRequest(
        running_only=options.running, owner=options.owner, labels=dict(options.label)
    )
    for name in options.state:
        if name.upper() not in pb.State.keys() or name.upper() == "STATE_UNSPECIFIED":  # noqa: SIM118 -- not a dict
            known = ", ".join(each for each in pb.State.keys() if each != "STATE_UNSPECIFIED")  # noqa: SIM118
            raise Failure(USAGE, "USAGE", f"--state {name}: must be one of {known}")
        request.states.append(pb.State.Value(name.upper()))  # type: ignore[arg-type]
    if options.since is not None:
        request.since.FromDatetime(options.since)
    if options.until is not None:
        request.until.FromDatetime(options.until)
    return request
