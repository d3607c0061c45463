"""``jobctl stop``: stop jobs, wait until nothing of them is left, say what that took."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jobctl import render, values
from jobctl.cli import typed
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

from .several import Printer, each

if TYPE_CHECKING:
    from jobctl.client import Answer

EXAMPLE = "example: jobctl stop backup --grace 30s"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="an id, the beginning of one, or a name")
    parser.add_argument(
        "--grace", type=typed(values.duration), metavar="D", help="until SIGKILL; default: the worker's"
    )
    parser.add_argument(
        "--signal", type=typed(values.signal_number), default=0, metavar="S", help="default: TERM"
    )


def run(session: Session) -> int:
    """The exit code. 1 where something could not be killed: then the worker's error names it."""
    printer = Printer(session, _text)

    def begin(job: str) -> Answer[pb.StopResponse]:
        request = pb.StopRequest(uuid=job, signal=session.options.signal)
        if session.options.grace is not None:
            request.grace.FromNanoseconds(int(session.options.grace * 1e9))
        return session.client.stopping(request)

    def finish(answer: Answer[pb.StopResponse]) -> int:
        printer.add(render.job(answer.result().process_info))
        return 0

    code = each(session, session.options.ids, begin, finish)
    printer.close()
    return code


def _text(record: render.Record) -> str:
    report = record["kill_report"]
    return render.summary(record) + (render.report_lines(report) if report else "")
