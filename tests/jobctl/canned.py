"""A real gRPC server with real TLS whose answers a test decides: for what a real worker says too rarely."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from issued import SERVER, authority, context_file, issue

from jobworkerd.v1 import error_details_pb2, jobworker_pb2_grpc, status_pb2
from jobworkerd.v1 import jobworker_pb2 as pb

UUID = "7f0c1c52-6f2e-4b0e-9d1f-0a1b2c3d4e5f"


@dataclass
class Refuse(Exception):
    """What a method answers instead of a message; without a reason as grpc itself would say it."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "no"
    metadata: dict[str, str] = field(default_factory=dict)


class Worker(jobworker_pb2_grpc.JobWorkerServicer):  # type: ignore[misc]
    """``answers`` by method: a function of the request, which may raise Refuse. ``requests``: all that came."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: dict[str, Callable[[Any], Any]] = {
            "GetVersion": lambda _: pb.GetVersionResponse(version="0")
        }
        self.context = Path()
        self.server: grpc.Server | None = None

    def _unary(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        if method not in self.answers:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        try:
            return self.answers[method](request)
        except Refuse as refusal:
            _abort(context, refusal)

    def Start(self, request: Any, context: Any) -> Any:  # noqa: N802 -- the proto's
        return self._unary("Start", request, context)

    def Stop(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._unary("Stop", request, context)

    def Wait(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._unary("Wait", request, context)

    def QueryOneProcess(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._unary("QueryOneProcess", request, context)

    def QueryRunningProcesses(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._unary("QueryRunningProcesses", request, context)

    def GetVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._unary("GetVersion", request, context)

    def StreamOutput(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.requests.append(request)
        try:
            yield from self.answers["StreamOutput"](request)
        except Refuse as refusal:
            _abort(context, refusal)

    def of(self, kind: type) -> list[Any]:
        """The requests of a kind."""
        return [request for request in self.requests if isinstance(request, kind)]

    def jobctl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs jobctl against it, with little patience."""
        argv = [sys.executable, "-m", "jobctl", "--connect-timeout", "1s", *args]
        return subprocess.run(
            argv, env=self.environment(), capture_output=True, text=True, timeout=30, check=False, **options
        )

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Starts jobctl."""
        argv = [sys.executable, "-m", "jobctl", "--connect-timeout", "1s", *args]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=self.environment(), stdout=pipe, stderr=pipe, text=True)

    def stop(self) -> None:
        """As a worker that is killed; also from inside a call."""
        assert self.server is not None
        self.server.stop(0)

    def environment(self) -> dict[str, str]:
        """Jobctl's."""
        return {"PATH": os.environ["PATH"], "JOBCTL_CONFIG": str(self.context), "LANG": "C.UTF-8"}

    def json(self, *args: str) -> Any:
        """What jobctl prints with -o json."""
        return json.loads(self.jobctl("-o", "json", *args).stdout)


@contextlib.contextmanager
def serving(worker: Worker, folder: Path) -> Iterator[Worker]:
    """On a port of its own."""
    ca = authority()
    own, server_own = issue(ca), issue(ca, SERVER)
    pairs = [(server_own.key_pem.encode(), server_own.cert_pem.encode())]
    credentials = grpc.ssl_server_credentials(pairs, ca.cert_pem.encode(), require_client_auth=True)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    jobworker_pb2_grpc.add_JobWorkerServicer_to_server(worker, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    worker.server = server
    worker.context = context_file(folder, f"127.0.0.1:{port}", ca, own)
    try:
        yield worker
    finally:
        server.stop(0).wait()


def info(**fields: Any) -> pb.ProcessInfo:
    """A record; ``code`` and ``signal`` are its exit status."""
    code, signal = fields.pop("code", None), fields.pop("signal", None)
    all_fields: dict[str, Any] = {"uuid": UUID, "command": "/bin/true", "output_complete": True} | fields
    record = pb.ProcessInfo(**all_fields)
    if code is not None:
        record.exit_status.code = code
    if signal is not None:
        record.exit_status.signal = signal
    return record


def _abort(context: grpc.ServicerContext, refusal: Refuse) -> None:
    if refusal.reason:
        status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message)
        detail = error_details_pb2.ErrorInfo(
            reason=refusal.reason, domain="jobworker", metadata=refusal.metadata
        )
        status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(refusal.code, refusal.message)
