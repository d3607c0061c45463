"""``jobctl run``: start, wait, print the output, exit as the job did.

INT and TERM ask the job to stop; a second INT, or one with --detach-on-interrupt, leaves it running,
and so does HUP: then it says how to follow again.
"""

from __future__ import annotations

import argparse
import signal
from types import FrameType

from jobctl import render
from jobctl.failure import Failure
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

from . import ends, launch, logs

EXAMPLE = "example: jobctl run -- make -C /srv/app test"
_DETACHED = 130


class _Signalled(BaseException):
    """jobctl got a signal. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def add_options(parser: argparse.ArgumentParser) -> None:
    """See launch."""
    launch.add_options(parser)
    parser.add_argument("--detach-on-interrupt", action="store_true", help="an INT leaves the job running")


def run(session: Session) -> int:
    """The exit code."""
    try:
        job = session.client.start(launch.request(session)).uuid
    except Failure as failure:
        return _not_started(session, failure)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise)
    try:
        info = _wait(session, job)
    except _Signalled:
        session.say(f"{job} goes on without you; wait for it: jobctl wait {job}, its output: jobctl logs {job}")
        return _DETACHED
    record = render.job(info)
    if session.format in ("json", "jsonl"):
        session.out(render.as_json(record, indent=session.format == "json"))
    else:
        logs.copy(session, pb.StreamOutputRequest(uuid=job))
    return ends.exit_code(record)


def _wait(session: Session, job: str) -> pb.ProcessInfo:
    """Until the end and all output; a first signal stops the job, a second one gets through."""
    request = pb.WaitRequest(uuid=job, for_output=True)
    try:
        return session.client.wait(request).process_info
    except _Signalled as signalled:
        if signalled.number == signal.SIGHUP or session.options.detach_on_interrupt:
            raise
    session.say(f"stopping {job}; once more leaves it running")
    session.client.stop(pb.StopRequest(uuid=job))
    return session.client.wait(request).process_info


def _not_started(session: Session, failure: Failure) -> int:
    """A program that could not be executed is the job's affair: 126 and 127, as in a shell."""
    if failure.reason != "EXEC_FAILED":
        raise failure
    code = ends.not_started(failure.metadata["stage"], failure.metadata["errno"])
    session.complain(Failure(code, failure.reason, failure.message, failure.hint))
    return code


def _raise(number: int, _: FrameType | None) -> None:
    raise _Signalled(number)
