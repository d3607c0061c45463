"""Standard input: whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess

import grpc
import pytest
from conftest import Worker, wait_for
from wire import Wire, reason

from jobworkerd.v1 import jobworker_pb2 as pb


def _spooled(worker: Worker) -> list[str]:
    return os.listdir(worker.state_dir / "input")


@pytest.mark.parametrize("count", [0, 1, 50_000_000])
@pytest.mark.parametrize("how", ["file", "pipe"])
def test_a_job_gets_its_input_byte_for_byte(
    shared_worker: Worker, tmp_path: object, count: int, how: str
) -> None:
    """From a file or through a pipe, and /dev/stdin can be opened; nothing is left of it."""
    data = os.urandom(count)
    file = shared_worker.folder / f"input-{how}-{count}"
    file.write_bytes(data)
    source = str(file) if how == "file" else "-"
    argv = shared_worker.argv("run", "--stdin", source, "--", "sh", "-c", "sha256sum </dev/stdin")
    done = subprocess.run(argv, env=shared_worker.environment(), input=data, capture_output=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    wait_for(lambda: _spooled(shared_worker) == [])


def test_without_it_there_is_none(shared_worker: Worker) -> None:
    """Jobctl's own is not the job's."""
    argv = shared_worker.argv("run", "--", "cat")
    done = subprocess.run(argv, env=shared_worker.environment(), input=b"x", capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"")


def test_an_input_beyond_max_input_starts_nothing(worker: Worker) -> None:
    """And is not kept."""
    worker.configure(jobs='max_input = "1MiB"')
    assert subprocess.run(worker.command("--reload"), check=False).returncode == 0
    file = worker.folder / "large"
    file.write_bytes(b"x" * ((1 << 20) + 1))
    done = worker.jobctl("-o", "json", "run", "--stdin", str(file), "--", "cat")
    assert done.returncode == 125
    assert '"reason": "INPUT_TOO_LARGE"' in done.stderr
    assert "the input has more than 1048576 bytes (max_input)" in done.stderr
    assert (_spooled(worker), worker.jobctl("list", "-o", "id").stdout) == ([], "")


def test_an_upload_that_is_cut_starts_nothing(worker: Worker) -> None:
    """Whatever had come of it is gone."""
    wire = Wire(worker.environment())

    def pieces() -> object:
        yield pb.StartWithInputRequest(request=pb.StartRequest(command="cat"))
        yield pb.StartWithInputRequest(input=b"x" * 1000)
        wait_for(lambda: len(_spooled(worker)) == 1)
        wire.channel.close()

    future = wire.stub.StartWithInput.future(pieces())
    wait_for(future.done)
    wait_for(lambda: _spooled(worker) == [])
    assert worker.jobctl("list", "-o", "id").stdout == ""


def test_an_upload_survives_the_api(worker: Worker) -> None:
    """Jobctl sends it again; one job is started, with all of it."""
    file = worker.folder / "large"
    file.write_bytes(os.urandom(80_000_000))
    run = worker.popen(
        "run", "--stdin", str(file), "--", "sha256sum", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(lambda: _spooled(worker))
    os.kill(worker.peer("api"), signal.SIGKILL)
    out, err = run.communicate(timeout=40)
    assert run.returncode == 0, err
    assert out.split()[0].decode() == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(worker.jobctl("list", "-o", "id").stdout.split()) == 1
    wait_for(lambda: _spooled(worker) == [])


def test_who_may_not_start_it_is_refused_before_the_upload(worker: Worker) -> None:
    """Nothing is taken from them."""
    worker.configure(
        grants=f'[[grant]]\nidentity = "jobworker://ops/alice"\nrole = "operator"\nrun_as = ["{worker.user}"]\n'
        'commands = ["/usr/bin/id"]\n'
    )
    assert subprocess.run(worker.command("--reload"), check=False).returncode == 0
    wire = Wire(worker.environment(worker.client("jobworker://ops/alice")))
    sent = 0

    def pieces() -> object:
        nonlocal sent
        yield pb.StartWithInputRequest(request=pb.StartRequest(command="cat"))
        for _ in range(1000):
            sent += 1
            yield pb.StartWithInputRequest(input=b"x" * 100_000)

    error = wire.stub.StartWithInput.future(pieces()).exception(20)
    assert isinstance(error, grpc.RpcError)
    assert (error.code(), reason(error)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_GRANTED")
    assert sent < 1000
    assert _spooled(worker) == []


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "request: must be the first message"),
        ([pb.StartWithInputRequest(input=b"x")], "request: must be the first message"),
        (
            [pb.StartWithInputRequest(request=pb.StartRequest(command="cat"))] * 2,
            "input: must be all messages but the first",
        ),
    ],
)
def test_a_stream_out_of_order_is_refused(shared_worker: Worker, messages: list[object], said: str) -> None:
    """INVALID_ARGUMENT, and nothing is started."""
    wire = Wire(shared_worker.environment())
    error = wire.stub.StartWithInput.future(iter(messages)).exception(20)
    assert isinstance(error, grpc.RpcError)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, said)
