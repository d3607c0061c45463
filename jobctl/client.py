"""The connection: the only place that imports grpc, with ``errors``.

Synchronous. Every call may be repeated (a start carries a request id), so a call whose connection
ends, or which the worker puts off (UNAVAILABLE), is made again, for --connect-timeout after it was
first seen to fail. Every wait is one of ``signals``: a signal ends it and cancels the call.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

for _name, _value in (("GRPC_DNS_RESOLVER", "native"), ("GRPC_VERBOSITY", "NONE")):
    os.environ.setdefault(_name, _value)

import grpc  # noqa: E402 -- it reads its environment when it is imported

from jobworkerd.v1 import jobworker_pb2 as pb  # noqa: E402
from jobworkerd.v1 import jobworker_pb2_grpc  # noqa: E402

from . import errors  # noqa: E402
from .contexts import Context  # noqa: E402
from .failure import Failure  # noqa: E402
from .reader import Reader  # noqa: E402
from .signals import Signals  # noqa: E402

_T = TypeVar("_T")
_PAUSE_SECONDS = 0.2
_FRESH_SECONDS = 1.0
"""A call that lived this long had a connection: its end begins a new outage."""

_SHORTEST_PROBE_SECONDS = 1.0
_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),  # a long Wait is nothing but pings
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # $https_proxy is not meant for a worker
)


class Answer(Generic[_T]):
    """A call under way; several may be at once. ``request`` is asked again for each attempt."""

    def __init__(self, client: Client, method: str, request: Callable[[], Any]) -> None:
        self._client = client
        self._method = method
        self._request = request
        self._outage = _Outage(client)
        self._future = self._begin()

    def result(self) -> _T:
        """Waits for it. Raises Failure."""
        while True:
            try:
                self._client.signals.wait_until(self._future.done)
                answer: _T = self._future.result()
                self._client.answered = True
                return answer
            except grpc.RpcError as error:
                self._outage.survive(error, self._stub)
            finally:
                self._future.cancel()
            self._future = self._begin()

    def _begin(self) -> Any:  # noqa: ANN401 -- grpc has no type for it
        self._stub = self._client.stub
        future = getattr(self._stub, self._method).future(self._request())
        future.add_done_callback(self._client.signals.wake)
        return future


class Client:
    """A worker, as one caller sees it. Methods raise ``Failure``."""

    def __init__(self, context: Context, connect_timeout: float, signals: Signals | None = None) -> None:
        self.context = context
        self.signals = signals or Signals()
        self.timeout = connect_timeout
        self.created = time.monotonic()
        self.answered = False
        self._channels: list[grpc.Channel] = []
        self.connect()

    def connect(self) -> None:
        """A channel that met with a refusal waits before it tries again, longer each time; a new one does not.

        The old one stays for the calls that are under way on it.
        """
        # What grpc calls the minimum between two attempts is the time that one has.
        attempt_ms = max(100, min(int(self.timeout * 1000), 20_000))
        options: tuple[tuple[str, str | int], ...] = (*_OPTIONS, ("grpc.min_reconnect_backoff_ms", attempt_ms))
        if self.context.server_name:
            options += (("grpc.ssl_target_name_override", self.context.server_name),)
        credentials = grpc.ssl_channel_credentials(self.context.ca, self.context.key, self.context.cert)
        self._channels.append(grpc.secure_channel(self.context.server, credentials, options))
        self.stub = jobworker_pb2_grpc.JobWorkerStub(self._channels[-1])

    def close(self) -> None:
        """Ends the connections."""
        for channel in self._channels:
            channel.close()

    def start(self, request: pb.StartRequest) -> pb.StartResponse:
        """Starts exactly once, however often it is called: the request gets its request id here."""
        request.request_id = request.request_id or str(uuid.uuid4())
        return Answer[pb.StartResponse](self, "Start", lambda: request).result()

    def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        """Stops and waits until nothing is left."""
        return self.stopping(request).result()

    def stopping(self, request: pb.StopRequest) -> Answer[pb.StopResponse]:
        """The same, under way."""
        return Answer(self, "Stop", lambda: request)

    def query(self, job: str, tail_bytes: int = 0) -> pb.QueryOneProcessResponse:
        """One job."""
        request = pb.QueryOneProcessRequest(uuid=job, tail_bytes=tail_bytes)
        return Answer[pb.QueryOneProcessResponse](self, "QueryOneProcess", lambda: request).result()

    def page(self, request: pb.QueryRunningProcessesRequest) -> pb.QueryRunningProcessesResponse:
        """One page of the list."""
        return Answer[pb.QueryRunningProcessesResponse](self, "QueryRunningProcesses", lambda: request).result()

    def waiting(
        self, job: str, deadline: float | None = None, *, for_output: bool = False
    ) -> Answer[pb.WaitResponse]:
        """Until the job has ended, or the deadline on the monotonic clock has passed."""

        def request() -> pb.WaitRequest:
            message = pb.WaitRequest(uuid=job, for_output=for_output)
            if deadline is not None:
                message.timeout.FromNanoseconds(max(0, int((deadline - time.monotonic()) * 1e9)))
            return message

        return Answer(self, "Wait", request)

    def stream(self, request: pb.StreamOutputRequest) -> Iterator[pb.OutputChunk]:
        """What is recorded now, from the request's offsets on, which move with what was delivered."""
        outage = _Outage(self)
        while True:
            stub = self.stub
            reader = Reader(stub.StreamOutput(request), self.signals)
            try:
                for response in reader:
                    self.answered = True
                    if response.WhichOneof("what") == "chunk":
                        yield response.chunk
                        _advance(request, response.chunk)
                return
            except grpc.RpcError as error:
                outage.survive(error, stub)
            finally:
                reader.cancel()

    def version(self) -> pb.GetVersionResponse:
        """The worker's."""
        return Answer[pb.GetVersionResponse](self, "GetVersion", pb.GetVersionRequest).result()


class _Outage:
    """For how long a call that fails is made again: --connect-timeout, from when it was last known to work."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._attempted = time.monotonic()
        self._deadline = 0.0

    def survive(self, error: grpc.RpcError, stub: object) -> None:
        """Returns when the call is to be made again; else raises Failure."""
        failure = errors.from_rpc(error)
        if failure is not None:
            self._client.answered = True
        elif stub is not self._client.stub:
            return  # another call met with the same end, and has connected anew
        now = time.monotonic()
        if not self._deadline or (self._client.answered and now - self._attempted > _FRESH_SECONDS):
            self._deadline = (now if self._client.answered else self._client.created) + self._client.timeout
        failure = failure or self._diagnose(self._deadline - now)
        if not failure.passing or time.monotonic() + _PAUSE_SECONDS > self._deadline:
            raise failure from None
        self._client.signals.wait_until(lambda: False, _PAUSE_SECONDS)
        self._client.connect()
        self._attempted = time.monotonic()

    def _diagnose(self, seconds: float) -> Failure:
        from . import diagnose  # with cryptography, which only a failure is worth

        with self._client.signals.raising():
            return diagnose.connection(self._client.context, max(seconds, _SHORTEST_PROBE_SECONDS))


def _advance(request: pb.StreamOutputRequest, chunk: pb.OutputChunk) -> None:
    end = chunk.offset + len(chunk.data)
    if chunk.stream == pb.STDOUT:
        request.stdout_offset = end
    else:
        request.stderr_offset = end
