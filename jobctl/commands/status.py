"""``jobctl status``: everything known of jobs."""

from __future__ import annotations

import argparse

from jobctl import render
from jobctl.session import Session

from .several import Printer, each

EXAMPLE = "example: jobctl status backup"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="an id, the beginning of one, or a name")


def run(session: Session) -> int:
    """The exit code."""
    blocks = 0

    def text(record: render.Record) -> str:
        nonlocal blocks
        blocks += 1
        return ("\n" if blocks > 1 else "") + render.block(record)

    printer = Printer(session, text)

    def finish(job: str) -> int:
        printer.add(render.job(session.client.query(job).process_info))
        return 0

    code = each(session, session.options.ids, lambda job: job, finish)
    printer.close()
    return code
