"""``jobctl status``: everything known of jobs."""

from __future__ import annotations

import argparse

from jobctl import render
from jobctl.session import Session

from .several import each

EXAMPLE = "example: jobctl status backup"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("ids", nargs="+", metavar="ID")


def run(session: Session) -> int:
    """The exit code."""
    records: list[render.Record] = []
    code = each(session, session.options.ids, lambda job: _one(session, job, records))
    several = len(session.options.ids) > 1
    if session.format == "json":
        session.out(render.as_json(records if several else records[0] if records else None))
    return code


def _one(session: Session, job: str, records: list[render.Record]) -> int:
    record = render.job(session.client.query(job).process_info)
    if session.format == "jsonl":
        session.out(render.as_json(record, indent=False))
    elif session.format == "id":
        session.out(f"{record['id']}\n")
    elif session.format == "table":
        session.out(("\n" if records else "") + render.block(record))
    records.append(record)
    return 0
