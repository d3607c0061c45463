"""``jobctl stop``: stop jobs, wait until nothing of them is left, say what that took."""

from __future__ import annotations

import argparse

from google.protobuf.duration_pb2 import Duration

from jobctl import render, values
from jobctl.cli import typed
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

from .several import each

EXAMPLE = "example: jobctl stop backup --grace 30s"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID")
    parser.add_argument(
        "--grace", type=typed(values.duration), metavar="D", help="until SIGKILL; default: the worker's"
    )
    parser.add_argument(
        "--signal", type=typed(values.signal_number), default=0, metavar="S", help="default: TERM"
    )


def run(session: Session) -> int:
    """The exit code."""
    records: list[render.Record] = []
    code = each(session, session.options.ids, lambda job: _stop(session, job, records))
    if session.format == "json":
        session.out(
            render.as_json(records if len(session.options.ids) > 1 else records[0] if records else None)
        )
    return code


def _stop(session: Session, job: str, records: list[render.Record]) -> int:
    request = pb.StopRequest(uuid=job, signal=session.options.signal)
    if session.options.grace is not None:
        request.grace.CopyFrom(_duration(session.options.grace))
    record = render.job(session.client.stop(request).process_info)
    records.append(record)
    if session.format == "jsonl":
        session.out(render.as_json(record, indent=False))
    elif session.format == "id":
        session.out(f"{record['id']}\n")
    elif session.format == "table":
        session.out(f"{record['id']} {record['state']}, exit {render.ending(record)}\n")
        session.out(render.report_lines(record["kill_report"]) if record["kill_report"] else "")
    return 0


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
