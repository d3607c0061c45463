"""``jobctl wait``: wait for jobs to end, exit as they did."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from jobctl import render, values
from jobctl.cli import typed
from jobctl.failure import RUN_FAILED
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

from . import ends
from .several import Printer, each

if TYPE_CHECKING:
    from jobctl.client import Answer

EXAMPLE = "example: jobctl wait backup --timeout 8h"
_OWN_TIMEOUT = 123


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="an id, the beginning of one, or a name")
    parser.add_argument("--timeout", type=typed(values.duration), metavar="D", help="then exit with 123")


def run(session: Session) -> int:
    """The exit code."""
    timeout = session.options.timeout
    deadline = None if timeout is None else time.monotonic() + timeout
    printer = Printer(session, lambda _: "")

    def begin(job: str) -> Answer[pb.WaitResponse]:
        # A name means the job that it means now, also where the call has to be made again later.
        return session.client.waiting(session.client.query(job).process_info.uuid, deadline)

    def finish(answer: Answer[pb.WaitResponse]) -> int:
        response = answer.result()
        record = render.job(response.process_info)
        printer.add(record)
        if not response.ended:
            session.say(f"{record['id']} has not ended yet")
            return _OWN_TIMEOUT
        ends.explain(session, record)
        return ends.exit_code(record)

    code = each(session, session.options.ids, begin, finish, failed=RUN_FAILED)
    printer.close()
    return code
