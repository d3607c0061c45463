"""The jobs a runner holds: events in, the lifecycle's actions done.

What comes from the API, the recorder and the kernel is turned into events for the pure table, and
the actions it answers with are done here (those that end a job in ``ending.py``). Nothing here waits.
"""

from __future__ import annotations

import errno
import os
import resource
import shlex
import time
from collections.abc import Callable

from jobworkerd.channel import messages
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.messages import Start
from jobworkerd.config import Config
from jobworkerd.journal import Journal

from . import ceiling, cgroup, spawn
from .ending import Ending
from .job import Cause, Failure, Job, start_failed
from .ledger import Entry, Ledger
from .lifecycle import OUTSIDE_NAME, Action, Event, State, advance
from .loop import Loop
from .peers import Peer

_PENDING_SECONDS = 0.5
_DEADLINE_SECONDS = 10.0
_REOPEN_SECONDS = 1.0
_RESERVE = 64
"""Descriptors that no start may have: stops, exits and peers need some."""


class Jobs:
    """All jobs of this runner that are not yet acknowledged to the end."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        ledger: Ledger,
        cgroups: cgroup.JobCgroups,
        config: Callable[[], Config],
        nofile: tuple[int, int],
        boot_id: str,
        spool: spawn.Spool,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._ledger = ledger
        self._cgroups = cgroups
        self._config = config
        self._nofile = nofile
        self._boot_id = boot_id
        self._spool = spool
        self._jobs: dict[str, Job] = {}
        self._unclosed: list[tuple[messages.Message, tuple[int, ...]]] = []
        self._ending = Ending(loop, journal, ledger, self._event, self._to_api)
        self.api: Peer | None = None
        self.recorder: Peer | None = None
        self.service_users: tuple[str, ...] = ()
        self.draining = False
        self.on_change: Callable[[], None] = lambda: None
        self._do: dict[Action, Callable[[Job], None]] = {
            Action.FORK: self._fork,
            Action.REPORT_SPAWNED: self._report_spawned,
            Action.REPORT_STOPPING: self._report_stopping,
            Action.TERMINATE: self._ending.terminate,
            Action.ARM_GRACE: self._ending.arm_grace,
            Action.SHORTEN_GRACE: self._ending.arm_grace,
            Action.NAME_LEFTOVERS: self._ending.name_leftovers,
            Action.KILL: self._ending.kill,
            Action.DROP: self._drop,
            Action.FINISH: self._finish,
        }

    # --- from the API -------------------------------------------------------------------------

    def start(self, start: Start) -> None:
        """Takes a job on, or holds its refusal."""
        if not ceiling.is_well_formed(start) or start.job_id in self._jobs:
            raise ProtocolError("a Start with a job id or stamp that cannot be")
        job = self._jobs[start.job_id] = Job(start)
        refusal = self._refusal(start)
        if refusal is not None:
            self._fail(job, Failure("REFUSED", "ceiling", errno.EPERM, refusal))
            self._event(job, Event.OPEN_FAILED)
            return
        try:
            self._make_pipes(job)
            self._set_limit(job)
            job.cgroup = self._cgroups.create(start.job_id)
        except OSError as error:
            number = error.errno or errno.EIO
            self._fail(
                job, Failure("EXEC_FAILED", "prepare", number, f"cannot prepare the job: {error.strerror}")
            )
            _close(job.pipes)
            job.pipes = ()
            self._event(job, Event.OPEN_FAILED)
            return
        job.airtight = start.uid != 0 and self._config().jobs.no_new_privs
        job.timers["pending"] = self._loop.after(_PENDING_SECONDS, lambda: self._pending(job))
        job.timers["deadline"] = self._loop.after(_DEADLINE_SECONDS, lambda: self._deadline(job))
        self._open_output(job)
        self.on_change()

    def stop(self, stop: messages.Stop) -> None:
        """Ends a job; one that has ended already was or will be reported."""
        job = self._jobs.get(stop.job_id)
        if job is not None and not job.ended:
            self._stop(job, Cause("CALLER", stop.by), stop.signal, stop.grace_seconds)
            if job.report.survivors and not job.ended:  # known by now: who asks again is told at once
                self._to_api(messages.CannotKill(job.job_id, job.report.to_json()))

    def stop_all(self, grace_seconds: float) -> None:
        """The worker stops."""
        self.draining = True
        for job in list(self._jobs.values()):
            if not job.ended:
                # A turn of the loop each: what goes wrong with one is not the others' end.
                self._loop.after(0, lambda job=job: self._stop(job, Cause("SHUTDOWN", ""), 15, grace_seconds))  # type: ignore[misc]

    def acknowledge(self, message: messages.Acknowledge) -> None:
        """The API has committed what was held."""
        job = self._jobs.get(message.job_id)
        if job is None:
            return
        if message.what == "exit" and job.end is not None:
            job.end_acknowledged = True
        elif message.what == "output" and job.output is not None:
            job.output_acknowledged = True
        self._forget_if_done(job)

    def replay(self, api: Peer) -> None:
        """Tells a new API all that is held."""
        for job in self._jobs.values():
            if not job.ended:
                api.send(messages.Held(job.job_id, job.pid if job.executed else 0, OUTSIDE_NAME[job.state]))
            if job.end is not None and not job.end_acknowledged:
                api.send(job.end)
            for event in (job.held, job.paused):
                if event is not None:
                    api.send(event)
            if job.output is not None and not job.output_acknowledged:
                api.send(job.output)
        api.send(messages.ReplayDone())

    # --- from the recorder --------------------------------------------------------------------

    def opened(self, message: messages.Opened) -> None:
        """The files are there."""
        job = self._jobs.get(message.job_id)
        if job is not None:
            self._event(job, Event.OPENED)

    def open_failed(self, message: messages.OpenFailed) -> None:
        """They are not: refused before the fork, tried again after it."""
        job = self._jobs.get(message.job_id)
        if job is None:
            return
        if job.state is State.OPENING:
            self._fail(job, Failure("NO_OUTPUT", "recorder", message.errno, message.message))
            job.open_sent = False
            self._event(job, Event.OPEN_FAILED)
        else:
            job.timers["reopen"] = self._loop.after(_REOPEN_SECONDS, lambda: self._open_output(job))

    def output_closed(self, message: messages.OutputClosed) -> None:
        """All output is in the files; the pipes go back to the recorder, whose close may hang."""
        job = self._jobs.get(message.job_id)
        if job is None or job.output is not None or not job.ended:
            return
        job.output = message
        job.held = job.paused = None
        self._to_api(message)
        self._close_output(job)
        self._forget_if_done(job)

    def output_held(self, message: messages.OutputHeld) -> None:
        """Passed on, and kept for a new API."""
        job = self._jobs.get(message.job_id)
        if job is not None:
            job.held = message if message.stdout or message.stderr else None
            self._to_api(message)

    def output_paused(self, message: messages.OutputPaused) -> None:
        """Passed on, and kept for a new API."""
        job = self._jobs.get(message.job_id)
        if job is not None:
            job.paused = message if message.errno else None
            what = f"pauses: {os.strerror(message.errno)}" if message.errno else "goes on"
            self._journal.event("output_paused", f"recording of {job.job_id} {what}", 4, job_id=job.job_id)
            self._to_api(message)

    def output_limit(self, message: messages.OutputLimit) -> None:
        """It is ended, as by a stop."""
        job = self._jobs.get(message.job_id)
        if job is not None and not job.ended:
            self._stop(job, Cause("OUTPUT_LIMIT", ""), 15, self._config().jobs.stop_grace_seconds)

    def resume_recorder(self) -> None:
        """A new recorder is there: it gets all pipes that are not closed."""
        unclosed, self._unclosed = self._unclosed, []
        for message, fds in unclosed:
            if self.recorder is None or not self.recorder.send(message, fds):
                self._unclosed.append((message, fds))
        for job in list(self._jobs.values()):
            if job.pipes and job.output is not None:
                self._close_output(job)
                self._forget_if_done(job)
            elif job.pipes:
                self._open_output(job)

    def take_back(self, message: messages.Message, fds: tuple[int, ...]) -> None:
        """What the recorder did not get: closing a pipe for good is for the next one, for it may hang."""
        if isinstance(message, messages.Close):
            self._unclosed.append((message, fds))
        else:
            _close(fds)  # copies of what is held here

    def kill_held(self) -> None:
        """The dead recorder cannot be reaped: a job holds a pipe whose final close hangs."""
        for job in list(self._jobs.values()):
            if job.held is not None and not job.ended:
                self._stop(job, Cause("NO_OUTPUT", ""), 9, 0.0)

    # --- from the kernel ----------------------------------------------------------------------

    def look_again(self) -> None:
        """A child of the runner has ended: maybe the last of a job that is being ended."""
        for job in list(self._jobs.values()):
            if not job.ended and job.leader_end is not None:
                self._ending.examine(job)

    @property
    def leaders(self) -> set[int]:
        """Pids that are reaped here and nowhere else."""
        return {job.pid for job in self._jobs.values() if job.child is not None and not job.ended}

    @property
    def running(self) -> int:
        """Jobs that have not ended."""
        return sum(not job.ended for job in self._jobs.values())

    @property
    def unsettled(self) -> int:
        """Jobs that have not ended, or whose end or output is not in the table yet."""
        return len(self._jobs)

    # --- the table's turn ---------------------------------------------------------------------

    def _event(self, job: Job, event: Event) -> None:
        job.state, actions = advance(job.state, event)
        for action in actions:
            self._do[action](job)

    def _refusal(self, start: Start) -> str | None:
        config = self._config()
        if self.draining:
            return "the worker is stopping"
        if config.jobs.max_running and self.running > config.jobs.max_running:
            return f"{config.jobs.max_running} jobs are running already (max_running)"
        return ceiling.refusal(config, start, self.service_users)

    def _stop(self, job: Job, cause: Cause, number: int, grace_seconds: float) -> None:
        # An exit that the kernel knows already comes first: our signal would not be its reason.
        self._ending.notice_leader(job)
        if job.ended:
            return
        if job.cause is None and job.failure is None:
            job.cause = cause
            job.stop_signal = number
            who = f" by {cause.by}" if cause.by else ""
            self._journal.event(
                "stop_requested", f"stop of {job.job_id} asked for{who}", job_id=job.job_id, caller=cause.by,
                reason=cause.reason,
            )  # fmt: skip
        job.grace_seconds = grace_seconds
        self._event(job, Event.STOP)

    def _pending(self, job: Job) -> None:
        if not job.decided and not job.ended:
            self._to_api(messages.StartPending(job.job_id))

    def _deadline(self, job: Job) -> None:
        if not job.decided and not job.ended:
            what = "its output files were not open" if job.child is None else "its set-up did not end"
            message = f"after {_DEADLINE_SECONDS:.0f} s {what}"
            self._fail(job, Failure("START_TIMEOUT", "", errno.ETIMEDOUT, message))
            self._event(job, Event.DEADLINE)

    def _fail(self, job: Job, failure: Failure) -> None:
        if job.failure is None and job.cause is None:
            job.failure = failure

    # --- actions ------------------------------------------------------------------------------

    def _fork(self, job: Job) -> None:
        start = job.start
        program = spawn.Program(
            start.job_id, start.executable, start.argv, start.env, start.dir, start.user, start.uid,
            job.cgroup, self._config().jobs.no_new_privs, self._nofile,
            self._spool if start.has_input else None,
        )  # fmt: skip
        try:
            job.child = spawn.fork(program, job.write_ends[0], job.write_ends[-1])
        except OSError as error:
            number = error.errno or errno.EAGAIN
            self._fail(job, Failure("EXEC_FAILED", "fork", number, f"cannot fork: {error.strerror}"))
            self._event(job, Event.FORK_FAILED)
            return
        finally:
            _close(job.write_ends)
            job.write_ends = ()
        child = job.child
        self._loop.watch(child.pidfd, lambda: self._ending.notice_leader(job))
        self._loop.watch(child.error_fd, lambda: self._ending.decide(job))
        try:
            self._ledger.add(Entry(start.job_id, child.pid, start.uid, self._boot_id))
        except OSError as error:
            number = error.errno or errno.EIO
            message = f"cannot write the ledger: {error.strerror}"
            self._fail(job, Failure("EXEC_FAILED", "ledger", number, message))
            self._event(job, Event.SETUP_FAILED)
            return
        spawn.go(child)

    def _report_spawned(self, job: Job) -> None:
        start = job.start
        argv = shlex.join(start.argv)
        job.exec_time_ns = time.time_ns()
        self._journal.event(
            "started", f"{job.job_id} started: {argv} as {start.user}, pid {job.pid}, for {start.caller}",
            job_id=job.job_id, caller=start.caller, rule=start.rule, user=start.user, argv=argv,
        )  # fmt: skip
        self._to_api(messages.Spawned(job.job_id, job.pid, job.exec_time_ns))

    def _report_stopping(self, job: Job) -> None:
        if job.executed:
            cause = job.cause or Cause("", "")
            self._to_api(messages.Stopping(job.job_id, cause.reason, cause.by))

    def _drop(self, job: Job) -> None:
        """Nothing was forked."""
        for name in list(job.timers):
            job.cancel_timer(name)
        _close(job.write_ends)
        job.write_ends = ()
        if job.cgroup is not None:
            cgroup.remove(job.cgroup)
        self._report_end(job, start_failed(job))

    def _finish(self, job: Job) -> None:
        """Empty: reap, then report."""
        self._report_end(job, self._ending.reap(job))

    def _report_end(self, job: Job, end: messages.Exited | messages.StartFailed) -> None:
        job.end = end
        if isinstance(end, messages.StartFailed):
            self._journal.event(
                "start_failed", f"{job.job_id} was not started: {shlex.join(job.start.argv)}: {end.message}", 5,
                job_id=job.job_id, caller=job.start.caller, rule=job.start.rule, reason=end.reason,
            )  # fmt: skip
        self._to_api(end)
        if job.open_sent:
            if self.recorder is not None:
                self.recorder.send(messages.Ended(job.job_id))
        else:
            # No recorder ever heard of it, so there is no output and nobody to hold a pipe.
            _close(job.pipes)
            job.pipes = ()
            job.output = messages.OutputClosed(job.job_id, 0, 0, 0, 0, complete=True)
            self._to_api(job.output)
        self.on_change()

    # --- output -------------------------------------------------------------------------------

    def _make_pipes(self, job: Job) -> None:
        """Owned by root and writable for all: /dev/stdout works for any uid, nobody reads it back."""
        for _ in range(1 if job.start.merge_output else 2):
            read, write = os.pipe2(os.O_CLOEXEC)
            job.pipes, job.write_ends = (*job.pipes, read), (*job.write_ends, write)
            if write >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVE:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            os.fchmod(write, 0o222)

    def _set_limit(self, job: Job) -> None:
        """What root's config says when the job starts holds for its life; a caller may ask for less."""
        jobs = self._config().jobs
        limits = [limit for limit in (jobs.max_output_bytes, job.start.max_output) if limit > 0]
        job.max_output = min(limits, default=0)
        job.ring = jobs.on_max_output == "ring"

    def _open_output(self, job: Job) -> None:
        """To the recorder, if one is there; a new one gets it from ``resume_recorder``."""
        if not job.pipes or job.output is not None or self.recorder is None:
            return
        message = messages.Open(job.job_id, job.start.start_stamp, job.open_sent, job.max_output, job.ring)
        if self.recorder.send(message, tuple(os.dup(fd) for fd in job.pipes)):
            job.open_sent = True
            if job.ended:
                self.recorder.send(messages.Ended(job.job_id))

    def _close_output(self, job: Job) -> None:
        if self.recorder is not None and self.recorder.send(messages.Close(job.job_id), job.pipes):
            job.pipes = ()

    def _to_api(self, message: messages.Message) -> None:
        if self.api is not None:
            self.api.send(message)

    def _forget_if_done(self, job: Job) -> None:
        if job.end_acknowledged and job.output_acknowledged and not job.pipes:
            job.cancel_timer("reopen")
            del self._jobs[job.job_id]
            self.on_change()


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
