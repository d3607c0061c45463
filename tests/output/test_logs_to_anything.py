"""What jobctl logs writes, whatever the bytes, the options, and whoever reads it or does not."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from following import Follower, ended
from sizes import size

_ALL_BYTES = bytes(range(256)) * 300
_LINE = 8  # bytes of one line of _NUMBERED


def _numbered(worker: Worker, lines: int, *options: str) -> str:
    """A job that wrote so many lines of seven digits, in pieces that the index tells apart; its id."""
    code = (
        "import os, time\n"
        f"for begin in range(0, {lines}, 500):\n"
        " os.write(1, b''.join(b'%07d\\n' % n for n in range(begin, begin + 500)))\n"
        " time.sleep(0.002)\n"
    )
    job = worker.job(*options, "--", "/usr/bin/python3", "-c", code)
    assert worker.jobctl("wait", job).returncode == 0
    wait_for(lambda: worker.record(job)["output_closed"])
    return job


def _digest(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of its stdout."""
    assert process.stdout is not None
    total, count = hashlib.sha256(), 0
    while data := process.stdout.read(1 << 20):
        total.update(data)
        count += len(data)
    assert process.wait(10) == 0
    return count, total.hexdigest()


def test_every_byte_there_is_comes_back(shared_worker: Worker, tmp_path: Path) -> None:
    """NULs and all the others, on both streams, from run and from logs, followed or not."""
    (tmp_path / "bytes").write_bytes(_ALL_BYTES)
    argv = ("--", "sh", "-c", f"cat {tmp_path}/bytes; cat {tmp_path}/bytes >&2")
    for args in (("run", "--name", "bytes", *argv), ("logs", "bytes"), ("logs", "-f", "bytes")):
        done = shared_worker.jobctl(*args, text=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, _ALL_BYTES, _ALL_BYTES)


