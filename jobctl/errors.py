"""A gRPC error as a Failure: from the details the worker sends, in one table."""

from __future__ import annotations

from typing import Any

import grpc

from jobworkerd.v1 import error_details_pb2, status_pb2

from .failure import FAILED, NO_SUCH_JOB, NOT_ALLOWED, UNREACHABLE, USAGE, Failure

_Code = grpc.StatusCode
_EXIT = {
    _Code.NOT_FOUND: NO_SUCH_JOB,
    _Code.PERMISSION_DENIED: NOT_ALLOWED,
    _Code.UNAUTHENTICATED: NOT_ALLOWED,
    _Code.UNAVAILABLE: UNREACHABLE,
    _Code.INVALID_ARGUMENT: USAGE,
    _Code.OUT_OF_RANGE: USAGE,
}
_HINTS = {
    "NO_CALLER": "a certificate made by: jobworker-pki client URI --out FILE, on the server",
    "NOT_GRANTED": "ask the server's root for a [[grant]] in /etc/jobworker/jobworker.toml",
    "NO_SUCH_JOB": "jobctl list",
    "AMBIGUOUS_ID": "more characters of the id",
    "NAME_IN_USE": "jobctl list --running, or another --name",
    "DRAINING": "again when the worker is back",
    "CANNOT_BE_KILLED": "again later: it goes when the kernel lets go of it",
    "INTERNAL": "journalctl -u jobworker, on the server",
}
_LOST = (_Code.UNAVAILABLE, _Code.CANCELLED, _Code.UNKNOWN)
"""Codes of grpc's own for a connection that ended in the middle of a call; the worker never says UNKNOWN."""


def from_rpc(error: grpc.RpcError) -> Failure | None:
    """None where the connection ended, not the call: then that is to be looked at."""
    call: Any = error
    code = call.code()
    info = _info(call)
    if info is not None:
        return Failure(
            _EXIT.get(code, FAILED), info.reason, _one_line(call.details()), _HINTS.get(info.reason, ""),
            passing=code is _Code.UNAVAILABLE, metadata=info.metadata,
        )  # fmt: skip
    if code in _LOST:
        return None
    if code is _Code.UNIMPLEMENTED:
        return Failure(FAILED, "UNIMPLEMENTED", "this worker has no such call", "jobctl version")
    return Failure(FAILED, code.name, f"{code.name}: {_one_line(call.details() or '')}")


def _info(call: Any) -> error_details_pb2.ErrorInfo | None:  # noqa: ANN401 -- grpc has no type for it
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
