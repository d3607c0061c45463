"""The job table on a real file: what it has confirmed is there, whatever happens to the process."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from jobworkerd.api.jobs import Jobs
from jobworkerd.api.store import Filter, Row, SchemaError, Store
from jobworkerd.channel import messages
from jobworkerd.journal import Journal

_CALLER = "jobworker://ops/alice"
_US, _BEFORE, _BOOT = "this instance", "an earlier instance", "this boot"


def _row(number: int = 1, **changes: Any) -> Row:
    """The intent of job ``number``: each has its own id, request id and second."""
    given: dict[str, Any] = {
        "job_id": str(uuid.UUID(int=number)), "caller": _CALLER, "request_id": f"r{number}", "digest": b"d" * 32,
        "name": "", "labels": {}, "command": "id", "args": [], "dir": "", "user": "deploy", "rule": "jobs.toml:1",
        "start_time_ns": number * 10**9, "start_stamp": "20261124T024300Z", "instance_id": _US, "boot_id": _BOOT,
    }  # fmt: skip
    return Row(**(given | changes))


def _with(path: Path, work: Callable[[Store], Awaitable[Any]]) -> Any:
    """What ``work`` gives, with the table open."""

    async def run() -> Any:
        store = Store(str(path))
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _table(path: Path, rows: list[Row]) -> Path:
    async def insert(store: Store) -> None:
        await asyncio.gather(*(store.insert(row) for row in rows))

    _with(path, insert)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a table that is not there yet."""
    return tmp_path / "jobs.db"


# --- durability -----------------------------------------------------------------------------------


def test_every_field_of_a_row_comes_back(path: Path) -> None:
    """Also what SQLite has no type for, and text that is not ASCII."""
    row = _row(
        name="web", labels={"team": "wéb", "": ""}, args=["", "a b", "é\n"], state="STOPPED", reason="CALLER",
        reason_by=_CALLER, error="e", errno=2, stage="execve", pid=7, end_time_ns=1 << 62, exit_code=-1,
        exit_signal=15, core_dumped=True, signalled=True, report="{}", stdout_bytes=1 << 40, stderr_bytes=3,
        output_closed=True, output_complete=True,
    )  # fmt: skip
    _table(path, [row])
    assert _with(path, lambda store: store.get(row.job_id)) == row


_KILLED = """
import asyncio, os, signal, sys
sys.path[:0] = sys.argv[2:]
from test_store import _row
from jobworkerd.api.store import Store
async def main():
    store = Store(sys.argv[1])
    await store.open()
    await asyncio.gather(*(store.insert(_row(number)) for number in range(1, 21)))
    await store.update([_row(3, state="EXITED", end_time_ns=5, exit_code=4)])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_a_confirmed_write_outlives_a_kill_without_a_close(path: Path) -> None:
    """Twenty intents and an end, SIGKILL at once, and the next process finds them."""
    folders = (str(Path(__file__).parent), str(REPOSITORY / "tests"))
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path), *folders], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    rows = _with(path, lambda store: store.page(Filter(), 100))
    assert [row.request_id for row in rows] == [f"r{number}" for number in range(20, 0, -1)]
    assert [(row.exit_code, row.end_time_ns) for row in rows if row.ended] == [(4, 5)]


def test_a_confirmed_write_is_seen_by_another_connection_at_once(path: Path) -> None:
    """While the first one is still open: it is committed, and not only queued."""

    async def look(store: Store) -> list[tuple[str]]:
        await store.insert(_row())
        other = sqlite3.connect(path)
        try:
            return other.execute("SELECT request_id FROM jobs").fetchall()
        finally:
            other.close()

    assert _with(path, look) == [("r1",)]


def test_the_salt_of_digests_stays_the_same(path: Path) -> None:
    """Else a repeated request would be another one after a restart; and no two tables share one."""

    async def salt(store: Store) -> bytes:
        return store.salt

    first = _with(path, salt)
    assert len(first) == 32
    assert _with(path, salt) == first
    assert _with(path.with_name("other.db"), salt) != first


def test_a_table_of_a_newer_version_is_not_touched(path: Path) -> None:
    """In words that name file and versions."""
    _table(path, [_row()])
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(
        SchemaError, match=r"jobs\.db is of a newer jobworker \(schema 99, this one knows \d+\)"
    ):
        _table(path, [_row(2)])
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    db.close()


# --- one request, one job ------------------------------------------------------------------------


def test_a_request_id_stands_for_one_job_of_its_caller(path: Path) -> None:
    """A second insert is refused and the first one's digest is found; another caller may use the same id."""

    async def repeat(store: Store) -> tuple[Row | None, Row | None]:
        with pytest.raises(sqlite3.IntegrityError, match=r"jobs\.caller, jobs\.request_id"):
            await store.insert(_row(2, request_id="r1", digest=b"x" * 32))
        await store.insert(_row(3, request_id="r1", caller="jobworker://ops/bob"))
        return await store.by_request(_CALLER, "r1"), await store.by_request(_CALLER, "r9")

    _table(path, [_row(1)])
    assert _with(path, repeat) == (_row(1), None)


