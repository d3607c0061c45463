"""A job's standard input: exact, whole before anything starts, and gone when it is not needed any more."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Worker, alive, wait_for

_SEED = 20261124
_LARGE = 1 << 30
"""What takes an upload long enough to be met in the middle of it; a hole, so it costs no disk here."""


def _random(path: Path, count: int) -> bytes:
    data = random.Random(_SEED).randbytes(count)
    path.write_bytes(data)
    return data


def _spool(worker: Worker) -> list[int]:
    """The sizes of all that is in it."""
    sizes = []
    for path in (worker.state_dir / "input").iterdir():
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


def _jobs(worker: Worker) -> list[str]:
    return str(worker.jobctl("list", "-o", "id").stdout).split()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file whose upload takes a while."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(_LARGE)
    return path


@contextlib.contextmanager
def _uploading(worker: Worker, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A jobctl that is in the middle of it."""
    pipe = subprocess.PIPE
    process = worker.popen(*args, stdout=pipe, stderr=pipe, text=True)
    try:
        wait_for(lambda: any(_spool(worker)))
        assert process.poll() is None
        assert _jobs(worker) == []
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("count", [0, 1, 262_144, 50_000_000])
@pytest.mark.parametrize("through", ["file", "pipe", "redirection"])
def test_a_job_reads_exactly_what_it_was_given(
    shared_worker: Worker, tmp_path: Path, count: int, through: str
) -> None:
    """From FILE, and as - from a pipe and from a file; to its end, and nothing is left of it."""
    path = tmp_path / "input"
    data = _random(path, count)
    argv = ("--", "sh", "-c", "cat; head -c1 | wc -c >&2")
    if through == "pipe":
        done = shared_worker.jobctl("run", "--stdin", "-", *argv, text=False, stdin=None, input=data)
    elif through == "redirection":
        with path.open("rb") as file:
            done = shared_worker.jobctl("run", "--stdin", "-", *argv, text=False, stdin=file)
    else:
        done = shared_worker.jobctl("run", "--stdin", str(path), *argv, text=False)
    assert (done.returncode, done.stderr) == (0, b"0\n")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert _spool(shared_worker) == []


def test_a_redirected_file_is_read_from_where_it_stands(shared_worker: Worker, tmp_path: Path) -> None:
    """As a shell's `{ read line; jobctl … --stdin -; } <file` has it."""
    path = tmp_path / "input"
    path.write_text("first\nsecond\n")
    script = 'exec <"$0"; read line; "$@" run --stdin - -- cat'
    done = subprocess.run(
        ["bash", "-c", script, str(path), *shared_worker.argv()], env=shared_worker.environment(),
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "second\n", "")


def test_an_input_that_cannot_be_read_starts_nothing(shared_worker: Worker, tmp_path: Path) -> None:
    """Wrong usage where it cannot be opened; 1 where reading it fails."""
    before = _jobs(shared_worker)
    done = shared_worker.jobctl("start", "--stdin", str(tmp_path / "nosuch"), "--", "cat")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"jobctl: cannot read --stdin {tmp_path}/nosuch: No such file or directory\n")
    done = shared_worker.jobctl("start", "--stdin", str(tmp_path), "--", "cat")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"jobctl: cannot read --stdin {tmp_path}: Is a directory\n")
    done = shared_worker.jobctl("start", "--stdin", "/proc/self/mem", "--", "cat")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "jobctl: cannot read --stdin /proc/self/mem: Input/output error; nothing was started\n"
    )
    assert _jobs(shared_worker) == before
    wait_for(lambda: _spool(shared_worker) == [])


def test_more_than_max_input_is_refused(idle_worker: Worker, tmp_path: Path) -> None:
    """INPUT_TOO_LARGE; nothing is started, nothing is kept. Exactly as much is taken."""
    worker = idle_worker
    worker.configure(jobs='max_input = "1MiB"')
    worker.start()
    path = tmp_path / "input"
    _random(path, (1 << 20) + 1)
    done = worker.jobctl("-o", "json", "start", "--stdin", str(path), "--", "cat")
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)["error"]
    assert (error["reason"], error["message"]) == (
        "INPUT_TOO_LARGE", "the input has more than 1048576 bytes (max_input)",
    )  # fmt: skip
    assert worker.jobctl("run", "--stdin", str(path), "--", "cat").returncode == 125
    assert (_jobs(worker), _spool(worker)) == ([], [])
    data = _random(path, 1 << 20)
    assert worker.jobctl("run", "--stdin", str(path), "--", "cat", text=False).stdout == data


def test_an_upload_cut_in_the_middle_starts_nothing(worker: Worker, large: Path) -> None:
    """By a SIGKILL of jobctl; what had come is removed at once."""
    with _uploading(worker, "start", "--stdin", str(large), "--", "cat") as jobctl:
        jobctl.kill()
        jobctl.wait()
        wait_for(lambda: _spool(worker) == [])
    assert _jobs(worker) == []
    assert "bug" not in worker.journal.read_text()


def test_an_api_killed_during_an_upload_costs_nothing(worker: Worker, large: Path) -> None:
    """The upload begins again, the job is started once, and it reads all of it."""
    with _uploading(worker, "run", "--stdin", str(large), "--", "wc", "-c") as jobctl:
        api = worker.peer("api")
        os.kill(api, signal.SIGKILL)
        wait_for(lambda: not alive(api))
        out, err = jobctl.communicate(timeout=40)
    assert (jobctl.returncode, out, err) == (0, f"{_LARGE}\n", "")
    assert len(_jobs(worker)) == 1
    assert _spool(worker) == []


def test_whoever_may_not_start_it_uploads_nothing(idle_worker: Worker, large: Path) -> None:
    """Neither a viewer nor an operator with another command; the worker reads none of it."""
    worker = idle_worker
    worker.configure(
        '[[grant]]\nidentity = "jobworker://ops/viewer"\nrole = "viewer"\n'
        '[[grant]]\nidentity = "jobworker://ops/operator"\nrole = "operator"\n'
        f'run_as = ["{worker.user}"]\ncommands = ["/usr/bin/id"]\n'
    )
    worker.start()
    for name, said in (("viewer", "has no grant as operator or admin"), ("operator", "may not run")):
        context = worker.client(f"jobworker://ops/{name}")
        io = Path(f"/proc/{worker.peer('api')}/io")
        before = int(io.read_text().split()[1])
        done = worker.jobctl("start", "--stdin", str(large), "--", "cat", context=context)
        assert (done.returncode, done.stdout) == (4, "")
        assert said in done.stderr
        # Of a gibibyte, what was on its way in sockets and windows at most.
        assert int(io.read_text().split()[1]) - before < 64 << 20
    assert (_jobs(worker), _spool(worker)) == ([], [])
