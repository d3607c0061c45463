"""What the runner holds of one job. Data and the reports made from it; no decisions."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from jobworkerd.channel.messages import Exited, OutputClosed, OutputHeld, OutputPaused, Start, StartFailed

from .lifecycle import State
from .loop import Timer
from .report import KillReport
from .spawn import Child
from .sweep import Target


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a job is being ended, as the proto's Reason, and by whom. The first one wins."""

    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the program was not executed."""

    reason: str
    stage: str
    errno: int
    message: str


@dataclass(slots=True)
class Job:
    """From Start until exit and output are acknowledged."""

    start: Start
    state: State = State.OPENING
    # Descriptors: read ends until Close, write ends until the fork.
    pipes: tuple[int, ...] = ()
    write_ends: tuple[int, ...] = ()
    cgroup: str | None = None
    airtight: bool = False
    max_output: int = 0
    ring: bool = True
    open_sent: bool = False

    child: Child | None = None
    decided: bool = False  # the error pipe has said whether it was executed
    executed: bool = False
    exec_time_ns: int = 0
    leader_end: os.waitid_result | None = None  # a zombie: seen, not reaped
    end_time_ns: int = 0
    traced: bool = False  # the leader has ended, and a tracer keeps that from us

    cause: Cause | None = None
    failure: Failure | None = None
    stop_signal: int = 0
    grace_seconds: float = 0.0
    signalled: bool = False  # before the leader's end was seen
    report: KillReport = field(default_factory=KillReport)
    timers: dict[str, Timer] = field(default_factory=dict)

    # What is held until the API has acknowledged it.
    end: Exited | StartFailed | None = None
    end_acknowledged: bool = False
    output: OutputClosed | None = None
    output_acknowledged: bool = False
    held: OutputHeld | None = None
    paused: OutputPaused | None = None

    @property
    def job_id(self) -> str:
        """Its UUID."""
        return self.start.job_id

    @property
    def pid(self) -> int:
        """Of the leader; 0 where nothing was forked."""
        return self.child.pid if self.child is not None else 0

    @property
    def ended(self) -> bool:
        """Nothing of it is left."""
        return self.state is State.DONE

    @property
    def target(self) -> Target:
        """For the sweep. Only while the leader is unreaped."""
        assert self.child is not None
        assert not self.ended
        return Target(self.job_id, self.child.pid, self.cgroup, self.airtight)

    def cancel_timer(self, name: str) -> None:
        """Forgets a timer, if there is one of that name."""
        timer = self.timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def start_failed(job: Job) -> StartFailed:
    """The report of a program that was never executed."""
    failure = job.failure
    if failure is None:
        cause = job.cause or Cause("EXEC_FAILED", "")
        failure = Failure(cause.reason, "", 0, "ended before its program was executed")
    by = job.cause.by if job.cause is not None else ""
    return StartFailed(job.job_id, failure.reason, by, failure.stage, failure.errno, failure.message[:1024])


def exited(job: Job) -> Exited:
    """The report of a job that ran and ended; its leader's exit status is the true one."""
    end = job.leader_end
    assert end is not None
    by_itself = end.si_code == os.CLD_EXITED
    stopped = job.cause is not None and job.signalled
    state = "EXITED" if not stopped else "TIMED_OUT" if job.cause.reason == "TIMEOUT" else "STOPPED"  # type: ignore[union-attr]
    return Exited(
        job_id=job.job_id,
        pid=job.pid,
        exit_code=end.si_status if by_itself else -1,
        exit_signal=0 if by_itself else end.si_status,
        core_dumped=end.si_code == os.CLD_DUMPED,
        state=state,
        reason=job.cause.reason if stopped and job.cause else "",
        by=job.cause.by if stopped and job.cause else "",
        signalled=job.signalled,
        end_time_ns=job.end_time_ns or time.time_ns(),
        report=job.report.to_json(),
    )