def test_of_the_same_request_many_times_at_once_one_wins(path: Path) -> None:
    """All in one transaction, and what else was in it is kept."""

    async def race(store: Store) -> list[BaseException | None]:
        rows = [_row(number, request_id="once") for number in range(1, 11)]
        return await asyncio.gather(
            *(store.insert(row) for row in [*rows, _row(11)]), return_exceptions=True
        )  # fmt: skip

    outcomes = _with(path, race)
    assert [type(outcome) for outcome in outcomes].count(sqlite3.IntegrityError) == 9
    assert outcomes[10] is None
    rows = _with(path, lambda store: store.page(Filter(), 100))
    assert sorted(row.request_id for row in rows) == ["once", "r11"]
    assert rows[1].job_id == _row(1 + outcomes.index(None)).job_id


def test_a_name_is_free_again_when_its_job_has_ended(path: Path) -> None:
    """Until then it is taken for this caller, and for no other one."""

    async def names(store: Store) -> list[Row]:
        with pytest.raises(sqlite3.IntegrityError, match=r"jobs\.caller, jobs\.name"):
            await store.insert(_row(2, name="web"))
        await store.insert(_row(3, name="web", caller="jobworker://ops/bob"))
        await store.update([_row(1, name="web", state="EXITED", end_time_ns=9)])
        await store.insert(_row(4, name="web"))
        await store.insert(_row(5, name="web", caller="jobworker://ops/eve", end_time_ns=9))
        return [
            row for caller in await store.callers_of("web") for row in await store.by_name("web", caller, 10)
        ]

    _table(path, [_row(1, name="web")])
    rows = _with(path, names)
    assert sorted(row.request_id for row in rows) == ["r1", "r3", "r4", "r5"]
    own = [row.request_id for row in rows if row.caller == _row(1).caller]
    assert own == ["r4", "r1"]  # those that have not ended first


def test_a_prefix_finds_all_that_begin_so(path: Path) -> None:
    """And no more than asked for."""
    ids = [f"abcd{more}-0000-4000-8000-000000000000" for more in ("0000", "000f", "ffff")]
    ids += ["abce0000-0000-4000-8000-000000000000", "abc00000-0000-4000-8000-000000000000"]
    _table(path, [_row(number, job_id=job_id) for number, job_id in enumerate(ids)])

    async def find(store: Store) -> list[list[str]]:
        return [
            [row.job_id for row in await store.by_prefix(prefix, limit)]
            for prefix, limit in (("abcd", 10), ("abcd", 2), (ids[3], 10), ("ffff", 10))
        ]

    assert _with(path, find) == [ids[:3], ids[:2], [ids[3]], []]


