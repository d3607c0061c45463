"""Who calls, and what each method asks of them: the rule stands beside the method it guards.

The caller is what the certificate says and nothing the client sends: its one URI SAN under the
configured prefix (two are refused), or, without any URI SAN, its CN, written ``cn:NAME``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from . import errors
from .decoding import decoded
from .errors import CallError

if TYPE_CHECKING:
    from .service import Service

_Context = grpc.aio.ServicerContext[Any, Any]
Write = Callable[[Any], Awaitable[None]]


class Rule(Enum):
    """What a method asks of its caller. Which jobs exist for a caller is the policy's."""

    GRANTED = ("viewer", "operator", "admin")  # any grant at all
    CONTROL = ("operator", "admin")  # one that lets jobs be started and stopped


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated peer."""

    identity: str
    serial: str
    peer: str


def guarded(rule: Rule) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """For a unary method ``(service, request, caller)``: checks the rule and translates errors."""

    def wrap(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def call(service: Service, request: Any, context: _Context) -> Any:  # noqa: ANN401 -- any message
            try:
                caller = admit(service, rule, context)
                return await method(service, decoded(request), caller)
            except Exception as error:
                await _refuse(service, context, error, method.__name__)

        call.access_rule = rule  # type: ignore[attr-defined]
        return call

    return wrap


def guarded_stream(rule: Rule) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """The same for a method ``(service, request, caller, write)`` that streams its answers.

    Not an asynchronous generator: grpc leaves one where it stands when the client goes, and what it
    has open is closed whenever the collector comes by.
    """

    def wrap(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(method)
        async def call(service: Service, request: Any, context: _Context) -> None:  # noqa: ANN401
            try:
                caller = admit(service, rule, context)
                await method(service, decoded(request), caller, context.write)
            except grpc.aio.InternalError:
                # A write to a client that has gone, before grpc has cancelled the call for that.
                raise asyncio.CancelledError from None
            except Exception as error:
                await _refuse(service, context, error, method.__name__)

        call.access_rule = rule  # type: ignore[attr-defined]
        return call

    return wrap


def unguarded_methods(servicer: object, service_descriptor: Any) -> list[str]:  # noqa: ANN401 -- protobuf's
    """Methods of the wire that have no rule: a server with one is not built."""
    names = [method.name for method in service_descriptor.methods]
    return [name for name in names if not hasattr(getattr(servicer, name), "access_rule")]


def admit(service: Service, rule: Rule, context: _Context) -> Caller:
    """The caller, if a grant of one of the rule's roles is theirs. CallError otherwise."""
    caller = caller_of(context, service.policy.identity_prefix)
    if not service.policy.has_role(caller.identity, rule.value):
        roles = " or ".join(rule.value)
        raise CallError("NOT_GRANTED", f"{caller.identity} has no grant as {roles}", caller=caller.identity)
    return caller


def caller_of(context: _Context, prefix: str) -> Caller:
    """From the certificate that the handshake verified."""
    pem = next(iter(context.auth_context().get("x509_pem_cert", ())), b"")
    if not pem:
        raise CallError("NO_CALLER", "no client certificate")
    certificate = x509.load_pem_x509_certificate(pem)
    serial = format(certificate.serial_number, "x")
    return Caller(identity_of(certificate, prefix), serial, context.peer())


def identity_of(certificate: x509.Certificate, prefix: str) -> str:
    """The caller's name in grants and records."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    if len(uris) > 1:
        raise CallError("NO_CALLER", "the certificate has more than one URI; a caller has one")
    if uris:
        if not uris[0].startswith(prefix) or not uris[0].isprintable():
            raise CallError("NO_CALLER", f"the certificate's URI does not begin with {prefix}")
        return uris[0]
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(common) != 1 or not str(common[0].value).isprintable():
        raise CallError("NO_CALLER", "the certificate has neither a URI nor one common name")
    return f"cn:{common[0].value!s}"


async def _refuse(service: Service, context: _Context, error: Exception, method: str) -> None:
    told = errors.translate(error, service.journal)
    if told.reason in ("NO_CALLER", "NOT_GRANTED", "REFUSED"):
        service.denials.say(method, told, context.peer())
    await errors.abort(context, told)
