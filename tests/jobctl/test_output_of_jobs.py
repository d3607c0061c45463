"""A job's output through jobctl: byte for byte, from an offset, the last lines; and where it cannot be written."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from canned import UUID, Refuse, info
from canned import Worker as Canned
from conftest import Worker

from jobworkerd.v1 import jobworker_pb2 as pb


@pytest.fixture(scope="module")
def counted(shared_worker: Worker) -> str:
    """A job with 200,000 numbered lines on stdout, without a newline at the end, and 10 on stderr."""
    job = shared_worker.job("--", "sh", "-c", "seq 1 200000; printf tail; seq 1 10 >&2")
    shared_worker.jobctl("wait", job)
    return job


def lines(first: int, last: int) -> str:
    """As seq prints them."""
    return "".join(f"{number}\n" for number in range(first, last + 1))


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        (["--tail", "3"], "199999\n200000\ntail", "8\n9\n10\n"),
        (["--tail", "0"], "", ""),
        (["--stdout", "--tail", "1"], "tail", ""),
        (["--stderr", "--tail", "10"], "", lines(1, 10)),
        (["--stderr", "--tail", "11"], "", lines(1, 10)),
        (["--stderr"], "", lines(1, 10)),
        (["--stderr", "--offset", "0"], "", lines(1, 10)),
        (["--stderr", "--offset", "18"], "", "10\n"),
        (["--stderr", "--offset", "21"], "", ""),
        (["--stdout", "--tail", "199999"], lines(3, 200000) + "tail", ""),
        (["--stdout", "--tail", "999999"], lines(1, 200000) + "tail", ""),
        ([], lines(1, 200000) + "tail", lines(1, 10)),
    ],
)
def test_what_is_asked_for_is_printed_and_nothing_else(
    shared_worker: Worker, counted: str, options: list[str], out: str, err: str
) -> None:
    """Each stream where it belongs; a last line without newline is a line."""
    done = shared_worker.jobctl("logs", counted, *options)
    assert (done.returncode, done.stderr) == (0, err)
    assert done.stdout == out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--offset", "3"],
         "--offset needs --stdout or --stderr\ntry: jobctl logs ID --stdout --offset BYTES\n"),
        (["--stdout", "--offset", "3", "--tail", "3"], "--offset and --tail exclude each other\n"),
        (["--stderr", "--offset", "22"], "stderr has 21 bytes, not 22\n"),
    ],
)  # fmt: skip
def test_an_offset_that_cannot_be_is_refused(
    shared_worker: Worker, counted: str, options: list[str], message: str
) -> None:
    """Wrong usage: 2."""
    done = shared_worker.jobctl("logs", counted, *options)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"jobctl: {message}")


@pytest.mark.parametrize(("size", "last"), [(0, ""), (1, "x"), (200_000, "y"), (70_000, "\n")])
def test_one_long_line_is_one_line(shared_worker: Worker, size: int, last: str) -> None:
    """Longer than what is read at once."""
    script = f"head -c {size} /dev/zero | tr '\\0' x; printf '{last}'"
    job = shared_worker.job("--", "sh", "-c", script)
    shared_worker.jobctl("wait", job)
    done = shared_worker.jobctl("logs", job, "--stdout", "--tail", "1", text=False)
    assert done.stdout == b"x" * size + last.encode()


def test_random_bytes_come_back_exactly(shared_worker: Worker, tmp_path: Path) -> None:
    """On both streams, through run and through logs."""
    expected = [random.Random(seed).randbytes(3_000_001) for seed in (1, 2)]
    for number, data in enumerate(expected):
        (tmp_path / str(number)).write_bytes(data)
    script = f"cat {tmp_path}/0 & cat {tmp_path}/1 >&2; wait"
    done = shared_worker.jobctl("run", "--name", "bytes", "--", "sh", "-c", script, text=False)
    assert [_digest(done.stdout), _digest(done.stderr)] == [_digest(data) for data in expected]
    done = shared_worker.jobctl("logs", "bytes", text=False)
    assert [_digest(done.stdout), _digest(done.stderr)] == [_digest(data) for data in expected]


def test_a_stream_that_breaks_goes_on_where_it_was(canned: Canned) -> None:
    """Nothing is lost and nothing doubled, wherever it breaks."""
    data = {pb.STDOUT: lines(1, 500).encode(), pb.STDERR: lines(1, 300).encode()}

    def stream(request: pb.StreamOutputRequest) -> Iterator[pb.StreamOutputResponse]:
        for stream, offset in ((pb.STDOUT, request.stdout_offset), (pb.STDERR, request.stderr_offset)):
            while offset < len(data[stream]):
                piece = data[stream][offset : offset + 100]
                yield pb.StreamOutputResponse(chunk=pb.OutputChunk(stream=stream, offset=offset, data=piece))
                offset += len(piece)
                if offset % 700 == 0 and len(canned.of(pb.StreamOutputRequest)) < 4:
                    raise Refuse(grpc.StatusCode.UNAVAILABLE)

    canned.answers["StreamOutput"] = stream
    done = canned.jobctl("logs", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, lines(1, 500), lines(1, 300))
    offsets = [(each.stdout_offset, each.stderr_offset) for each in canned.of(pb.StreamOutputRequest)]
    assert offsets == [(0, 0), (700, 0), (1400, 0), (1892, 700)]


def test_run_prints_the_record_or_the_id_alone_where_that_is_asked_for(canned: Canned) -> None:
    """The output is left to logs."""
    canned.answers["Start"] = lambda _: pb.StartResponse(uuid=UUID)
    record = info(code=3, state=pb.EXITED)
    canned.answers["Wait"] = lambda _: pb.WaitResponse(process_info=record, ended=True)
    assert canned.json("run", "--", "x")["exit_code"] == 3
    done = canned.jobctl("run", "-o", "jsonl", "--", "x")
    assert (done.returncode, done.stdout.count("\n")) == (3, 1)
    done = canned.jobctl("run", "-o", "id", "--", "x")
    assert (done.returncode, done.stdout) == (3, f"{UUID}\n")
    assert canned.of(pb.StreamOutputRequest) == []


def shell(worker: Worker, script: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A line of bash in which jobctl is "$@"."""
    argv = ["bash", "-c", script.replace("jobctl", '"$@"'), "bash", *worker.argv()]
    return subprocess.run(
        argv, env=worker.environment(), capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("script", "code", "out", "err"),
    [
        ("jobctl list >/dev/full", 1, "", "cannot write to standard output: No space left on device"),
        ("jobctl --help >/dev/full", 1, "", "cannot write to standard output: No space left on device"),
        (
            "jobctl run -- echo x >/dev/full",
            125,
            "",
            "cannot write to standard output: No space left on device",
        ),
        ("jobctl list >&-", 1, "", "cannot write to standard output: Bad file descriptor"),
        ("jobctl --help >&-", 1, "", "cannot write to standard output: Bad file descriptor"),
        ("jobctl run -- echo x >&-", 125, "", "cannot write to standard output: Bad file descriptor"),
        ("jobctl run -- sh -c 'echo x; echo y >&2' 2>&-", 0, "x\n", ""),
        ("jobctl run -- echo x <&-", 0, "x\n", ""),
        ("jobctl status nosuch >&- 2>&-", 3, "", ""),
        ("jobctl list -o json | true; exit ${PIPESTATUS[0]}", 1, "", ""),
        ("jobctl --help | true; exit ${PIPESTATUS[0]}", 1, "", ""),
        ("jobctl -q run -- seq 1 200000 | head -1; exit ${PIPESTATUS[0]}", 125, "1\n", ""),
    ],
)
def test_a_standard_stream_that_is_full_or_closed_or_has_no_reader(
    shared_worker: Worker, script: str, code: int, out: str, err: str
) -> None:
    """One line where it is an error, none where the reader has gone; never a traceback or a wrong descriptor."""
    done = shell(shared_worker, script)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, f"jobctl: {err}\n" if err else "")