# --- ends -----------------------------------------------------------------------------------------


class _Runner:
    """The runner's side: events to ``Jobs``, and of what is acknowledged, the row as committed then."""

    def __init__(self, path: Path) -> None:
        self.acknowledged: list[tuple[str, dict[str, Any]]] = []
        self._path = path

    def send(self, message: messages.Message) -> None:
        """From the API."""
        assert isinstance(message, messages.Acknowledge)
        db = sqlite3.connect(self._path)
        db.row_factory = sqlite3.Row
        row = db.execute("SELECT * FROM jobs WHERE job_id = ?", (message.job_id,)).fetchone()
        db.close()
        self.acknowledged.append((message.what, dict(row)))


def _told(path: Path, *events: messages.Message) -> _Runner:
    """What a runner is sent back for these events, after which the replay is over."""
    runner = _Runner(path)

    async def tell(store: Store) -> None:
        jobs = Jobs(store, runner.send, Journal("test"), _US, _BOOT)
        await jobs.load()
        applying = asyncio.create_task(jobs.run())
        for event in (*events, messages.ReplayDone()):
            jobs.event(event)
        await asyncio.wait_for(jobs.replayed.wait(), 10)
        applying.cancel()

    _with(path, tell)
    return runner


def _exited(row: Row, **changes: Any) -> messages.Exited:
    given = {
        "pid": 7, "exit_code": 3, "exit_signal": 0, "core_dumped": False, "state": "EXITED", "reason": "", "by": "",
        "signalled": False, "end_time_ns": 77, "report": "{}",
    }  # fmt: skip
    return messages.Exited(row.job_id, **(given | changes))  # type: ignore[arg-type]


def _record(path: Path, row: Row) -> Row:
    record = _with(path, lambda store: store.get(row.job_id))
    assert isinstance(record, Row)
    return record


def test_an_exit_is_committed_before_it_is_acknowledged(path: Path) -> None:
    """The runner forgets it then, so the row must be there already."""
    row = _row(state="RUNNING", pid=7)
    _table(path, [row])
    runner = _told(path, _exited(row))
    [(what, committed)] = runner.acknowledged
    assert (what, committed["state"], committed["exit_code"], committed["end_time_ns"]) == (
        "exit",
        "EXITED",
        3,
        77,
    )


def test_an_exit_is_recorded_once(path: Path) -> None:
    """What is told again, or told otherwise, changes nothing, and is acknowledged all the same."""
    row = _row(state="RUNNING", pid=7)
    _table(path, [row])
    _told(path, _exited(row))
    first = _record(path, row)
    other = _exited(row, exit_code=9, state="STOPPED", end_time_ns=99, signalled=True)
    failed = messages.StartFailed(row.job_id, "EXEC_FAILED", "", "execve", 2, "cannot")
    assert [what for what, _ in _told(path, other, other, failed).acknowledged] == ["exit"] * 3
    assert _record(path, row) == first


@pytest.mark.parametrize(
    ("changes", "reason", "error"),
    [
        ({"instance_id": _BEFORE}, "RUNNER_DIED", "the runner died, and the job with it"),
        ({"instance_id": _BEFORE, "boot_id": "x"}, "HOST_REBOOTED", "the host was booted anew while it ran"),
        ({}, "NEVER_STARTED", "the worker never got to start it; nothing ran"),
    ],
)
def test_what_no_runner_holds_is_lost(path: Path, changes: dict[str, str], reason: str, error: str) -> None:
    """With the reason that instance and boot tell; another job, which the runner holds, goes on."""
    lost, held = _row(1, state="RUNNING", pid=7, **changes), _row(2, state="RUNNING", pid=8)
    _table(path, [lost, held])
    assert _told(path, messages.Held(held.job_id, 8, "RUNNING")).acknowledged == []
    record = _record(path, lost)
    assert (record.state, record.reason, record.error) == ("LOST", reason, error)
    assert record.end_time_ns > lost.start_time_ns
    assert (record.exit_code, record.exit_signal, record.pid) == (-1, 0, 7)
    assert (record.output_closed, record.output_complete) == (True, False)
    assert _record(path, held) == held
    again = _told(path, messages.Held(held.job_id, 8, "RUNNING"))
    assert (again.acknowledged, _record(path, lost)) == ([], record)