@pytest.mark.soak
def test_one_endless_line_comes_through(idle_worker: Worker) -> None:
    """256 MB without a newline, through run while it is written and through logs afterwards."""
    worker = idle_worker
    worker.configure(jobs='max_output = "0"')
    worker.start()
    count = size(256_000_000, 10_000_000_000)
    wanted = hashlib.sha256()
    for _ in range(count // 1_000_000):
        wanted.update(b"x" * 1_000_000)
    argv = ("--", "sh", "-c", f"head -c {count} /dev/zero | tr '\\0' x")
    for args in (("run", "--name", "line", *argv), ("logs", "line")):
        process = worker.popen(*args, stdout=subprocess.PIPE)
        with ended([process]):
            assert _digest(process) == (count, wanted.hexdigest())


def test_a_reader_that_wants_one_byte_ends_it_in_silence(shared_worker: Worker) -> None:
    """Followed or not: `| head -c1`, 1, and nothing on stderr."""
    job = shared_worker.job("--", "sh", "-c", "yes | head -c 3000000; exec sleep 600")
    wait_for(lambda: shared_worker.record(job)["stdout_bytes"] == 3_000_000)
    for options in ([], ["-f"], ["-t"], ["-o", "jsonl"]):
        script = '"$@" | head -c1; exit ${PIPESTATUS[0]}'
        done = subprocess.run(
            ["bash", "-c", script, "bash", *shared_worker.argv("logs", job, *options)],
            env=shared_worker.environment(), capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert (done.returncode, len(done.stdout), done.stderr) == (1, 1, "")
    assert shared_worker.jobctl("stop", "--grace", "0", job).returncode == 0


@pytest.mark.parametrize("job", ["yes", "sleep 600"])
def test_an_interrupt_ends_a_follow_in_silence(shared_worker: Worker, job: str) -> None:
    """130, in the middle of much output or of none; the job goes on."""
    started = shared_worker.job("--max-output", "1MiB", "--", "sh", "-c", f"echo; exec {job}")
    pipe = subprocess.PIPE
    logs = shared_worker.popen("-q", "logs", "-f", started, stdout=pipe, stderr=pipe)
    with ended([logs]):
        assert logs.stdout is not None
        assert logs.stdout.read(1)
        logs.send_signal(signal.SIGINT)
        out, err = logs.communicate(timeout=10)
    assert (logs.returncode, err) == (130, b"")
    assert out.strip(b"y\n") == b""
    assert shared_worker.record(started)["state"] == "RUNNING"
    assert shared_worker.jobctl("stop", "--grace", "0", started).returncode == 0


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        for fd in (ours, theirs):
            os.close(fd)


def _unread(terminal: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(terminal, termios.FIONREAD, b"\0" * 4))[0])


def test_a_terminal_that_nobody_reads_can_still_interrupt(shared_worker: Worker) -> None:
    """It is stuck in a write to it, as behind Ctrl-S, and Ctrl-C ends it with 130."""
    job = shared_worker.job("--max-output", "8MiB", "--", "yes")
    with _terminal() as (ours, theirs):
        logs = subprocess.Popen(
            ["setsid", "--ctty", *shared_worker.argv("logs", "-f", job)], env=shared_worker.environment(),
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        with ended([logs]):
            stuck = Path(f"/proc/{logs.pid}/wchan")
            wait_for(lambda: _unread(ours) > 0 and stuck.read_text() in ("n_tty_write", "wait_woken"))
            os.write(ours, b"\x03")
            assert logs.wait(10) == 130
    assert shared_worker.jobctl("stop", "--grace", "0", job).returncode == 0


def test_since_a_time_leaves_out_what_was_before_and_goes_on(shared_worker: Worker, tmp_path: Path) -> None:
    """Of both streams, followed."""
    go = tmp_path / "go"
    script = (
        f"echo old; echo older >&2; until [ -e {go} ]; do sleep 0.02; done; "
        f"echo new; echo newer >&2; until [ -e {go}2 ]; do sleep 0.02; done; echo last"
    )
    job = shared_worker.job("--", "sh", "-c", script)
    wait_for(lambda: shared_worker.record(job)["stderr_bytes"] == len("older\n"))
    between = datetime.now(UTC).isoformat()
    go.touch()
    wait_for(lambda: shared_worker.record(job)["stderr_bytes"] == len("older\nnewer\n"))
    follower = Follower(shared_worker, tmp_path / "follower", "logs", "-f", "--since", between, job)
    with ended([follower]):
        wait_for(lambda: follower.size == len("new\n"))
        Path(f"{go}2").touch()
        assert follower.ends() == 0
    assert (follower.out.read_text(), follower.err.read_text()) == ("new\nlast\n", "newer\n")
    assert shared_worker.jobctl("logs", "--since", "1h", job).stdout == "old\nnew\nlast\n"
    after = datetime.now(UTC).isoformat()
    assert shared_worker.jobctl("logs", "--since", after, job).stdout == ""


def test_the_last_lines_and_what_comes_then(shared_worker: Worker, tmp_path: Path) -> None:
    """--tail N -f: of each stream so many, then the rest, and none twice."""
    go = tmp_path / "go"
    script = f"seq 1 1000; seq 1 5 >&2; until [ -e {go} ]; do sleep 0.02; done; seq 1001 1003; echo 6 >&2"
    job = shared_worker.job("--", "sh", "-c", script)
    wait_for(lambda: shared_worker.record(job)["stderr_bytes"] == 10)
    follower = Follower(shared_worker, tmp_path / "follower", "logs", "--tail", "2", "-f", job)
    with ended([follower]):
        wait_for(lambda: follower.size == len("999\n1000\n"))
        go.touch()
        assert follower.ends() == 0
    assert follower.out.read_text() == "999\n1000\n1001\n1002\n1003\n"
    assert follower.err.read_text() == "4\n5\n6\n"


def test_json_lines_hold_text_bytes_and_long_lines(shared_worker: Worker) -> None:
    """With stream, time and true offset; base64 where it is no UTF-8, in parts where it is long."""
    long = "é" * 50_000  # 100,000 bytes, and a part may not end in the middle of a letter
    code = (
        "import os, time\n"
        f"for data in (b'text \\xc3\\xa9\\n', b'\\xff\\x00\\n', '{'é'}'.encode() * 50000 + b'\\n', b'no end'):\n"
        " os.write(1, data)\n"
        " time.sleep(0.02)\n"
        "os.write(2, b'other\\n')\n"
    )
    job = shared_worker.job("--", "/usr/bin/python3", "-c", code)
    shared_worker.jobctl("wait", job)
    for options in ([], ["-f"]):
        done = shared_worker.jobctl("-o", "jsonl", "logs", *options, job)
        assert (done.returncode, done.stderr) == (0, "")
        records = [json.loads(line) for line in done.stdout.splitlines()]
        stdout = [record for record in records if record["stream"] == "stdout"]
        (stderr,) = [record for record in records if record["stream"] == "stderr"]
        assert (stderr["offset"], stderr["text"], stderr["partial"]) == (0, "other\n"[:-1], False)
        text, binary, *parts, last = stdout
        assert (text["offset"], text["text"], text["partial"]) == (0, "text é", False)
        assert "base64" not in text
        assert (binary["offset"], base64.b64decode(binary["base64"]), binary["partial"]) == (
            8,
            b"\xff\0",
            False,
        )
        assert "text" not in binary
        assert "".join(part["text"] for part in parts) == long
        assert [part["partial"] for part in parts] == [True] * (len(parts) - 1) + [False]
        assert len(parts) == 2
        assert parts[1]["offset"] == 11 + len(parts[0]["text"].encode())
        assert (last["offset"], last["text"], last["partial"]) == (11 + 100_001, "no end", True)
        times = [record["time"] for record in stdout]
        assert times == sorted(times)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", time) for time in times)


def test_a_ring_tells_what_is_gone_and_keeps_its_offsets(shared_worker: Worker) -> None:
    """From the start, from an offset that is gone and from one that is kept; the number in each line says where."""
    job = _numbered(shared_worker, 40_000, "--max-output", "64KiB")
    record = shared_worker.record(job)
    assert record["stdout_bytes"] == 40_000 * _LINE
    everything = b"".join(b"%07d\n" % number for number in range(40_000))

    def gone(offset: int) -> int:
        """The first byte that is given from there on, said in one line and right."""
        done = shared_worker.jobctl("logs", "--stdout", "--offset", str(offset), job, text=False)
        match = re.fullmatch(
            r"jobctl: (\d+) bytes of stdout, from (\d+) on, are no longer kept\n", done.stderr.decode()
        )
        assert match is not None
        first = offset + int(match[1])
        assert (done.returncode, int(match[2]), done.stdout) == (0, offset, everything[first:])
        return first

    first = gone(0)
    assert 40_000 * _LINE - 80 * 1024 < first < 40_000 * _LINE
    assert gone(100_000) == first
    kept = shared_worker.jobctl("logs", "--stdout", "--offset", str(first + 3), job, text=False)
    assert (kept.stdout, kept.stderr) == (everything[first + 3 :], b"")
    done = shared_worker.jobctl("-q", "-o", "jsonl", "logs", job)
    assert done.stderr == ""
    offsets = 0
    for line in done.stdout.splitlines():
        each = json.loads(line)
        if len(each["text"]) == _LINE - 1:
            assert each["offset"] == int(each["text"]) * _LINE
            offsets += 1
    assert offsets > 5000
    assert shared_worker.jobctl("logs", "--tail", "2", job).stdout == "0039998\n0039999\n"
