"""A gRPC error as a Failure: from the details the worker sends, in one table."""

from __future__ import annotations

from typing import Any

import grpc

from jobworkerd.v1 import error_details_pb2, status_pb2

from .failure import FAILED, NO_SUCH_JOB, NOT_ALLOWED, UNREACHABLE, USAGE
from .failure import Failure as _Failure

_Code = grpc.StatusCode
_EXIT = {
    _Code.NOT_FOUND: NO_SUCH_JOB,
    _Code.PERMISSION_DENIED: NOT_ALLOWED,
    _Code.UNAUTHENTICATED: NOT_ALLOWED,
    _Code.UNAVAILABLE: UNREACHABLE,
}
_HINTS = {
    "NOT_GRANTED": "ask the server's root for a [[grant]] in /etc/jobworker/jobworker.toml",
    "NO_SUCH_JOB": "jobctl list",
    "AMBIGUOUS_ID": "give more characters of the id",
    "NAME_IN_USE": "jobctl status NAME, or another --name",
    "DRAINING": "again when the worker is back",
}


class Failure(_Failure):
    """``passing``: a repeat may help."""

    passing = False


def from_rpc(error: grpc.RpcError) -> Failure | None:
    """None where the worker itself never answered: then the connection is to be looked at."""
    call: Any = error
    code = call.code()
    info = _info(call)
    if info is None:
        if code is _Code.UNAVAILABLE:
            return None
        reason = {_Code.RESOURCE_EXHAUSTED: "TOO_LARGE", _Code.CANCELLED: "CANCELLED"}.get(code, code.name)
        return Failure(_EXIT.get(code, FAILED), reason, _one_line(call.details() or code.name))
    usage = info.reason in ("AMBIGUOUS_ID", "MALFORMED_ID")
    return Failure(
        USAGE if usage else _EXIT.get(code, FAILED),
        info.reason,
        _one_line(call.details()),
        _HINTS.get(info.reason, ""),
        info.metadata,
    )


def is_passing(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed a moment later."""
    call: Any = error
    return bool(call.code() is _Code.UNAVAILABLE)


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
