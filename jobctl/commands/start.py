"""``jobctl start``: start a job, print its id, return."""

from __future__ import annotations

import argparse

from jobctl import render
from jobctl.failure import Failure
from jobctl.session import Session

from . import launch

EXAMPLE = "example: jobctl start --name backup -- rsync -a /srv/ /backup/"


def add_options(parser: argparse.ArgumentParser) -> None:
    """See launch."""
    launch.add_options(parser)


def run(session: Session) -> int:
    """The exit code."""
    request, source = launch.request(session), launch.source(session)
    job = launch.start(session, request, source)
    try:
        if session.wants_json:
            record = render.job(session.client.query(job).process_info)
            session.out(render.as_json(record, indent=session.format == "json"))
        else:
            session.out(f"{job}\n")
    except Failure as failure:
        raise Failure(
            failure.code, failure.reason, f"{job} was started, but: {failure.message}", f"jobctl status {job}"
        ) from None
    return 0
