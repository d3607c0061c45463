"""A start, exactly once: the intent is durable before the runner is asked, whatever becomes of the call."""

from __future__ import annotations

import asyncio
import errno
import functools
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jobworkerd.channel import messages
from jobworkerd.config import Config, Grant
from jobworkerd.v1 import jobworker_pb2 as pb

from . import request as requests
from . import room
from .access import Caller
from .convert import errno_name
from .errors import CallError
from .jobs import Jobs, Live, not_found_on_path, not_prepared
from .policy import Policy, Wanted
from .spool import Incoming, Spool
from .store import Row, Store

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
_REASONS = {
    "REFUSED": "REFUSED",
    "NO_OUTPUT": "NO_OUTPUT",
    "START_TIMEOUT": "START_TIMEOUT",
    "CALLER": "STOPPED_BEFORE_START",
    "SHUTDOWN": "STOPPED_BEFORE_START",
    "NEVER_STARTED": "START_TIMEOUT",
}


class Starting:
    """Turns requests into jobs."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        send: Callable[[messages.Message], None],
        welcome: messages.Welcome,
        spool: Spool,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._send = send
        self._welcome = welcome
        self._spool = spool
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False

    async def start(
        self,
        request: pb.StartRequest,
        caller: Caller,
        policy: Policy,
        config: Config,
        incoming: Incoming | None = None,
    ) -> tuple[Row, bool]:
        """The job, and whether the request had been answered before. CallError, also for one that failed."""
        try:
            return await self._start(request, caller, policy, config, incoming)
        finally:
            if incoming is not None and not incoming.taken:
                self._spool.drop(incoming)

    async def with_input(
        self,
        request: pb.StartRequest,
        pieces: AsyncIterator[bytes],
        caller: Caller,
        policy: Policy,
        config: Config,
    ) -> tuple[Row, bool]:
        """The same with an input, which is taken only from who may start this at all."""
        requests.check(request)
        await self._granted(request, caller, policy)
        incoming = await self._spool.take(pieces, config, self._store.salt)
        return await self.start(request, caller, policy, config, incoming)

    def resume_inputs(self) -> None:
        """What an earlier API had taken for jobs that are still being started."""
        starting = [row for row in self._jobs.running if row.state == "STARTING"]
        self._spool.sweep({row.job_id for row in starting})
        for row in starting:
            self._clear_input_later(row.job_id)

    async def _start(
        self,
        request: pb.StartRequest,
        caller: Caller,
        policy: Policy,
        config: Config,
        incoming: Incoming | None,
    ) -> tuple[Row, bool]:
        requests.check(request)
        digest = requests.digest(request, self._store.salt, incoming.digest.digest() if incoming else b"")
        row = await self._answered(request, caller, digest)
        if row is not None and row.reason != "NEVER_STARTED":
            return await self._decided(row), True
        if self.draining:
            raise CallError("DRAINING", "the worker is stopping and starts no more jobs; try again later")
        await room.check(config.server.log_dir, config.retention.min_free_bytes)
        user, program, grant = await self._granted(request, caller, policy)
        if row is None:
            row = self._intent(request, caller, digest, user, grant.rule)
        if incoming is not None:
            incoming.taken = True
        check = functools.partial(self._check_limits, caller, config, grant.max_running)
        task = asyncio.create_task(self._launch(row, request, program, incoming, check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        started = await asyncio.shield(task)
        return self._outcome(started), started.job_id != row.job_id

    async def _granted(
        self, request: pb.StartRequest, caller: Caller, policy: Policy
    ) -> tuple[str, requests.Program, Grant]:
        user = request.user or policy.default_user(caller.identity)
        program = await asyncio.to_thread(requests.find, request, user)
        names = [item.partition("=")[0] for item in request.env]
        wanted = Wanted(program.executable, request.args, names)
        return user, program, policy.allow(caller.identity, user, program.uid, wanted)

    async def _answered(self, request: pb.StartRequest, caller: Caller, digest: bytes) -> Row | None:
        if not request.request_id:
            return None
        row = await self._store.by_request(caller.identity, request.request_id)
        if row is not None and row.digest != digest:
            why = f"request id {request.request_id} stands for another request, job {row.job_id}"
            raise CallError("REQUEST_ID_REUSED", why, job_id=row.job_id)
        return row

    async def _decided(self, row: Row) -> Row:
        live = self._jobs.get(row.job_id)
        if live is not None:
            row = await _wait_for_decision(live)
        return self._outcome(row)

    def _check_limits(self, caller: Caller, config: Config, of_grant: int) -> None:
        running = self._jobs.running
        if config.jobs.max_running and len(running) >= config.jobs.max_running:
            raise CallError(
                "TOO_MANY_JOBS", f"{len(running)} jobs are running (max_running); wait for one to end"
            )
        own = sum(row.caller == caller.identity for row in running)
        if of_grant and own >= of_grant:
            raise CallError("TOO_MANY_JOBS", f"{own} of your jobs are running (your grant's max_running)")

    def _intent(self, request: pb.StartRequest, caller: Caller, digest: bytes, user: str, rule: str) -> Row:
        now = time.time_ns()
        job_id = str(uuid.uuid4())
        return Row(
            job_id=job_id,
            caller=caller.identity,
            request_id=request.request_id or job_id,
            digest=digest,
            name=request.name,
            labels=dict(request.labels),
            command=request.command,
            args=list(request.args),
            dir=request.dir,
            merge_output=request.merge_output,
            user=user,
            rule=rule,
            start_time_ns=now,
            start_stamp=datetime.fromtimestamp(now // 10**9, UTC).strftime("%Y%m%dT%H%M%SZ"),
            instance_id=self._welcome.instance_id,
            boot_id=self._welcome.boot_id,
        )

    async def _launch(
        self,
        row: Row,
        request: pb.StartRequest,
        program: requests.Program,
        incoming: Incoming | None,
        check_limits: Callable[[], None],
    ) -> Row:
        try:
            twin = self._jobs.get(row.job_id)
            if twin is not None:  # the same request again, of a job that an earlier API never got to start
                return await _wait_for_decision(twin)
            # Nothing may come between the count and the job that is counted next.
            check_limits()
            return await self._begin(row, request, program, incoming)
        finally:
            if incoming is not None:
                self._spool.drop(incoming)

    async def _begin(
        self, row: Row, request: pb.StartRequest, program: requests.Program, incoming: Incoming | None
    ) -> Row:
        before, row = row, self._as_intent(row)
        # There before it is committed: who finds the row finds the job, and waits for the same decision.
        live = self._jobs.add(row)
        try:
            if before.reason == "NEVER_STARTED":
                now = await self._store.get(row.job_id)
                if now is not None and now.reason != "NEVER_STARTED":  # started, and over, since it was read
                    self._jobs.forget(now)
                    return now
            await (self._store.update([row]) if before.reason == "NEVER_STARTED" else self._store.insert(row))
        except sqlite3.IntegrityError:
            self._jobs.forget(before)
            return await self._twin(row)
        except BaseException:
            self._jobs.forget(before)
            raise
        if not program.found:
            await self._jobs.settle(not_found_on_path(row))
            return live.row
        if incoming is not None:
            try:
                self._spool.bind(incoming, row.job_id)
            except OSError as error:
                number = error.errno or errno.EIO
                text = f"cannot keep the input: {error.strerror}"
                await self._jobs.settle(not_prepared(row, number, text))
                return live.row
            self._clear_input_later(row.job_id)
        start = messages.Start(
            row.job_id, row.start_stamp, row.caller, row.rule, row.user, program.uid, program.executable,
            (request.command, *request.args), tuple(request.env), request.dir,
            request.merge_output, request.max_output, incoming is not None,
        )  # fmt: skip
        try:
            self._send(start)
        except ValueError as error:
            # Checked field by field before; a job that nobody can be asked for must not stay STARTING.
            await self._jobs.settle(not_prepared(row, errno.E2BIG, f"the start is too large: {error}"))
            return live.row
        return await _wait_for_decision(live)

    def _as_intent(self, row: Row) -> Row:
        """Of this runner, also where an earlier API of it committed the row and went away."""
        return replace(
            row, state="STARTING", reason="", error="", end_time_ns=0, output_closed=False,
            instance_id=self._welcome.instance_id, boot_id=self._welcome.boot_id,
        )  # fmt: skip

    def _clear_input_later(self, job_id: str) -> None:
        task = asyncio.create_task(self._clear_input(job_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _clear_input(self, job_id: str) -> None:
        """Once the program has its input open, or never will."""
        while (live := self._jobs.get(job_id)) is not None and live.row.state == "STARTING":
            await live.changed.wait()
        self._spool.remove(job_id)

    async def _twin(self, row: Row) -> Row:
        """The job that has this request id, where it came twice at once. CallError where it is the name."""
        other = await self._store.by_request(row.caller, row.request_id)
        if other is None or other.job_id == row.job_id:
            raise CallError("NAME_IN_USE", f"a job of yours named {row.name} has not ended")
        if other.digest != row.digest:
            raise CallError("REQUEST_ID_REUSED", f"request id {row.request_id} stands for another request")
        live = self._jobs.get(other.job_id)
        return await _wait_for_decision(live) if live is not None else other

    def _outcome(self, row: Row) -> Row:
        """The row of a start that succeeded; a CallError, the same each time, for one that did not."""
        if row.state == "FAILED_TO_START" or row.reason == "NEVER_STARTED":
            no_room = row.reason == "NO_OUTPUT" and row.errno in _NO_ROOM
            raise CallError(
                "NO_ROOM" if no_room else _REASONS.get(row.reason, "EXEC_FAILED"), row.error, job_id=row.job_id,
                errno=errno_name(row.errno), stage=row.stage,
            )  # fmt: skip
        return row


async def _wait_for_decision(live: Live) -> Row:
    """Until it is known whether the program was executed, or the runner says that this takes longer."""
    while live.row.state == "STARTING" and not live.pending:
        await live.changed.wait()
    return live.row
