"""Requests that are no message: refused in words, as any other bad request.

grpc itself answers them with UNKNOWN and the name of a Python exception. Here they reach the method's
guard as None, so that who has no grant learns that first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from .errors import CallError


class Decoding(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Gives None for what cannot be decoded, as a request or as one of a stream of them."""

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,  # noqa: ANN401 -- grpc's
    ) -> Any:  # noqa: ANN401
        """The method's handler; None where there is no such method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return handler._replace(request_deserializer=_or_none(handler.request_deserializer))


def _or_none(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode_or_none(data: bytes) -> Any:  # noqa: ANN401 -- any message
        try:
            return decode(data)
        except DecodeError:
            return None

    return decode_or_none


def decoded(request: Any) -> Any:  # noqa: ANN401
    """The request. CallError where there was none in the bytes that came."""
    if request is None:
        raise CallError("MALFORMED_REQUEST", "the request is not a message of its method")
    return request
