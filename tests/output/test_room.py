"""No room where the output is kept: a job and its followers wait, nothing else does, and nothing is lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from following import Follower, ended, sha256, writer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@contextlib.contextmanager
def _worker_in_one_mebibyte(folder: Path) -> Iterator[Worker]:
    """Its log_dir is a file system of that size."""
    worker = Worker(folder, '[retention]\nmin_free = "0"\n')
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(worker.log_dir)], check=True)
    try:
        worker.start()
        yield worker
    finally:
        worker.close()
        subprocess.run(["umount", str(worker.log_dir)], check=True)


def _make_room(worker: Worker) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(worker.log_dir)], check=True)


def test_a_follower_waits_for_room_and_gets_every_byte(tmp_path: Path) -> None:
    """Meanwhile the record and the journal say why; another caller of the same output gets what there is."""
    with _worker_in_one_mebibyte(tmp_path) as worker:
        sums = tmp_path / "sums"
        job = worker.job("--", *writer("12", 100, 20_000, 0, sums))
        follower = Follower(worker, tmp_path / "follower", "logs", "-f", job)
        with ended([follower]):
            wait_for(lambda: worker.record(job)["output_paused"] == "ENOSPC")
            said = f"jobworkerd: output_paused: recording of {job} pauses: No space left on device"
            wait_for(lambda: said in worker.journal.read_text())
            record = worker.record(job)
            assert record["state"] == "RUNNING"
            recorded = record["stdout_bytes"]
            assert 0 < recorded < 2_000_000
            wait_for(lambda: follower.size == recorded)
            assert len(worker.jobctl("logs", "--stdout", job, text=False).stdout) == recorded
            assert follower.process.poll() is None
            assert not sums.exists()
            _make_room(worker)
            assert follower.ends() == 0
        assert [sha256(follower.out), sha256(follower.err)] == sums.read_text().split()
        record = worker.ended(job)
        assert (record["state"], record["output_paused"]) == ("EXITED", "")
        assert (record["stdout_bytes"], record["stderr_bytes"], record["output_complete"]) == (
            2000000,
            2000000,
            True,
        )
        assert f"recording of {job} goes on" in worker.journal.read_text()


def test_a_stop_does_not_wait_for_room_and_a_follower_does(tmp_path: Path) -> None:
    """The job is gone at once; what it had written is delivered when there is room for it."""
    with _worker_in_one_mebibyte(tmp_path) as worker:
        job = worker.job("--", "sh", "-c", "seq 1 10000000")
        follower = Follower(worker, tmp_path / "follower", "logs", "-f", job)
        with ended([follower]):
            wait_for(lambda: worker.record(job)["output_paused"] == "ENOSPC")
            pid = worker.record(job)["pid"]
            assert worker.jobctl("stop", job, timeout=10).returncode == 0
            assert not Path(f"/proc/{pid}").exists()
            record = worker.record(job)
            assert (record["state"], record["output_closed"]) == ("STOPPED", False)
            assert follower.process.poll() is None
            _make_room(worker)
            assert follower.ends() == 0
        record = worker.record(job)
        assert (record["output_closed"], record["output_complete"]) == (True, True)
        # The pipe's worth beyond what fitted is there too, and all of it is what seq prints first.
        numbers = b"".join(b"%d\n" % number for number in range(1, 400_000))
        data = follower.out.read_bytes()
        assert len(data) == record["stdout_bytes"] > 1_000_000
        assert hashlib.sha256(numbers[: len(data)]).digest() == hashlib.sha256(data).digest()


def test_below_min_free_nothing_is_started_and_all_else_goes_on(worker: Worker, tmp_path: Path) -> None:
    """A start says how much is free and how much it takes; a running job and its follower do not notice."""
    go = tmp_path / "go"
    job = worker.job("--", "sh", "-c", f"echo before; until [ -e {go} ]; do sleep 0.02; done; echo after")
    follower = Follower(worker, tmp_path / "follower", "logs", "-f", job)
    with ended([follower]):
        wait_for(lambda: follower.size == len("before\n"))
        worker.configure('[retention]\nmin_free = "1000TiB"\n')
        assert subprocess.run(worker.command("--reload")).returncode == 0
        done = worker.jobctl("start", "--", "true")
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            f"MiB are free in {worker.log_dir}, less than min_free (1048576000 MiB); nothing was started"
            in done.stderr
        )
        assert '"reason": "NO_ROOM"' in worker.jobctl("-o", "json", "start", "--", "true").stderr
        assert worker.jobctl("run", "--", "true").returncode == 125
        given = tmp_path / "input"
        given.write_bytes(b"x")
        assert "less than min_free" in worker.jobctl("start", "--stdin", str(given), "--", "cat").stderr
        assert os.listdir(worker.state_dir / "input") == []
        assert worker.jobctl("list", "-o", "id").stdout.split() == [job]
        go.touch()
        assert follower.ends() == 0
    assert follower.out.read_text() == worker.jobctl("logs", job).stdout == "before\nafter\n"
    worker.configure()
    assert subprocess.run(worker.command("--reload")).returncode == 0
    assert worker.jobctl("run", "--", "true").returncode == 0
