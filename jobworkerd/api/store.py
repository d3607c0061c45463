"""The job table: SQLite in WAL with synchronous=FULL, one thread of its own, commits in groups.

Callers await; the event loop never waits for the disk. Everything queued while a transaction is under
way goes into the next one, so many clients share one fsync.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

SCHEMA_VERSION = 2
_T = TypeVar("_T")
_Write = tuple[str, tuple[Any, ...], "asyncio.Future[None]"]

_SCHEMA = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, caller TEXT NOT NULL, request_id TEXT NOT NULL, digest BLOB NOT NULL,
    name TEXT NOT NULL, labels TEXT NOT NULL, command TEXT NOT NULL, args TEXT NOT NULL, dir TEXT NOT NULL,
    user TEXT NOT NULL, rule TEXT NOT NULL, start_time_ns INTEGER NOT NULL, start_stamp TEXT NOT NULL,
    instance_id TEXT NOT NULL, boot_id TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    reason_by TEXT NOT NULL, error TEXT NOT NULL, errno INTEGER NOT NULL, stage TEXT NOT NULL,
    pid INTEGER NOT NULL, end_time_ns INTEGER NOT NULL, exit_code INTEGER NOT NULL,
    exit_signal INTEGER NOT NULL, core_dumped INTEGER NOT NULL, signalled INTEGER NOT NULL,
    report TEXT NOT NULL, stdout_bytes INTEGER NOT NULL, stderr_bytes INTEGER NOT NULL,
    output_closed INTEGER NOT NULL, output_complete INTEGER NOT NULL,
    UNIQUE (caller, request_id)
);
CREATE UNIQUE INDEX live_names ON jobs (caller, name) WHERE name != '' AND end_time_ns = 0;
CREATE INDEX names ON jobs (name, start_time_ns) WHERE name != '';
CREATE INDEX by_time ON jobs (start_time_ns, job_id);
CREATE INDEX unsettled ON jobs (output_closed) WHERE output_closed = 0;
CREATE TABLE salt (value BLOB NOT NULL);
INSERT INTO salt VALUES (randomblob(32));
"""
_MIGRATIONS = {
    1: """
ALTER TABLE jobs ADD COLUMN stdout_first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN stderr_first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN merge_output INTEGER NOT NULL DEFAULT 0;
""",
}
"""From each version to the next; a new table is made as version 1 and goes the same way."""


class SchemaError(Exception):
    """The database is of a newer jobworker."""


@dataclass(slots=True)
class Row:
    """One job as the table keeps it: ``state`` and ``reason`` as the proto names them, times in ns, 0: none."""

    job_id: str
    caller: str
    request_id: str
    digest: bytes
    name: str
    labels: dict[str, str]
    command: str
    args: list[str]
    dir: str
    user: str
    rule: str
    start_time_ns: int
    start_stamp: str
    instance_id: str
    boot_id: str
    state: str = "STARTING"
    reason: str = ""
    reason_by: str = ""
    error: str = ""
    errno: int = 0
    stage: str = ""
    pid: int = 0
    end_time_ns: int = 0
    exit_code: int = -1
    exit_signal: int = 0
    core_dumped: bool = False
    signalled: bool = False
    report: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    output_closed: bool = False
    output_complete: bool = False
    stdout_first: int = 0
    stderr_first: int = 0
    merge_output: bool = False

    @property
    def ended(self) -> bool:
        """Whether its end is recorded."""
        return self.end_time_ns != 0


