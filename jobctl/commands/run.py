"""``jobctl run``: start, wait, print the output, exit as the job did."""

from __future__ import annotations

import argparse
import signal

from jobctl import render
from jobctl.failure import INTERRUPTED, UNREACHABLE, Failure
from jobctl.session import Session
from jobctl.signals import Interrupted
from jobworkerd.v1 import jobworker_pb2 as pb

from . import ends, launch, logs

EXAMPLE = "example: jobctl run -- make -C /srv/app test"


def add_options(parser: argparse.ArgumentParser) -> None:
    """See launch."""
    launch.add_options(parser)
    parser.add_argument(
        "--detach-on-interrupt", action="store_true", help="INT leaves the job running, it does not stop it"
    )


def run(session: Session) -> int:
    """The exit code."""
    each = _Run(session)
    with session.signals.caught():
        try:
            return each.to_the_end()
        except Interrupted:
            session.say(each.how_to_go_on())
            return INTERRUPTED
        except Failure as failure:
            if failure.reason == "EXEC_FAILED":
                code = ends.not_started(failure.metadata.get("stage", ""), failure.metadata.get("errno", ""))
                session.complain(failure.exiting(code))
                return code
            if failure.code == UNREACHABLE and each.asked:
                session.say(each.how_to_go_on())
            raise


class _Run:
    """How far it got. Each step may be taken again: the request id is the same, and so is the job."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._request = launch.request(session)
        self._stopping = False
        self._ended = False
        self.asked = False
        self.job = ""

    def to_the_end(self) -> int:
        """The exit code. INT and TERM ask the job to stop; what leaves it running gets through, Interrupted."""
        client = self._session.client
        client.version()  # the connection stands; until here nothing was asked for, and any signal ends it
        while True:
            try:
                self.asked = True
                self.job = self.job or client.start(self._request).uuid
                if self._stopping:
                    client.stop(pb.StopRequest(uuid=self.job))
                info = client.waiting(self.job, for_output=True).result().process_info
                break
            except Interrupted as interrupt:
                if self._leaves(interrupt.number):
                    raise
                self._stopping = True
                self._session.say(f"stopping {self.job or 'it'}; a second INT leaves it running")
        self._ended = True
        return self._print(render.job(info))

    def how_to_go_on(self) -> str:
        """What to type in order to follow again."""
        if not self.asked:
            return "nothing was started"
        if not self.job:
            return "the worker has not said whether it started it; look for it: jobctl list"
        if self._ended:
            return f"{self.job} has ended; its output: jobctl logs {self.job}"
        ways = f"wait for it: jobctl wait {self.job}, its output: jobctl logs {self.job}"
        return f"{self.job} goes on without you; {ways}"

    def _leaves(self, number: int) -> bool:
        if number == signal.SIGINT:
            return self._stopping or bool(self._session.options.detach_on_interrupt)
        return number == signal.SIGHUP

    def _print(self, record: render.Record) -> int:
        if self._session.wants_json:
            self._session.out(render.as_json(record, indent=self._session.format == "json"))
        elif self._session.format == "id":
            self._session.out(f"{self.job}\n")
        else:
            logs.copy(self._session, pb.StreamOutputRequest(uuid=self.job))
        ends.explain(self._session, record)
        return ends.exit_code(record)
