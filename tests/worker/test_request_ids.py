"""A request id is one job, however often, however fast and to whichever API it is sent."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest
from conftest import Worker, alive, wait_for
from wire import Wire, grpc, reason

from jobworkerd.v1 import jobworker_pb2 as pb


def _request(**changes: str) -> pb.StartRequest:
    return pb.StartRequest(command="sleep", args=["60"], env=["A=secret"], request_id="once", **changes)


def test_of_the_same_start_many_times_at_once_one_is_new(worker: Worker) -> None:
    """Twenty calls in flight get one job; so does one more to the API that follows a killed one."""
    wire = Wire(worker.environment())
    answers = [future.result(20) for future in [wire.stub.Start.future(_request()) for _ in range(20)]]
    assert len({(answer.uuid, answer.start_time.ToNanoseconds()) for answer in answers}) == 1
    assert Counter(answer.repeated_request for answer in answers) == {False: 1, True: 19}

    api = worker.peer("api")
    os.kill(api, signal.SIGKILL)
    wait_for(lambda: not alive(api))
    wire.channel.close()
    wire = Wire(worker.environment())
    answer = wire.stub.Start(_request(), wait_for_ready=True, timeout=20)
    assert (answer.uuid, answer.repeated_request) == (answers[0].uuid, True)
    assert worker.jobctl("list", "-o", "id").stdout.split() == [answer.uuid]


def test_of_a_start_that_fails_many_times_at_once_none_is_told_otherwise(shared_worker: Worker) -> None:
    """Also the calls that come between the commit of the intent and the answer of the runner."""
    wire = Wire(shared_worker.environment())
    for number in range(10):
        request = pb.StartRequest(command="/nosuch", request_id=f"no-{number}")
        futures = [wire.stub.Start.future(request) for _ in range(20)]
        assert [reason(future.exception(20)) for future in futures] == ["EXEC_FAILED"] * 20


def test_a_request_id_is_not_for_another_request(worker: Worker) -> None:
    """Which names the job that it is."""
    wire = Wire(worker.environment())
    answer = wire.stub.Start(_request(), timeout=20)
    for other in (_request(name="x"), _request(dir="/")):
        with pytest.raises(
            grpc.RpcError, match=f"request id once stands for another request, job {answer.uuid}"
        ) as e:
            wire.stub.Start(other, timeout=20)
        assert (e.value.code(), reason(e.value)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    changed = _request()
    changed.env[0] = "A=other"
    with pytest.raises(grpc.RpcError, match="stands for another request"):
        wire.stub.Start(changed, timeout=20)
    assert len(worker.jobctl("list", "-o", "id").stdout.split()) == 1
    wire.channel.close()


def test_what_a_failed_start_was_told_a_repeat_is_told(worker: Worker) -> None:
    """The same code, reason and words, and no second job."""
    wire = Wire(worker.environment())
    request = pb.StartRequest(command="/nosuch", request_id="failed")
    told = []
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            wire.stub.Start(request, timeout=20)
        told.append((caught.value.code(), reason(caught.value), caught.value.details()))
    text = "cannot execute /nosuch: no such file or directory"
    assert told == [(grpc.StatusCode.FAILED_PRECONDITION, "EXEC_FAILED", text)] * 2
    assert len(worker.jobctl("list", "-o", "id").stdout.split()) == 1
    wire.channel.close()
