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
from .failure import UNREACHABLE, Failure  # noqa: E402
from .reader import Reader  # noqa: E402
from .signals import Signals  # noqa: E402
from .source import Source  # noqa: E402

_T = TypeVar("_T")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0
_FRESH_SECONDS = 1.0
"""A call that lived this long had a connection: its end begins a new outage."""

_SHORTEST_PROBE_SECONDS = 1.0
_LOOKS = 3
"""A connection that is cut right behind its handshake looks as if the certificate was refused: so many in a row
do not."""

_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),  # newer versions wait for that instead, by default a minute
    ("grpc.http2.max_pings_without_data", 0),  # a long Wait is nothing but pings
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # $https_proxy is not meant for a worker
)


class Answer(Generic[_T]):
    """A call under way; several may be at once. ``request`` is asked again for each attempt."""

    def __init__(
        self,
        client: Client,
        method: str,
        request: Callable[[], Any],
        when_done: Callable[[object], None] | None = None,
    ) -> None:
        self._client = client
        self._when_done = when_done or client.signals.wake
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
        future.add_done_callback(self._when_done)
        return future


class Client:
    """A worker, as one caller sees it. Methods raise ``Failure``."""

    def __init__(self, context: Context, connect_timeout: float, signals: Signals | None = None) -> None:
        self.context = context
        self.signals = signals or Signals()
        self.timeout = connect_timeout
        self.created = time.monotonic()
        self.answered = False
        self.connect()

    def connect(self) -> None:
        """A channel that met with a refusal waits before it tries again, longer each time; a new one does not.

        The old one ends with the calls that are under way on it.
        """
        # What grpc calls the minimum between two attempts is the time that one has.
        attempt_ms = max(100, min(int(self.timeout * 1000), 20_000))
        options: tuple[tuple[str, str | int], ...] = (*_OPTIONS, ("grpc.min_reconnect_backoff_ms", attempt_ms))
        if self.context.server_name:
            options += (("grpc.ssl_target_name_override", self.context.server_name),)
        credentials = grpc.ssl_channel_credentials(self.context.ca, self.context.key, self.context.cert)
        self._channel = grpc.secure_channel(self.context.server, credentials, options)
        self.stub = jobworker_pb2_grpc.JobWorkerStub(self._channel)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def start(self, request: pb.StartRequest) -> pb.StartResponse:
        """Starts exactly once, however often it is called: the request gets its request id here."""
        request.request_id = request.request_id or str(uuid.uuid4())
        return Answer[pb.StartResponse](self, "Start", lambda: request).result()

    def start_with_input(self, request: pb.StartRequest, source: Source) -> pb.StartResponse:
        """The same with a standard input."""
        request.request_id = request.request_id or str(uuid.uuid4())
        return Answer[pb.StartResponse](self, "StartWithInput", lambda: source.messages(request)).result()

    def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        """Stops and waits until nothing is left."""
        return self.stopping(request).result()

    def stopping(
        self, request: pb.StopRequest, when_done: Callable[[object], None] | None = None
    ) -> Answer[pb.StopResponse]:
        """The same, under way. ``when_done`` is called, in another thread, at the end of each attempt."""
        return Answer(self, "Stop", lambda: request, when_done)

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

    def stream(
        self, request: pb.StreamOutputRequest, reconnect_for: float, lost: Callable[[Failure], None]
    ) -> Iterator[pb.StreamOutputResponse]:
        """A job's output, up to the trailer.

        Whoever takes it moves the request's offsets: from there it goes on after a lost connection, of
        which ``lost`` is told once, for as long as ``reconnect_for``.
        """
        outage = _Outage(self, max(reconnect_for, self.timeout), lost)
        while True:
            stub = self.stub
            reader = Reader(stub.StreamOutput(request), self.signals)
            try:
                for response in reader:
                    self.answered = True
                    outage.over()
                    yield response
                return
            except grpc.RpcError as error:
                outage.survive(error, stub)
            finally:
                reader.cancel()

    def version(self) -> pb.GetVersionResponse:
        """The worker's."""
        return Answer[pb.GetVersionResponse](self, "GetVersion", pb.GetVersionRequest).result()


class _Outage:
    """For how long a call that fails is made again: ``patience``, from when it was last known to work.

    A worker that has never answered has --connect-timeout.
    """

    def __init__(
        self, client: Client, patience: float | None = None, lost: Callable[[Failure], None] = lambda _: None
    ) -> None:
        self._client = client
        self._patience = client.timeout if patience is None else patience
        self._lost = lost
        self._attempted = time.monotonic()
        self._deadline = 0.0
        self._pause = _FIRST_PAUSE_SECONDS
        self._refusals = 0

    def over(self) -> None:
        """The call works: the next failure begins another one."""
        self._deadline = 0.0

    def survive(self, error: grpc.RpcError, stub: object) -> None:
        """Returns when the call is to be made again; else raises Failure."""
        failure = errors.from_rpc(error)
        if failure is not None:
            self._client.answered = True
        elif stub is not self._client.stub:
            return  # another call met with the same end, and has connected anew
        now = time.monotonic()
        begins = not self._deadline or (self._client.answered and now - self._attempted > _FRESH_SECONDS)
        if begins:
            known = self._client.answered
            self._deadline = now + self._patience if known else self._client.created + self._client.timeout
            self._pause = _FIRST_PAUSE_SECONDS
        failure = failure or self._diagnose(self._deadline - now)
        if not failure.passing or time.monotonic() + self._pause > self._deadline:
            raise failure from None
        if begins and self._client.answered:
            self._lost(failure)
        self._client.signals.wait_until(lambda: False, self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._client.connect()
        self._attempted = time.monotonic()

    def _diagnose(self, seconds: float) -> Failure:
        from . import diagnose  # with cryptography, which only a failure is worth

        seconds = max(min(seconds, self._client.timeout), _SHORTEST_PROBE_SECONDS)
        with self._client.signals.raising():
            failure = diagnose.connection(self._client.context, seconds)
        self._refusals = self._refusals + 1 if failure.reason == "CERTIFICATE_NOT_ACCEPTED" else 0
        if not 0 < self._refusals < _LOOKS:
            return failure
        why = f"{self._client.context.server} closed the connection after the handshake"
        return Failure(UNREACHABLE, "HUNG_UP", why, "again, a little later", passing=True)
