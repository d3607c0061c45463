"""Many jobs, and no descriptor left: stops, exits and peers go on as soon as they can."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator

import grpc
import pytest
from conftest import Worker, alive, wait_for
from wire import Wire, reason

from jobworkerd.v1 import jobworker_pb2 as pb


@pytest.fixture
def wire(worker: Worker) -> Iterator[Wire]:
    """One channel."""
    wire = Wire(worker.environment())
    yield wire
    wire.channel.close()


def _limit(worker: Worker, soft: int) -> None:
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_jobs_whose_descriptors_have_large_numbers_can_be_stopped(worker: Worker, wire: Wire) -> None:
    """Alone, and all together when the worker stops."""
    start = pb.StartRequest(command="sleep", args=["600"])
    futures = [wire.stub.Start.future(start) for _ in range(400)]
    jobs = [future.result(30) for future in futures]
    running = pb.QueryRunningProcessesRequest(states=[pb.RUNNING], page_size=1000)
    wait_for(lambda: len(wire.stub.QueryRunningProcesses(running).process_table) == 400, 30)
    pids = [info.pid for info in wire.stub.QueryRunningProcesses(running).process_table]
    assert len(os.listdir(f"/proc/{worker.pid}/fd")) > 1200
    for job in jobs[-20:]:
        assert wire.stub.Stop(pb.StopRequest(uuid=job.uuid), timeout=10).exit_status.signal == signal.SIGTERM
    assert worker.stop() == 0
    assert not [pid for pid in pids if alive(pid)]


def test_a_start_leaves_some_descriptors_for_stops(worker: Worker, wire: Wire) -> None:
    """It is refused before that, and a stop works."""
    job = worker.job("--", "sleep", "600")
    _limit(worker, 80)
    error = wire.stub.Start.future(pb.StartRequest(command="true")).exception(10)
    assert isinstance(error, grpc.RpcError)
    assert (reason(error), error.details()) == ("EXEC_FAILED", "cannot prepare the job: Too many open files")
    assert wire.stub.Stop(pb.StopRequest(uuid=job), timeout=10).exit_status.signal == signal.SIGTERM


def test_without_a_descriptor_a_stop_still_kills_and_an_exit_is_seen(worker: Worker, wire: Wire) -> None:
    """Late, but by itself: nothing has to happen again for it."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    stubborn, other = worker.job("--", "sh", "-c", script), worker.job("--", "sleep", "600")
    wait_for(lambda: worker.record(stubborn)["stdout_bytes"])
    pid = worker.record(other)["pid"]
    _limit(worker, 8)
    stop = pb.StopRequest(uuid=stubborn)
    stop.grace.FromSeconds(1)
    answer = wire.stub.Stop.future(stop, timeout=30)
    wait_for(lambda: "Too many open files" in worker.journal.read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "looked at again" in worker.journal.read_text())
    _limit(worker, 20_000)
    assert answer.result().exit_status.signal == signal.SIGKILL
    assert worker.ended(other)["exit_signal"] == signal.SIGKILL


@pytest.mark.parametrize("role", ["api", "recorder"])
def test_a_peer_that_cannot_be_started_is_tried_again(worker: Worker, role: str) -> None:
    """When there are descriptors again it is back."""
    _limit(worker, 8)
    os.kill(worker.peer(role), signal.SIGKILL)
    wait_for(lambda: f"cannot start the {role}: " in worker.journal.read_text())
    _limit(worker, 20_000)
    wait_for(lambda: worker.jobctl("run", "--", "true").returncode == 0, 20)


def test_a_grants_max_running_holds_for_starts_at_once(worker: Worker) -> None:
    """Nobody slips in between the count and the job that is counted next."""
    worker.configure(
        grants=f"""
[[grant]]
identity = "jobworker://ops/alice"
role = "operator"
run_as = ["{worker.user}"]
commands = ["*"]
max_running = 2
"""
    )
    worker.stop()
    worker.start()
    wire = Wire(worker.environment(worker.client("jobworker://ops/alice")))
    futures = [wire.stub.Start.future(pb.StartRequest(command="sleep", args=["600"])) for _ in range(40)]
    errors = [future.exception(30) for future in futures]
    assert errors.count(None) == 2
    assert {reason(error) for error in errors if isinstance(error, grpc.RpcError)} == {"TOO_MANY_JOBS"}


def test_a_path_that_is_too_long_with_its_folder_is_refused(worker: Worker, wire: Wire) -> None:
    """Before anything is kept of it."""
    request = pb.StartRequest(command="c/" * 1023 + "cd", dir="/" + "e" * 2047)
    error = wire.stub.Start.future(request).exception(10)
    assert isinstance(error, grpc.RpcError)
    assert error.details() == "command: its path has more than 4096 bytes"
    assert worker.jobctl("list", "-o", "id").stdout == ""


def test_a_network_process_without_descriptors_says_so_and_goes_on(worker: Worker, wire: Wire) -> None:
    """RESOURCE_EXHAUSTED for the call; with descriptors again the same call works."""
    job = worker.job("--", "echo", "hello")
    worker.ended(job)
    request = pb.StreamOutputRequest(uuid=job, follow=True)
    assert [each.WhichOneof("what") for each in wire.stub.StreamOutput(request)] == ["chunk", "trailer"]
    api = worker.peer("api")
    _, hard = resource.prlimit(api, resource.RLIMIT_NOFILE)
    resource.prlimit(api, resource.RLIMIT_NOFILE, (4, hard))
    with pytest.raises(grpc.RpcError) as error:
        list(wire.stub.StreamOutput(request))
    assert (reason(error.value), error.value.details()) == (
        "OUT_OF_RESOURCES", "the worker cannot do that now: Too many open files"
    )  # fmt: skip
    resource.prlimit(api, resource.RLIMIT_NOFILE, (hard, hard))
    assert [each.WhichOneof("what") for each in wire.stub.StreamOutput(request)] == ["chunk", "trailer"]
