"""``jobctl run``: start, follow the output, exit as the job did."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from jobctl import render
from jobctl.failure import INTERRUPTED, UNREACHABLE, Failure
from jobctl.output import Output
from jobctl.session import Session
from jobctl.signals import Interrupted
from jobctl.sinks import Raw
from jobworkerd.v1 import jobworker_pb2 as pb

from . import ends, launch

if TYPE_CHECKING:
    from jobctl.client import Answer

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
        except BrokenPipeError:
            session.say(each.how_to_go_on())
            raise
        except Failure as failure:
            if failure.reason == "EXEC_FAILED":
                code = ends.not_started(failure.metadata.get("stage", ""), failure.metadata.get("errno", ""))
                session.complain(failure.exiting(code))
                return code
            if failure.code == UNREACHABLE and each.asked and not each.follows:
                session.say(each.how_to_go_on())
            raise


class _StopAnswered(BaseException):
    """The stop that was asked for has its answer. Not an Exception, as Interrupted."""


class _Run:
    """How far it got. Each step may be taken again: the request id is the same, and so is the job."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._request, self._source = launch.request(session), launch.source(session)
        self._stop: Answer[pb.StopResponse] | None = None
        self._stopping = False
        self._output: Output | None = None
        self._ended = False
        self.asked = False
        self.job = ""

    def to_the_end(self) -> int:
        """The exit code. INT and TERM ask the job to stop; what leaves it running gets through, Interrupted."""
        self._session.client.version()  # the connection stands; until here nothing was asked for
        while True:
            try:
                return self._go_on()
            except _StopAnswered:
                if self._stop is not None:
                    self._stop.result()  # Failure: it cannot be stopped
            except Interrupted as interrupt:
                if self._leaves(interrupt.number):
                    raise
                self._stopping = True
                self._session.say(f"stopping {self.job or 'it'}; a second INT leaves it running")

    def _go_on(self) -> int:
        """From wherever it is."""
        client, session = self._session.client, self._session
        self.asked = True
        if not self.job:
            self.job = launch.start(session, self._request, self._source)
        if self._stopping and self._stop is None:
            request = pb.StopRequest(uuid=self.job)
            self._stop = client.stopping(request, lambda _: session.signals.post(_StopAnswered()))
        if not session.wants_json and session.format != "id" and not self._ended:
            if self._output is None:
                request_output = pb.StreamOutputRequest(uuid=self.job, follow=True)
                self._output = Output(session, request_output, Raw(session.signals))
            trailer = self._output.copy()
            self._ended = True
            if trailer.HasField("exit_status"):
                return self._finish(render.ended(self.job, trailer))
        info = client.waiting(self.job, for_output=True).result().process_info
        self._ended = True
        return self._finish(render.job(info))

    @property
    def follows(self) -> bool:
        """Then what goes wrong is told with the offset reached."""
        return self._output is not None and not self._ended

    def how_to_go_on(self) -> str:
        """What to type in order to follow again."""
        if not self.asked:
            return "nothing was started"
        if not self.job:
            return "the worker has not said whether it started it; look for it: jobctl list"
        if self._ended:
            return f"{self.job} has ended; its output: jobctl logs {self.job}"
        return f"{self.job} goes on without you; follow it again: jobctl logs -f {self.job}"

    def _leaves(self, number: int) -> bool:
        if number == signal.SIGINT:
            return self._stopping or bool(self._session.options.detach_on_interrupt)
        return number == signal.SIGHUP

    def _finish(self, record: render.Record) -> int:
        if self._session.wants_json:
            self._session.out(render.as_json(record, indent=self._session.format == "json"))
        elif self._session.format == "id":
            self._session.out(f"{self.job}\n")
        ends.explain(self._session, record)
        return ends.exit_code(record)
