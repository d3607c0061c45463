"""The jobs that are not settled yet: rows in memory, changed by the runner's events, one commit a batch.

An exit is committed before anybody sees it and before it is acknowledged. Events are applied in the
order they came, to copies; what cannot be committed is tried again until it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from jobworkerd.channel import messages
from jobworkerd.channel.messages import Message
from jobworkerd.journal import ERROR, WARNING, Journal

from .store import Row, Store

_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Live:
    """One unsettled job. ``changed`` is set, and replaced, at each change."""

    row: Row
    pending: bool = False  # the runner said: undecided after half a second
    replayed: bool = False
    held: tuple[bool, bool] = (False, False)
    paused: int = 0
    survivors: str = ""  # the report of a CannotKill
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: set[asyncio.Event] = field(default_factory=set)

    def wake(self) -> None:
        """Everybody who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()
        for listener in self.listeners:
            listener.set()

    @contextlib.contextmanager
    def telling(self, listener: asyncio.Event) -> Iterator[None]:
        """Sets ``listener`` at each change: for who waits for something else as well."""
        self.listeners.add(listener)
        try:
            yield
        finally:
            self.listeners.discard(listener)


class Jobs:
    """The unsettled ones, by id."""

    def __init__(
        self, store: Store, send: Callable[[Message], None], journal: Journal, instance_id: str, boot_id: str
    ) -> None:
        self._store = store
        self._send = send
        self._journal = journal
        self._instance_id = instance_id
        self._boot_id = boot_id
        self._live: dict[str, Live] = {}
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self.replayed = asyncio.Event()

    async def load(self) -> None:
        """What the table says is unsettled."""
        for row in await self._store.unsettled():
            self._live[row.job_id] = Live(row)

    def get(self, job_id: str) -> Live | None:
        """An unsettled job."""
        return self._live.get(job_id)

    def add(self, row: Row) -> Live:
        """A new one, whose intent is about to be committed."""
        live = self._live[row.job_id] = Live(row, replayed=True)
        return live

    def forget(self, row: Row) -> None:
        """Its intent could not be committed: it is as it was before."""
        live = self._live.pop(row.job_id)
        live.row = row
        live.wake()

    def current(self, row: Row) -> Row:
        """The row as it is now, for one read from the table."""
        live = self._live.get(row.job_id)
        return live.row if live is not None else row

    @property
    def running(self) -> list[Row]:
        """Rows that have not ended."""
        return [live.row for live in self._live.values() if not live.row.ended]

    def event(self, message: Message) -> None:
        """From the runner."""
        self._events.put_nowait(message)

    async def run(self) -> None:
        """Applies events for ever, all that wait at once."""
        while True:
            batch = [await self._events.get()]
            while not self._events.empty():
                batch.append(self._events.get_nowait())
            await self._apply(batch)

    async def settle(self, row: Row) -> None:
        """Records an end that the API itself decided (nothing was started)."""
        await self._commit([row])
        self._publish(row)

    # --- inside -------------------------------------------------------------------------------

    async def _apply(self, batch: list[Message]) -> None:
        changed: dict[str, Row] = {}
        acknowledge: list[messages.Acknowledge] = []
        done = False
        for message in batch:
            if isinstance(message, messages.ReplayDone):
                done = True
                changed |= {row.job_id: row for row in self._lost(changed)}
                continue
            job_id: str = message.job_id  # type: ignore[attr-defined]  # all others are a job's
            if type(message) in _ACKNOWLEDGED:
                acknowledge.append(messages.Acknowledge(job_id, _ACKNOWLEDGED[type(message)]))
            live = self._live.get(job_id)
            if live is None:
                continue  # settled before the runner heard so
            row = changed.get(live.row.job_id) or replace(live.row)
            if self._change(live, row, message):
                changed[row.job_id] = row
        await self._commit(list(changed.values()))
        for row in changed.values():
            self._publish(row)
        for each in acknowledge:
            self._send(each)
        if done:
            self.replayed.set()

    def _change(self, live: Live, row: Row, message: Message) -> bool:
        """Applies one event to a copy; whether the row changed and must be committed."""
        change = _CHANGES.get(type(message))
        if change is not None:
            live.replayed = True
            change(row, message)
            return True
        if isinstance(message, messages.StartPending):
            live.pending = True
        elif isinstance(message, messages.OutputHeld):
            live.held = (message.stdout, message.stderr)
        elif isinstance(message, messages.OutputPaused):
            live.paused = message.errno
        elif isinstance(message, messages.CannotKill):
            live.survivors = message.report
        live.wake()
        return False

    def _lost(self, changed: dict[str, Row]) -> list[Row]:
        """After the replay: what nobody holds any more."""
        lost = []
        for live in self._live.values():
            row = changed.get(live.row.job_id) or replace(live.row)
            if row.ended and row.instance_id != self._instance_id and not row.output_closed:
                row.output_closed, row.output_complete = True, False
                lost.append(row)
            elif not row.ended and not live.replayed:
                self._lose(row)
                lost.append(row)
        return lost

    def _lose(self, row: Row) -> None:
        if row.instance_id == self._instance_id:
            row.reason, row.error = "NEVER_STARTED", "the worker never got to start it; nothing ran"
        elif row.boot_id != self._boot_id:
            row.reason, row.error = "HOST_REBOOTED", "the host was booted anew while it ran"
        else:
            row.reason, row.error = "RUNNER_DIED", "the runner died, and the job with it"
        row.state = "LOST"
        row.end_time_ns = time.time_ns()
        row.output_closed, row.output_complete = True, False
        self._journal.event(
            "lost",
            f"{row.job_id}: {row.error}",
            WARNING,
            job_id=row.job_id,
            caller=row.caller,
            reason=row.reason,
        )

    async def _commit(self, rows: list[Row]) -> None:
        while rows:
            try:
                await self._store.update(rows)
                return
            except sqlite3.Error as error:
                self._journal.event("table_not_writable", f"tried again in a second: {error}", ERROR)
                await asyncio.sleep(_RETRY_SECONDS)

    def _publish(self, row: Row) -> None:
        live = self._live.get(row.job_id)
        if live is None:
            return
        live.row = row
        if row.ended and row.output_closed:
            del self._live[row.job_id]
        live.wake()