_COLUMNS = tuple(each.name for each in fields(Row))
_JSON = ("labels", "args")
_BOOLS = ("core_dumped", "signalled", "output_closed", "output_complete", "merge_output")
_INSERT = f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 -- own names
_UPDATE = f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE job_id = ?"  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM jobs "  # noqa: S608


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a list wants. ``before`` is the last row of the page before: (start_time_ns, job_id)."""

    running_only: bool = False
    states: tuple[str, ...] = ()
    since_ns: int = 0
    until_ns: int = 0
    before: tuple[int, str] | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Store:
    """``open`` first. Every method but that may be awaited from the event loop only."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._waiting: list[_Write] = []
        self._writing = False
        self.salt = b""

    async def open(self) -> None:
        """Opens or makes the database. SchemaError, sqlite3.Error."""
        await self._run(self._open)

    async def insert(self, row: Row) -> None:
        """Durable when it returns. sqlite3.IntegrityError: request id or name taken."""
        await self._write(_INSERT, _values(row))

    async def update(self, rows: list[Row]) -> None:
        """Durable when it returns, all of them."""
        await asyncio.gather(*(self._write(_UPDATE, (*_values(row), row.job_id)) for row in rows))

    async def get(self, job_id: str) -> Row | None:
        """By its whole id."""
        return await self._one("WHERE job_id = ?", (job_id,))

    async def by_request(self, caller: str, request_id: str) -> Row | None:
        """The job a request id stands for."""
        return await self._one("WHERE caller = ? AND request_id = ?", (caller, request_id))

    async def by_prefix(self, prefix: str, limit: int) -> list[Row]:
        """Jobs whose id begins so."""
        return await self._select("WHERE job_id >= ? AND job_id < ? LIMIT ?", (prefix, prefix + "g", limit))

    async def callers_of(self, name: str) -> list[str]:
        """Whoever has, or had, a job of that name."""
        sql = "SELECT DISTINCT caller FROM jobs WHERE name = ?"
        rows = await self._run(lambda: self._db.execute(sql, (name,)).fetchall())
        return [caller for (caller,) in rows]

    async def by_name(self, name: str, caller: str, limit: int) -> list[Row]:
        """A caller's jobs of that name, those that have not ended first, then the newest."""
        return await self._select(
            "WHERE name = ? AND caller = ? ORDER BY end_time_ns != 0, start_time_ns DESC LIMIT ?",
            (name, caller, limit),
        )

    async def unsettled(self) -> list[Row]:
        """Jobs that have not ended or whose output is not closed."""
        return await self._select("WHERE output_closed = 0", ())

    async def page(self, wanted: Filter, limit: int) -> list[Row]:
        """The next ``limit`` rows of a list, newest first."""
        where: list[str] = ["1"]
        values: list[int | str] = []
        if wanted.running_only:
            where.append("end_time_ns = 0")
        if wanted.states:
            where.append(f"state IN ({', '.join('?' * len(wanted.states))})")
            values += wanted.states
        for clause, value in (("start_time_ns >= ?", wanted.since_ns), ("start_time_ns < ?", wanted.until_ns)):
            if value:
                where.append(clause)
                values.append(value)
        for key, label in wanted.labels.items():
            where.append("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)")
            values += [key, label]
        if wanted.before is not None:
            where.append("(start_time_ns, job_id) < (?, ?)")
            values += wanted.before
        clause = " AND ".join(where)
        return await self._select(
            f"WHERE {clause} ORDER BY start_time_ns DESC, job_id DESC LIMIT ?", (*values, limit)
        )

    async def close(self) -> None:
        """Checkpoints and closes."""
        await self._run(lambda: self._db.close())
        self._thread.shutdown()

    # --- inside -------------------------------------------------------------------------------

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise SchemaError(
                f"{self._path} is of a newer jobworker (schema {version}, this one knows {SCHEMA_VERSION})"
            )
        for step in range(version, SCHEMA_VERSION):
            script = _MIGRATIONS[step] if step else _SCHEMA
            self._db.executescript(f"BEGIN;{script}PRAGMA user_version = {step + 1};COMMIT;")
        self.salt = self._db.execute("SELECT value FROM salt").fetchone()[0]

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _select(self, rest: str, values: tuple[Any, ...]) -> list[Row]:
        rows = await self._run(lambda: self._db.execute(_SELECT + rest, values).fetchall())
        return [_row(values) for values in rows]

    async def _one(self, rest: str, values: tuple[Any, ...]) -> Row | None:
        rows = await self._select(rest, values)
        return rows[0] if rows else None

    async def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((sql, values, done))
        if not self._writing:
            self._writing = True
            task = asyncio.create_task(self._flush())
            task.add_done_callback(lambda task: task.exception())
        await done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                outcomes = await self._run(lambda group=group: self._commit(group))  # type: ignore[misc]
                for (_, _, done), error in zip(group, outcomes, strict=True):
                    if done.done():
                        continue
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(error)
        finally:
            self._writing = False

    def _commit(self, group: list[_Write]) -> list[Exception | None]:
        """One transaction; a statement that breaks a constraint fails alone, all else together."""
        outcomes: list[Exception | None] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for sql, values, _ in group:
                try:
                    self._db.execute(sql, values)
                    outcomes.append(None)
                except sqlite3.IntegrityError as error:
                    outcomes.append(error)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return [error] * len(group)
        return outcomes


def _values(row: Row) -> tuple[Any, ...]:
    return tuple(json.dumps(getattr(row, name)) if name in _JSON else getattr(row, name) for name in _COLUMNS)


def _row(values: tuple[Any, ...]) -> Row:
    named = dict(zip(_COLUMNS, values, strict=True))
    for name in _JSON:
        named[name] = json.loads(named[name])
    for name in _BOOLS:
        named[name] = bool(named[name])
    return Row(**named)
