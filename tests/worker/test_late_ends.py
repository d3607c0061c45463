"""Ends that others hold up: a tracer that keeps a leader, a log directory that is away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Worker, wait_for

_PTRACE_SEIZE = 0x4206
_TRACER = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace({_PTRACE_SEIZE}, int(sys.argv[1]), 0, 0), flush=True)
sys.stdin.read()
"""


def test_a_leader_that_a_tracer_keeps_has_ended_all_the_same(worker: Worker) -> None:
    """Its exit status is read from /proc; the tracer has the zombie for as long as it likes."""
    job = worker.job("--", "sleep", "600")
    pid = worker.record(job)["pid"]
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _TRACER, str(pid)], stdin=pipe, stdout=pipe) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == b"0\n"
        assert worker.jobctl("stop", "--grace", "0", job).returncode == 0
        record = worker.record(job)
        assert (record["state"], record["exit_signal"]) == ("STOPPED", signal.SIGKILL)
        assert os.path.exists(f"/proc/{pid}")
        tracer.communicate(b"")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


def test_output_waits_for_the_log_directory_beyond_the_jobs_end(worker: Worker) -> None:
    """A new recorder cannot open the files; when it can, all of it is there."""
    job = worker.job(
        "--", "sh", "-c", f"echo hello; until [ -e {worker.folder}/go ]; do sleep 0.05; done; echo bye"
    )
    wait_for(lambda: worker.record(job)["stdout_bytes"])
    away = worker.log_dir.with_name("away")
    worker.log_dir.rename(away)
    recorder = worker.peer("recorder")
    os.kill(recorder, signal.SIGKILL)
    wait_for(lambda: worker.peer("recorder") not in (0, recorder))
    (worker.folder / "go").touch()
    assert worker.jobctl("wait", job).returncode == 0
    away.rename(worker.log_dir)
    wait_for(lambda: worker.record(job)["output_closed"])
    assert worker.jobctl("logs", job).stdout == "hello\nbye\n"
    assert worker.record(job)["output_complete"] is True


_WRITER = """
import os, sys
os.write(2, b"ready")
while not os.path.exists(sys.argv[1]): pass
os.write(1, b"x")
"""
_HOLDER = """
import os, socket, sys
ours, theirs = socket.socketpair()
out = os.open(f"/proc/{sys.argv[1]}/fd/1", os.O_WRONLY)
os.write(2, b"ready")
os.splice(theirs.fileno(), out, 65536)
"""


def test_what_cannot_be_killed_is_named_and_ends_when_the_kernel_lets_go(worker: Worker) -> None:
    """Another job holds the lock of its pipe: two seconds after SIGKILL the stop says so, a second one at once."""
    go = worker.folder / "go"
    job = worker.job("--", sys.executable, "-c", _WRITER, str(go))
    wait_for(lambda: worker.record(job)["stderr_bytes"])
    pid = worker.record(job)["pid"]
    holder = worker.job("--", sys.executable, "-c", _HOLDER, str(pid))
    wait_for(lambda: worker.record(holder)["stderr_bytes"])
    go.touch()
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D")
    for _ in range(2):
        done = worker.jobctl("stop", "--grace", "0", job)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"still there after SIGKILL: {pid} (" in done.stderr
        assert ", state D)" in done.stderr
    assert worker.record(job)["state"] == "STOPPING"
    assert worker.jobctl("stop", holder).returncode == 0
    assert worker.ended(job)["exit_signal"] == signal.SIGTERM  # the first one that it could not but die of


_HOLDS_ITSELF = """
import os, socket, sys
os.write(1, b"x")
while not os.path.exists(sys.argv[1]): pass
os.write(1, b"y" * 9000)
while not os.path.exists(sys.argv[2]): pass
ours, theirs = socket.socketpair()
os.write(2, b"!")
os.splice(theirs.fileno(), 1, 65536)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_paused_job_that_holds_its_own_pipe_costs_one_worker_of_the_recorder(tmp_path: Path) -> None:
    """However long the disk is full; with room again all others go on."""
    worker = Worker(tmp_path, '[retention]\nmin_free = "0"\n')
    worker.configure('[retention]\nmin_free = "0"\n', "max_running = 8")
    full, hold = tmp_path / "full", tmp_path / "hold"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(worker.log_dir)], check=True)
    try:
        worker.start()
        other = worker.job("--", "sh", "-c", "while :; do date; sleep 0.1; done")
        job = worker.job("--", sys.executable, "-c", _HOLDS_ITSELF, str(full), str(hold))
        wait_for(lambda: worker.record(job)["stdout_bytes"] and worker.record(other)["stdout_bytes"])
        room = os.statvfs(worker.log_dir)
        (worker.log_dir / "filler").write_bytes(b"z" * room.f_bfree * room.f_bsize)
        full.touch()
        wait_for(lambda: worker.record(job)["output_paused"] == "ENOSPC")
        hold.touch()
        wait_for(lambda: worker.record(job)["output_held"] == ["stdout"])
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 3)  # three more times at least it would have been tried
        assert len(os.listdir(f"/proc/{worker.peer('recorder')}/task")) < 8
        (worker.log_dir / "filler").unlink()
        size = worker.record(other)["stdout_bytes"]
        wait_for(lambda: worker.record(other)["stdout_bytes"] > size)
        assert worker.jobctl("run", "--", "true").returncode == 0
        assert worker.jobctl("stop", "--grace", "0", job, other).returncode == 0
    finally:
        worker.close()
        subprocess.run(["umount", str(worker.log_dir)], check=True)
