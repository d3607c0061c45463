"""The gRPC server: credentials that a reload replaces, limits, health. It knows no jobs."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc

from jobworkerd.v1 import health_pb2, health_pb2_grpc, jobworker_pb2, jobworker_pb2_grpc

from . import tls
from .access import Rule, Write, guarded, guarded_stream, unguarded_methods
from .decoding import Decoding
from .service import Service

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share it
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),  # newer versions wait for that instead, by default a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class CannotListen(Exception):
    """An address is in use, or not this host's."""


class Credentials:
    """The key material in force; each new connection sees the newest."""

    def __init__(self, material: tls.KeyMaterial) -> None:
        self.material = material

    def for_grpc(self) -> grpc.ServerCredentials:
        """Asked again by grpc, in a thread of its own, at each handshake: None for no change.

        Answered with the same material anew each time, newer versions of grpc died of SIGSEGV, once in
        some thousand handshakes.
        """
        served = self.material

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal served
            if served is self.material:
                return None
            served = self.material
            return _certificates(served)

        return grpc.dynamic_ssl_server_credentials(
            _certificates(served),
            changed,  # type: ignore[arg-type]  # the stubs do not know None
            require_client_authentication=True,
        )


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1: SERVING until the worker drains."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """From now on NOT_SERVING, and who watches is told."""
        self._draining.set()

    @property
    def policy(self) -> Any:  # noqa: ANN401 -- what ``guarded`` needs of a service
        """As the service's, so that ``guarded`` works for both."""
        return self._service.policy

    @property
    def journal(self) -> Any:  # noqa: ANN401
        """The service's."""
        return self._service.journal

    @property
    def denials(self) -> Any:  # noqa: ANN401
        """The service's."""
        return self._service.denials

    @guarded(Rule.GRANTED)
    async def Check(self, _: Any, __: Any) -> Any:  # noqa: ANN401, N802 -- the proto's
        """Of the whole server."""
        return self._status()

    @guarded_stream(Rule.GRANTED)
    async def Watch(self, _: Any, __: Any, write: Write) -> None:  # noqa: ANN401, N802
        """The same now, and when it changes: it does so once."""
        await write(self._status())
        await self._draining.wait()
        await write(self._status())

    def _status(self) -> Any:  # noqa: ANN401
        status = health_pb2.HealthCheckResponse
        return status(status=status.NOT_SERVING if self._draining.is_set() else status.SERVING)


def build(service: Service, credentials: Credentials, listen: tuple[str, ...]) -> tuple[Any, Health]:
    """A server bound to its addresses, not yet started. CannotListen; a method without a rule is a bug."""
    health = Health(service)
    missing = unguarded_methods(service, jobworker_pb2.DESCRIPTOR.services_by_name["JobWorker"])
    missing += unguarded_methods(health, health_pb2.DESCRIPTOR.services_by_name["Health"])
    assert not missing, f"methods without an access rule: {missing}"
    server = grpc.aio.server(options=_OPTIONS, interceptors=(Decoding(),))
    jobworker_pb2_grpc.add_JobWorkerServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for address in listen:
        try:
            bound = server.add_secure_port(address, credentials.for_grpc())
        except RuntimeError:
            bound = 0
        if not bound:
            raise _cannot_listen(address)
    return server, health


def check_free(wanted: tuple[str, ...], ours: tuple[str, ...]) -> None:
    """CannotListen for a new address that is somebody else's; on a port of ours it cannot be known yet."""
    ports = {_host_and_port(address)[1] for address in ours}
    for address in wanted:
        host, port = _host_and_port(address)
        if port in ports:
            continue
        try:
            for family, *_, where in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                with socket.socket(family, socket.SOCK_STREAM) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    sock.bind(where)
        except OSError:
            raise _cannot_listen(address) from None


def _host_and_port(address: str) -> tuple[str | None, int]:
    host, _, port = address.rpartition(":")
    return (None if host == "*" else host.strip("[]")), int(port)


def _cannot_listen(address: str) -> CannotListen:
    return CannotListen(
        f"cannot listen on {address}: in use, or not an address of this host; "
        "try: ss -ltnp, or another server.listen"
    )


def _certificates(material: tls.KeyMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.cert)], root_certificates=material.ca
    )
