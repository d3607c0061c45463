"""Bad input: one clear error each, and nothing lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Worker, wait_for


def _call(worker: Worker, code: str) -> str:
    """What the API itself says, past jobctl's own checks: reason, then message."""
    script = f"""
import os
from jobctl import contexts
from jobctl.client import Client
from jobctl.failure import Failure
from jobworkerd.v1 import jobworker_pb2 as pb
client = Client(contexts.find({{}}, os.environ), 10.0)
try:
    print({code})
except Failure as failure:
    print(failure.reason, failure.message)
"""
    done = subprocess.run(
        [worker.argv()[0], "-c", script], env=worker.environment(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("client.start(pb.StartRequest())", "INVALID_FIELD command: is empty; name a program"),
        (
            "client.start(pb.StartRequest(command='id', args=['a\\0b']))",
            "INVALID_FIELD args: holds a NUL byte, which no program can be given",
        ),
        (
            "client.start(pb.StartRequest(command='id', args=['x' * 200000]))",
            "INVALID_FIELD args: argv and environment are 200004 bytes together; at most 131072",
        ),
        (
            "client.start(pb.StartRequest(command='id', dir='here'))",
            "INVALID_FIELD dir: 'here' is not an absolute path",
        ),
        (
            "client.start(pb.StartRequest(command='id', env=['A']))",
            "INVALID_FIELD env: 'A' is not of the form K=V",
        ),
        (
            "client.start(pb.StartRequest(command='id', env=['LD_PRELOAD=/x']))",
            "INVALID_FIELD env: LD_PRELOAD: refused by name",
        ),
        (
            "client.start(pb.StartRequest(command='id', user='nosuch'))",
            "INVALID_FIELD user: there is no user 'nosuch' on this host",
        ),
        ("client.start(pb.StartRequest(command='id', name='12ab'))", "INVALID_FIELD name: must be a letter"),
        (
            "client.start(pb.StartRequest(command='id', request_id='a b'))",
            "INVALID_FIELD request_id: must be 1 to 64",
        ),
        ("client.query('0')", "MALFORMED_ID '0' is neither"),
        ("client.query('ffffffff')", "NO_SUCH_JOB there is no job ffffffff"),
        (
            "client.page(pb.QueryRunningProcessesRequest(page_token='x'))",
            "INVALID_FIELD page_token: is not one that an earlier page gave",
        ),
        (
            "client.stop(pb.StopRequest(uuid='ffffffff', signal=99))",
            "INVALID_FIELD signal: must be 1 to 64",
        ),
    ],
)
def test_the_api_names_the_field(shared_worker: Worker, code: str, said: str) -> None:
    """Whatever the client is."""
    assert _call(shared_worker, code).startswith(said)


def test_ten_megabytes_of_arguments_are_refused_in_words(shared_worker: Worker, tmp_path: Path) -> None:
    """By jobctl, before anything is sent; and by a server that is sent them all the same."""
    big = tmp_path / "env"
    big.write_text("\n".join(f"V{number}={'x' * 1000}" for number in range(10000)))
    done = shared_worker.jobctl("start", "--env-file", str(big), "--", "id")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bytes together; at most 131072" in done.stderr
    said = _call(shared_worker, "client.start(pb.StartRequest(command='id', args=['x' * 10_000_000]))")
    assert "larger than max" in said
    assert shared_worker.jobctl("run", "--", "true").returncode == 0


def test_a_listen_address_in_use_is_one_line(worker: Worker, tmp_path: Path) -> None:
    """The second worker ends with 1 and says what to try; the first one goes on."""
    second = Worker(tmp_path / "second")
    second.port = worker.port
    second.configure()
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{worker.port}: in use" in done.stderr
    assert worker.jobctl("run", "--", "true").returncode == 0


def test_two_workers_on_one_state_dir_are_one_too_many(worker: Worker) -> None:
    """The second one ends with 1; the first one goes on."""
    done = subprocess.run(worker.command(), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (
        1,
        f"jobworkerd: another worker runs on state_dir {worker.state_dir}; stop it, or give this one its own\n",
    )
    assert worker.jobctl("run", "--", "true").returncode == 0


def test_a_missing_state_dir_is_named(idle_worker: Worker) -> None:
    """1, with its path."""
    idle_worker.state_dir.rmdir()
    done = subprocess.run(idle_worker.command(), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (
        1, f"jobworkerd: cannot open state_dir {idle_worker.state_dir}: No such file or directory\n"
    )  # fmt: skip


def test_a_log_directory_that_cannot_be_used_refuses_the_start(worker: Worker) -> None:
    """Before the fork, naming the path; with the directory back, starts go on."""
    away = worker.log_dir.with_name("away")
    worker.log_dir.rename(away)
    done = worker.jobctl("-o", "json", "run", "--", "touch", str(worker.folder / "ran"))
    assert (done.returncode, done.stdout) == (125, "")
    assert '"reason": "NO_OUTPUT"' in done.stderr
    assert f"cannot open output files in {worker.log_dir}: No such file or directory" in done.stderr
    assert not (worker.folder / "ran").exists()
    away.rename(worker.log_dir)
    assert worker.jobctl("run", "--", "true").returncode == 0


def test_a_reload_reaches_a_worker_however_deep_its_state_lies(idle_worker: Worker) -> None:
    """A socket's own path has room for 107 bytes."""
    deep = idle_worker.folder.joinpath(*["deep" * 10] * 4)
    deep.mkdir(parents=True)
    text = idle_worker.config.read_text()
    idle_worker.state_dir.rename(deep / "state")
    idle_worker.config.write_text(text.replace(str(idle_worker.state_dir), str(deep / "state")))
    idle_worker.start()
    done = subprocess.run(idle_worker.command("--reload"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_makes_a_job_wait_and_loses_nothing(tmp_path: Path) -> None:
    """A job waits for room, every other verb works, and with room its output is complete."""
    worker = Worker(tmp_path, '[retention]\nmin_free = "0"\n')
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(worker.log_dir)], check=True)
    try:
        worker.start()
        job = worker.job("--", "sh", "-c", "seq 1 400000; echo done >&2")
        wait_for(lambda: worker.record(job)["output_paused"] == "ENOSPC")
        assert worker.jobctl("list", "-o", "id").returncode == 0
        subprocess.run(["mount", "-o", "remount,size=64m", str(worker.log_dir)], check=True)
        assert worker.jobctl("wait", job).returncode == 0
        wait_for(lambda: worker.record(job)["output_closed"])
        assert worker.jobctl("logs", job, "--stdout").stdout == "".join(f"{n}\n" for n in range(1, 400001))
        assert worker.jobctl("logs", job, "--stderr").stderr == "done\n"
    finally:
        worker.close()
        subprocess.run(["umount", str(worker.log_dir)], check=True)
