"""The end of a job, always in this order: learn of it without reaping, sweep, verify, reap.

Events of the kernel become events of the lifecycle; what the table then asks of a job that has a
child is done here. While the leader is an unreaped zombie its pid and group cannot be reused, and
after the reap neither is signalled any more.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from jobworkerd.channel.messages import CannotKill, Exited, StartFailed
from jobworkerd.journal import WARNING, Journal

from . import cgroup, procfs, spawn, sweep
from .job import Failure, Job, exited, start_failed
from .ledger import Ledger
from .lifecycle import Event, State
from .loop import Loop

_LEFTOVER_GRACE_SECONDS = 1.0
_OVERDUE_SECONDS = 2.0
_FIRST_RETRY_SECONDS = 0.005
_LAST_RETRY_SECONDS = 0.25
_TRACED_RETRY_SECONDS = 0.05


class Ending:
    """What ``Jobs`` does with a forked child until it is reaped."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        ledger: Ledger,
        event: Callable[[Job, Event], None],
        tell: Callable[[CannotKill], None],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._ledger = ledger
        self._event = event
        self._tell = tell

    # --- from the kernel ----------------------------------------------------------------------

    def decide(self, job: Job) -> None:
        """The error pipe is readable: executed, or not, and why."""
        child = job.child
        if child is None or job.decided:
            return
        try:
            error = spawn.outcome(child)
        except OSError:
            return  # not yet, or no descriptor to look with
        job.decided = True
        for fd in (child.error_fd, child.go_fd):
            self._loop.unwatch(fd)
            os.close(fd)
        job.cancel_timer("pending")
        job.cancel_timer("deadline")
        if error is None:
            job.executed = True
            self._event(job, Event.EXECUTED)
            return
        if job.failure is None and job.cause is None:
            job.failure = Failure("EXEC_FAILED", error.stage, error.errno, describe(job, error))
        self._event(job, Event.SETUP_FAILED)

    def notice_leader(self, job: Job) -> None:
        """The pidfd is readable, or somebody asks: has the leader ended? Does not reap."""
        child = job.child
        if child is None or job.ended or job.leader_end is not None:
            return
        job.leader_end = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if job.leader_end is None and _ready(child.pidfd):
            # A tracer has it: the pidfd stays readable while waitid has nothing to say.
            if not job.traced:
                job.traced = True
                self._loop.unwatch(child.pidfd)
                self._loop.after(_TRACED_RETRY_SECONDS, lambda: self.notice_leader(job))
                return
            job.leader_end = _end_of_traced(child.pid)
            if job.leader_end is None:
                self._loop.after(_TRACED_RETRY_SECONDS, lambda: self.notice_leader(job))
        if job.leader_end is None:
            return
        job.end_time_ns = time.time_ns()
        if not job.traced:
            self._loop.unwatch(child.pidfd)
        self._leader_ended(job)

    def _leader_ended(self, job: Job) -> None:
        self.decide(job)
        if job.decided:
            self.examine(job)
        else:
            self._loop.after(_LAST_RETRY_SECONDS, lambda: self._leader_ended(job))

    def examine(self, job: Job) -> None:
        """The leader has ended: is anything left? Asked again where it cannot be known (no descriptor left)."""
        if job.ended:
            return
        try:
            empty = sweep.is_empty(job.target)
        except OSError as error:
            self._journal.event("cannot_look", f"{job.job_id}: {error.strerror}; looked at again", WARNING)
            self._loop.after(_LAST_RETRY_SECONDS, lambda: self.examine(job))
            return
        if empty:
            self._event(job, Event.EMPTY)
        else:
            self._event(job, Event.LEADER_GONE)

    # --- actions ------------------------------------------------------------------------------

    def terminate(self, job: Job) -> None:
        """The first signal to the group and to what left it, then CONT, so that what is stopped hears it."""
        number = job.stop_signal or signal.SIGTERM
        target = job.target
        for each in (number, signal.SIGCONT):
            if not sweep.signal_group(target, each) and job.leader_end is None:
                # Not a group yet: a stop before setsid.
                signal.pidfd_send_signal(self._pidfd(job), each)
        job.signalled = job.signalled or job.leader_end is None
        job.report.sent(number, "group")
        escapees = sweep.look(target).escapees
        if sweep.signal_each(target, escapees, number):
            job.report.sent(number, "escapees")
            sweep.signal_each(target, escapees, signal.SIGCONT)
        for process, caught_by in escapees:
            job.report.escapees[process.pid] = (process.name, caught_by)
        self._say_signalled(job, number)

    def arm_grace(self, job: Job) -> None:
        """Until SIGKILL; a second stop may only bring it nearer."""
        deadline = time.monotonic() + job.grace_seconds
        timer = job.timers.get("grace")
        if timer is not None and timer.deadline <= deadline:
            return
        job.cancel_timer("grace")
        job.timers["grace"] = self._loop.after(job.grace_seconds, lambda: self._event(job, Event.GRACE_OVER))

    def name_leftovers(self, job: Job) -> None:
        """The leader ended by itself: what it left gets one second, and its name in the record."""
        job.grace_seconds = _LEFTOVER_GRACE_SECONDS
        job.timers["grace"] = self._loop.after(
            _LEFTOVER_GRACE_SECONDS, lambda: self._event(job, Event.GRACE_OVER)
        )
        self._name(job)

    def kill(self, job: Job) -> None:
        """SIGKILL through every net, and again until the job is empty."""
        job.timers["overdue"] = self._loop.after(_OVERDUE_SECONDS, lambda: self._overdue(job))
        self._kill_again(job, _FIRST_RETRY_SECONDS)
        if job.executed:
            self._say_signalled(job, signal.SIGKILL)

    def reap(self, job: Job) -> Exited | StartFailed:
        """Collects the leader, lets go of what the kernel holds for the job, and says how it ended."""
        child = job.child
        assert child is not None
        os.waitpid(child.pid, os.WNOHANG)
        os.close(child.pidfd)
        for name in list(job.timers):
            if name != "reopen":  # the output's, which may still wait for room
                job.cancel_timer(name)
        if job.cgroup is not None:
            cgroup.remove(job.cgroup)
        self._ledger.remove(job.job_id)
        job.report.survivors.clear()
        job.report.nothing_left = True
        if not job.executed:
            return start_failed(job)
        end = exited(job)
        how = f"exit code {end.exit_code}" if end.exit_signal == 0 else f"signal {end.exit_signal}"
        self._journal.event(
            "finished", f"{job.job_id} ended: {end.state}, {how}", job_id=job.job_id,
            caller=job.start.caller, exit=how, reason=end.reason or end.state,
        )  # fmt: skip
        return end

    # --- inside -------------------------------------------------------------------------------

    def _kill_again(self, job: Job, delay: float) -> None:
        if job.state is not State.KILLING:
            return
        # First of all, for what follows needs descriptors, and there may be none just now.
        again = min(delay * 2, _LAST_RETRY_SECONDS)
        job.timers["retry"] = self._loop.after(delay, lambda: self._retry(job, again))
        self._name(job)
        if job.leader_end is None:
            job.signalled = True
            signal.pidfd_send_signal(self._pidfd(job), signal.SIGKILL)
        for target in sweep.kill(job.target):
            job.report.sent(signal.SIGKILL, target)

    def _retry(self, job: Job, delay: float) -> None:
        if job.leader_end is not None:
            self.examine(job)
        self._kill_again(job, delay)  # no news where that was the end

    def _overdue(self, job: Job) -> None:
        remains = sweep.look(job.target)
        alive = remains.group + [process for process, _ in remains.escapees]
        job.report.survivors = [(p.pid, p.name, p.state) for p in alive]
        named = ", ".join(f"{p.pid} ({p.name}, state {p.state})" for p in alive[:8])
        self._journal.event("cannot_kill", f"{job.job_id}: cannot kill {named}", WARNING, job_id=job.job_id)
        self._tell(CannotKill(job.job_id, job.report.to_json()))

    def _name(self, job: Job) -> None:
        remains = sweep.look(job.target)
        for process in remains.group:
            if process.pid != job.pid:
                job.report.left_in_group.setdefault(process.pid, (process.name, "group"))
        for process, caught_by in remains.escapees:
            job.report.escapees.setdefault(process.pid, (process.name, caught_by))

    def _say_signalled(self, job: Job, number: int) -> None:
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        self._journal.event("signalled", f"{name} sent to {job.job_id}", job_id=job.job_id)

    def _pidfd(self, job: Job) -> int:
        assert job.child is not None
        return job.child.pidfd


