"""A stream of requests that is none of a start with its input."""

from __future__ import annotations

import grpc
import pytest
from conftest import Worker
from wire import Wire

from jobworkerd.v1 import jobworker_pb2 as pb


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
