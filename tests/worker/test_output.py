"""The bytes a job wrote come back exactly, whatever happens to the recorder meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import struct
import subprocess
from pathlib import Path

from conftest import Worker, alive, wait_for

_MIB = 1 << 20
_WRITER = """
import hashlib, os, sys
size = int(sys.argv[1])
sums = [hashlib.sha256(), hashlib.sha256()]
for _ in range(size // 65536):
    for fd in (1, 2):
        data = os.urandom(65536)
        sums[fd - 1].update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
open(sys.argv[2], "w").write(" ".join(each.hexdigest() for each in sums))
"""


def _logs_sum(worker: Worker, job: str, stream: str) -> str:
    logs = worker.popen("logs", job, f"--{stream}", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pipe = logs.stdout if stream == "stdout" else logs.stderr
    assert pipe is not None
    total = hashlib.sha256()
    while data := pipe.read(_MIB):
        total.update(data)
    logs.communicate()
    assert logs.returncode == 0
    return total.hexdigest()


def _index_covers(folder: Path) -> None:
    """Each stream's records lie end to end from 0 to the file's size."""
    ends = {1: 0, 2: 0}
    records = (folder / "index").read_bytes()[64:]  # behind the two heads
    for _, stream, _, offset, length in struct.iter_unpack("<QIIQQ", records):
        assert offset == ends[stream]
        ends[stream] += length
    assert ends == {1: (folder / "stdout.log").stat().st_size, 2: (folder / "stderr.log").stat().st_size}


def test_a_hundred_megabytes_come_back_byte_for_byte(worker: Worker, tmp_path: Path) -> None:
    """Random bytes on both streams, the recorder SIGKILLed ten times meanwhile, and the index is whole."""
    sums = tmp_path / "sums"
    job = worker.job("--", "/usr/bin/python3", "-c", _WRITER, str(50 * _MIB), str(sums))
    record = worker.record(job)
    stdout = Path(record["stdout_path"])
    for step in range(1, 11):
        wait_for(lambda step=step: stdout.exists() and stdout.stat().st_size >= step * 3 * _MIB, 30)
        recorder = worker.peer("recorder")
        os.kill(recorder, signal.SIGKILL)
        wait_for(lambda recorder=recorder: not alive(recorder))
    record = worker.ended(job)
    wait_for(lambda: worker.record(job)["output_closed"], 30)
    record = worker.record(job)
    assert (record["state"], record["exit_code"], record["output_complete"]) == ("EXITED", 0, True)
    assert (record["stdout_bytes"], record["stderr_bytes"]) == (50 * _MIB, 50 * _MIB)
    wanted = sums.read_text().split()
    assert [_logs_sum(worker, job, "stdout"), _logs_sum(worker, job, "stderr")] == wanted
    _index_covers(stdout.parent)
    assert worker.process is not None
    assert worker.process.poll() is None


def test_a_killed_api_is_replaced_and_forgets_nothing(worker: Worker) -> None:
    """A job goes on, ends while there is no API, and its record is whole."""
    job = worker.job("--", "sh", "-c", "echo before; sleep 1; echo after; exit 5")
    for _ in range(3):
        api = worker.peer("api")
        os.kill(api, signal.SIGKILL)
        wait_for(lambda api=api: not alive(api))
    done = worker.jobctl("wait", job)
    assert done.returncode == 5
    assert worker.jobctl("logs", job).stdout == "before\nafter\n"


def test_tail_and_offset_give_exactly_that_part(shared_worker: Worker) -> None:
    """Lines from the end per stream, bytes from an offset of one."""
    job = shared_worker.job("--", "sh", "-c", "seq 1 5000; seq 1 3 >&2; printf end")
    shared_worker.jobctl("wait", job)
    tail = shared_worker.jobctl("logs", job, "--tail", "2")
    assert (tail.stdout, tail.stderr) == ("5000\nend", "2\n3\n")
    part = shared_worker.jobctl("logs", job, "--stdout", "--offset", "4")
    assert part.stdout.startswith("3\n4\n")
    beyond = shared_worker.jobctl("logs", job, "--stderr", "--offset", "7")
    assert (beyond.returncode, beyond.stderr.splitlines()[0]) == (2, "jobctl: stderr has 6 bytes, not 7")
    both = shared_worker.jobctl("logs", job, "--offset", "4")
    assert both.returncode == 2
    assert both.stderr.startswith("jobctl: --offset needs ")


def test_a_write_end_left_in_flight_does_not_hold_the_output_open(shared_worker: Worker) -> None:
    """A socket that holds the job's stdout gives no end of file; the output is closed all the same."""
    script = (
        "import os,socket\n"
        "a,b=socket.socketpair()\n"
        "socket.send_fds(a,[b'x'],[1])\n"
        "os.write(1,b'all of it')\n"
        "os._exit(0)\n"
    )
    done = shared_worker.jobctl("run", "--", "/usr/bin/python3", "-c", script)
    assert (done.stdout, done.returncode) == ("all of it", 0)


def test_logs_into_a_closed_pipe_end_in_silence(shared_worker: Worker) -> None:
    """As with `| head -1`."""
    job = shared_worker.job("--", "seq", "1", "200000")
    shared_worker.jobctl("wait", job)
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1', "bash", *shared_worker.argv("logs", job)],
        env=shared_worker.environment(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1\n", "")