def test_an_ended_job_whose_output_nobody_holds_is_closed_incomplete(path: Path) -> None:
    """Its end stays what it was; of this instance, the runner still holds the output."""
    theirs = _row(1, instance_id=_BEFORE, state="EXITED", exit_code=3, end_time_ns=5)
    ours = _row(2, state="EXITED", exit_code=3, end_time_ns=5)
    _table(path, [theirs, ours])
    _told(path)
    assert _record(path, theirs) == replace(theirs, output_closed=True, output_complete=False)
    assert _record(path, ours) == ours


# --- lists ----------------------------------------------------------------------------------------


_SOME = [
    _row(1, state="EXITED", end_time_ns=1, labels={"team": "web"}),
    _row(2, state="RUNNING", labels={"team": "web", "tier": "a"}),
    _row(3, state="STOPPED", end_time_ns=1),
    _row(4, state="RUNNING", labels={"team": "db"}),
    _row(5, state="LOST", end_time_ns=1, labels={"tier": "web"}),
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(), [5, 4, 3, 2, 1]),
        (Filter(running_only=True), [4, 2]),
        (Filter(states=("STOPPED", "LOST")), [5, 3]),
        (Filter(states=("EXITED",), running_only=True), []),
        (Filter(since_ns=3 * 10**9), [5, 4, 3]),
        (Filter(until_ns=3 * 10**9), [2, 1]),
        (Filter(since_ns=2 * 10**9, until_ns=4 * 10**9), [3, 2]),
        (Filter(labels={"team": "web"}), [2, 1]),
        (Filter(labels={"team": "web", "tier": "a"}), [2]),
        (Filter(labels={"team": "web' OR 1 --"}), []),
        (Filter(labels={"": ""}), []),
        (Filter(before=(3 * 10**9, str(uuid.UUID(int=3)))), [2, 1]),
    ],
)
def test_a_filter_gives_what_it_says_newest_first(path: Path, wanted: Filter, numbers: list[int]) -> None:
    """All conditions together."""
    _table(path, _SOME)
    rows = _with(path, lambda store: store.page(wanted, 10))
    assert [row.request_id for row in rows] == [f"r{number}" for number in numbers]


def test_pages_give_each_job_once_though_new_ones_start(path: Path) -> None:
    """Also jobs of the same nanosecond, of which a page can end between two."""
    _table(path, [_row(number, start_time_ns=number // 3) for number in range(1, 12)])

    async def pages(store: Store) -> list[list[str]]:
        seen: list[list[str]] = []
        wanted = Filter()
        while rows := await store.page(wanted, 2):
            seen.append([row.request_id for row in rows])
            wanted = Filter(before=(rows[-1].start_time_ns, rows[-1].job_id))
            await store.insert(_row(100 + len(seen)))
        return seen

    assert _with(path, pages) == [
        ["r11", "r10"], ["r9", "r8"], ["r7", "r6"], ["r5", "r4"], ["r3", "r2"], ["r1"],
    ]  # fmt: skip


def test_what_is_unsettled_has_its_output_open(path: Path) -> None:
    """Ended or not; the settled ones are not loaded again at each start of the API."""
    _table(
        path,
        [
            _row(1, state="RUNNING"),
            _row(2, state="EXITED", end_time_ns=1),
            _row(3, state="EXITED", end_time_ns=1, output_closed=True),
        ],
    )
    rows = _with(path, lambda store: store.unsettled())
    assert sorted(row.request_id for row in rows) == ["r1", "r2"]
