"""What can go wrong for a caller, and how the wire says it: one table from reason to status code.

Each error carries google.rpc.Status in ``grpc-status-details-bin`` with one ErrorInfo: a stable
``reason``, domain "jobworker", and metadata (https://google.aip.dev/193).
"""

from __future__ import annotations

import errno
import sqlite3
import traceback
from typing import Any, NoReturn

import grpc

from jobworkerd.journal import ERROR, Journal
from jobworkerd.v1 import error_details_pb2, status_pb2

_Code = grpc.StatusCode

_MAX_MESSAGE = 1024
"""Bytes. It goes out twice, percent-encoded and in base64, and older clients take 8 KiB of headers in all."""

CODES = {
    "INVALID_FIELD": _Code.INVALID_ARGUMENT,
    "MALFORMED_ID": _Code.INVALID_ARGUMENT,
    "MALFORMED_REQUEST": _Code.INVALID_ARGUMENT,
    "AMBIGUOUS_ID": _Code.INVALID_ARGUMENT,
    "NO_SUCH_JOB": _Code.NOT_FOUND,
    "NO_CALLER": _Code.UNAUTHENTICATED,
    "NOT_GRANTED": _Code.PERMISSION_DENIED,
    "REFUSED": _Code.PERMISSION_DENIED,
    "EXEC_FAILED": _Code.FAILED_PRECONDITION,
    "START_TIMEOUT": _Code.FAILED_PRECONDITION,
    "STOPPED_BEFORE_START": _Code.FAILED_PRECONDITION,
    "NO_OUTPUT": _Code.FAILED_PRECONDITION,
    "INPUT_TOO_LARGE": _Code.RESOURCE_EXHAUSTED,
    "NO_ROOM": _Code.RESOURCE_EXHAUSTED,
    "OUT_OF_RESOURCES": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_STREAMS": _Code.RESOURCE_EXHAUSTED,
    "TOO_MANY_JOBS": _Code.RESOURCE_EXHAUSTED,
    "TABLE_NOT_WRITABLE": _Code.RESOURCE_EXHAUSTED,
    "REQUEST_ID_REUSED": _Code.ALREADY_EXISTS,
    "NAME_IN_USE": _Code.ALREADY_EXISTS,
    "DRAINING": _Code.UNAVAILABLE,
    "CANNOT_BE_KILLED": _Code.DEADLINE_EXCEEDED,
    "OFFSET_BEYOND_END": _Code.OUT_OF_RANGE,
    "INTERNAL": _Code.INTERNAL,
}


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)


class CallError(Exception):
    """An expected failure: ``reason`` is a key of CODES, ``message`` one line for people."""

    def __init__(self, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


def invalid(field: str, problem: str) -> CallError:
    """A field of the request is wrong."""
    return CallError("INVALID_FIELD", f"{field}: {problem}", field=field)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: CallError) -> NoReturn:
    """Ends the call with the error."""
    code = CODES[error.reason]
    message = _short(error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain="jobworker", metadata=error.metadata)
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(info)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, message, trailing)
    raise AssertionError("abort always raises")


def _short(message: str) -> str:
    """It may quote all of a request, and of an error with a header too long a client sees nothing."""
    data = message.encode()
    return message if len(data) <= _MAX_MESSAGE else data[:_MAX_MESSAGE].decode(errors="ignore") + "…"


def translate(error: Exception, journal: Journal) -> CallError:
    """Any exception of a call as a CallError; a bug is INTERNAL, with its traceback in the journal."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, sqlite3.OperationalError):
        journal.event("table_not_writable", f"the job table cannot be used: {error}", ERROR)
        return CallError("TABLE_NOT_WRITABLE", f"the job table cannot be used: {error}; nothing was started")
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        journal.event("out_of_resources", f"a call failed: {error}", ERROR)
        return CallError("OUT_OF_RESOURCES", f"the worker cannot do that now: {error.strerror}")
    journal.event("bug", traceback.format_exc(), ERROR)
    return CallError("INTERNAL", "an error in the worker; its journal has the traceback")
