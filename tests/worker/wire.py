"""One authenticated channel to a worker, for calls that jobctl never makes."""

from __future__ import annotations

from jobctl import contexts
from jobctl.client import grpc  # with the environment that it wants
from jobworkerd.v1 import error_details_pb2, jobworker_pb2_grpc, status_pb2

SERVICE = "/jobworker.v1.JobWorker/"


class Wire:
    """``stub`` for messages, ``call`` for bytes."""

    def __init__(self, environment: dict[str, str]) -> None:
        context = contexts.find({}, environment)
        credentials = grpc.ssl_channel_credentials(context.ca, context.key, context.cert)
        self.channel = grpc.secure_channel(context.server, credentials)
        self.stub = jobworker_pb2_grpc.JobWorkerStub(self.channel)

    def call(self, path: str, data: bytes) -> tuple[str, str, str]:
        """The status code's name, the error's reason and its text, of one request's bytes as they are."""
        streams = path == SERVICE + "StreamOutput"
        try:
            if streams:
                list(self.channel.unary_stream(path)(data, timeout=20))
            else:
                self.channel.unary_unary(path)(data, timeout=20)
        except grpc.RpcError as error:
            return error.code().name, reason(error), error.details()
        return "OK", "", ""


def reason(error: grpc.RpcError) -> str:
    """Of the ErrorInfo; empty where it has none."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for each in status_pb2.Status.FromString(details).details:
        each.Unpack(info)
    return str(info.reason)