def test_a_run_whose_reader_has_gone_says_that_the_job_goes_on(shared_worker: Worker) -> None:
    """And how to follow it again."""
    done = shell(shared_worker, "jobctl run -- sh -c 'seq 1 200000; exec sleep 600' | head -1")
    match = re.fullmatch(
        r"jobctl: (\S{36}) goes on without you; follow it again: jobctl logs -f \1\n", done.stderr
    )
    assert match is not None
    assert shared_worker.jobctl("stop", match[1]).returncode == 0


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_an_id_that_cannot_be_printed_is_not_lost(shared_worker: Worker, where: str) -> None:
    """The job was started all the same."""
    done = shell(shared_worker, f"jobctl start -- true {where}")
    assert (done.returncode, done.stdout) == (1, "")
    match = re.fullmatch(
        r"jobctl: (\S{36}) was started, but: cannot write to standard output: .*\ntry: jobctl status \1\n",
        done.stderr,
    )
    assert match is not None
    assert shared_worker.record(match[1])["id"] == match[1]


def test_a_pipe_that_does_not_block_gets_everything(shared_worker: Worker, counted: str) -> None:
    """As a shell's is, that shares it with a program which made it so."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETFL, fcntl.fcntl(write, fcntl.F_GETFL) | os.O_NONBLOCK)
    process = shared_worker.popen("logs", counted, "--stdout", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == lines(1, 200000) + "tail"
    assert process.communicate(timeout=10)[1] == b""
    assert process.returncode == 0


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
