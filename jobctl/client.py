"""The connection: the only place that imports grpc, with ``errors``.

Synchronous: a verb makes one call after the other. Safe calls are repeated while the worker is
UNAVAILABLE, up to --connect-timeout; a start carries a request id, so it is safe too.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

for _name, _value in (("GRPC_DNS_RESOLVER", "native"), ("GRPC_VERBOSITY", "NONE")):
    os.environ.setdefault(_name, _value)

import grpc  # noqa: E402 -- it reads its environment when it is imported

from jobworkerd.v1 import jobworker_pb2 as pb  # noqa: E402
from jobworkerd.v1 import jobworker_pb2_grpc  # noqa: E402

from . import diagnose, errors  # noqa: E402
from .contexts import Context  # noqa: E402

_T = TypeVar("_T")
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0
_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Client:
    """A worker, as one caller sees it. Methods raise ``Failure``."""

    def __init__(self, context: Context, connect_timeout: float) -> None:
        self._context = context
        self._timeout = connect_timeout
        self._connect()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _connect(self) -> None:
        """A channel that has met with a refusal waits for seconds before it tries again; a new one does not."""
        options: tuple[tuple[str, str | int], ...] = _OPTIONS
        if self._context.server_name:
            options += (("grpc.ssl_target_name_override", self._context.server_name),)
        context = self._context
        credentials = grpc.ssl_channel_credentials(context.ca, context.key, context.cert)
        self._channel = grpc.secure_channel(context.server, credentials, options)
        self._stub = jobworker_pb2_grpc.JobWorkerStub(self._channel)

    def start(self, request: pb.StartRequest) -> pb.StartResponse:
        """Starts exactly once, however often the call is repeated."""
        request.request_id = request.request_id or str(uuid.uuid4())
        return self._call(lambda stub: stub.Start, request, pb.StartResponse)

    def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        """Stops and waits until nothing is left."""
        return self._call(lambda stub: stub.Stop, request, pb.StopResponse)

    def query(self, job: str, tail_bytes: int = 0) -> pb.QueryOneProcessResponse:
        """One job."""
        request = pb.QueryOneProcessRequest(uuid=job, tail_bytes=tail_bytes)
        return self._call(lambda stub: stub.QueryOneProcess, request, pb.QueryOneProcessResponse)

    def page(self, request: pb.QueryRunningProcessesRequest) -> pb.QueryRunningProcessesResponse:
        """One page of the list."""
        return self._call(lambda stub: stub.QueryRunningProcesses, request, pb.QueryRunningProcessesResponse)

    def wait(self, request: pb.WaitRequest) -> pb.WaitResponse:
        """Until the job has ended. An exception of a signal handler gets through, and the call is cancelled."""

        def interruptible(wanted: pb.WaitRequest) -> object:
            future = self._stub.Wait.future(wanted)
            try:
                return future.result()
            finally:
                future.cancel()

        return self._call(lambda _: interruptible, request, pb.WaitResponse)

    def stream(self, request: pb.StreamOutputRequest) -> Iterator[pb.StreamOutputResponse]:
        """Chunks, then the trailer."""
        try:
            yield from self._stub.StreamOutput(request)
        except grpc.RpcError as error:
            raise self.failure(error) from None

    def version(self) -> pb.GetVersionResponse:
        """The server's."""
        return self._call(lambda stub: stub.GetVersion, pb.GetVersionRequest(), pb.GetVersionResponse)

    def failure(self, error: grpc.RpcError) -> errors.Failure:
        """Why a call failed, as far as it can honestly be known."""
        failure = errors.from_rpc(error)
        if failure is None:
            failure = diagnose.connection(self._context, self._timeout)
        return failure

    def _call(self, method: Callable[[Any], Any], request: Any, answer: type[_T]) -> _T:  # noqa: ANN401
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                response = method(self._stub)(request)
                assert isinstance(response, answer)
                return response
            except grpc.RpcError as error:
                failure = errors.from_rpc(error)
                if failure is not None and not errors.is_passing(error):
                    raise failure from None
                failure = failure or diagnose.connection(self._context, self._timeout)
                if not failure.passing or time.monotonic() + pause > deadline:
                    raise failure from None
            time.sleep(pause)
            self.close()
            self._connect()
            pause = min(pause * 2, _LAST_PAUSE)
