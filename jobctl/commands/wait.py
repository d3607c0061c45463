"""``jobctl wait``: wait for jobs to end, exit as they did."""

from __future__ import annotations

import argparse
import time

from jobctl import render, values
from jobctl.cli import typed
from jobctl.failure import RUN_FAILED
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

from .ends import exit_code
from .several import each

EXAMPLE = "example: jobctl wait backup --timeout 8h"
_OWN_TIMEOUT = 123


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID")
    parser.add_argument("--timeout", type=typed(values.duration), metavar="D", help="then exit with 123")


def run(session: Session) -> int:
    """The exit code."""
    timeout = session.options.timeout
    deadline = None if timeout is None else time.monotonic() + timeout
    return each(session, session.options.ids, lambda job: _one(session, job, deadline), failed=RUN_FAILED)


def _one(session: Session, job: str, deadline: float | None) -> int:
    request = pb.WaitRequest(uuid=job)
    if deadline is not None:
        request.timeout.FromNanoseconds(max(0, int((deadline - time.monotonic()) * 1e9)))
    answer = session.client.wait(request)
    record = render.job(answer.process_info)
    if not answer.ended:
        session.say(f"{record['id']} has not ended yet")
        return _OWN_TIMEOUT
    if session.format in ("json", "jsonl"):
        session.out(render.as_json(record, indent=session.format == "json"))
    elif session.format == "id":
        session.out(f"{record['id']}\n")
    return exit_code(record)