def describe(job: Job, error: spawn.SetupError) -> str:
    """One line for people, from the stage and the errno."""
    start = job.start
    without = "it was killed" if error.stage == "execve" else "an unexpected error"
    why = os.strerror(error.errno).lower() if error.errno else without
    if error.stage == "execve":
        return f"cannot execute {start.executable}: {why}"
    if error.stage == "chdir":
        return f"cannot enter {start.dir or 'the home folder'} as {start.user}: {why}"
    if error.stage == "user":
        return f"no user {start.user} with uid {start.uid}"
    return f"cannot set up the job ({error.stage}): {why}"


def _end_of_traced(pid: int) -> os.waitid_result | None:
    """How a leader ended that only its tracer can reap, from field 52 of proc_pid_stat(5); None: it has not."""
    process = procfs.read(pid)
    if process is None or not process.dead:
        return None
    number = process.exit_code & 0x7F
    if number == 0:
        return os.waitid_result((pid, 0, signal.SIGCHLD, process.exit_code >> 8, os.CLD_EXITED))
    how = os.CLD_DUMPED if process.exit_code & 0x80 else os.CLD_KILLED
    return os.waitid_result((pid, 0, signal.SIGCHLD, number, how))


def _ready(pidfd: int) -> bool:
    poll = select.poll()  # select.select knows no descriptor above 1023
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