def _held(row: Row, message: messages.Held) -> None:
    row.state, row.pid = message.state, message.pid


def _spawned(row: Row, message: messages.Spawned) -> None:
    row.state, row.pid = "RUNNING", message.pid


def _stopping(row: Row, message: messages.Stopping) -> None:
    row.state, row.reason, row.reason_by = "STOPPING", message.reason, message.by


def _start_failed(row: Row, message: messages.StartFailed) -> None:
    if row.ended:
        return
    row.state, row.pid, row.end_time_ns = "FAILED_TO_START", 0, time.time_ns()
    row.reason, row.reason_by, row.error = message.reason, message.by, message.message
    row.errno, row.stage = message.errno, message.stage


def _exited(row: Row, message: messages.Exited) -> None:
    if row.ended:
        return
    row.state, row.reason, row.reason_by = message.state, message.reason, message.by
    row.pid, row.end_time_ns, row.report = message.pid, message.end_time_ns, message.report
    row.exit_code, row.exit_signal = message.exit_code, message.exit_signal
    row.core_dumped, row.signalled = message.core_dumped, message.signalled


def _output_closed(row: Row, message: messages.OutputClosed) -> None:
    row.stdout_bytes, row.stderr_bytes = message.stdout_bytes, message.stderr_bytes
    row.stdout_first, row.stderr_first = message.stdout_first, message.stderr_first
    row.output_closed, row.output_complete = True, message.complete


_CHANGES: dict[type[Message], Callable[..., None]] = {
    messages.Held: _held,
    messages.Spawned: _spawned,
    messages.Stopping: _stopping,
    messages.StartFailed: _start_failed,
    messages.Exited: _exited,
    messages.OutputClosed: _output_closed,
}


_ACKNOWLEDGED: dict[type[Message], str] = {
    messages.StartFailed: "exit",
    messages.Exited: "exit",
    messages.OutputClosed: "output",
}


def not_prepared(row: Row, number: int, text: str) -> Row:
    """The record of a job that could not be handed to the runner."""
    return replace(
        row, state="FAILED_TO_START", reason="EXEC_FAILED", stage="prepare", errno=number, error=text,
        end_time_ns=time.time_ns(), output_closed=True, output_complete=True,
    )  # fmt: skip


def not_found_on_path(row: Row) -> Row:
    """The record of a bare name that is nowhere on the PATH: nothing was asked of the runner."""
    return replace(
        row, state="FAILED_TO_START", reason="EXEC_FAILED", stage="execve", errno=errno.ENOENT,
        error=f"cannot execute {row.command}: {os.strerror(errno.ENOENT).lower()} on the PATH",
        end_time_ns=time.time_ns(), output_closed=True, output_complete=True,
    )  # fmt: skip
