"""Whom a certificate is made out to, and where a worker is found. Nothing here reads or writes a file."""

from __future__ import annotations

import ipaddress
import re
import socket

from .files import PkiError

_WILDCARDS = ("0.0.0.0", "::", "*")  # noqa: S104 -- recognised, not bound
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_CONTEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def check_identity(uri: str, prefix: str) -> None:
    """PkiError where the worker would not take it for an identity, or a grant could not name it."""
    if not uri.isascii() or not uri.isprintable() or set(uri) & set(' *"\\') or "://" not in uri:
        raise PkiError(f"{uri!r} is not an identity", f"one such as {prefix}ops/alice, without blanks or *")
    if not uri.startswith(prefix) or uri == prefix:
        raise PkiError(
            f"{uri} does not begin with {prefix}, as this worker's callers do (tls.identity_prefix)",
            f"one such as {prefix}ops/alice",
        )


def check_host(host: str) -> None:
    """PkiError for what no certificate can name."""
    if _is_address(host) or _HOST.fullmatch(host):
        return
    if _ADDRESS.fullmatch(host):
        raise PkiError(f"{host!r} has a port, which certificates do not name", host.rpartition(":")[0])
    raise PkiError(f"{host!r} is neither a host's name nor an address", "one such as build1.example")


def check_server(address: str) -> None:
    """PkiError for what jobctl would not take for a server."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not address.isprintable() or not 0 < int(match[2]) < 65536:
        raise PkiError(f"--server {address!r} is not of the form HOST:PORT", "one such as build1.example:50051")


def check_context(name: str) -> None:
    """PkiError for what would have to stand in quotes everywhere."""
    if not _CONTEXT.fullmatch(name):
        raise PkiError(f"--name {name!r} must be letters, digits, _ and -, at most 63", "one such as build1")


def of_this_host(listen: tuple[str, ...]) -> list[str]:
    """What clients may call this worker: the host's names, what it listens on, and loopback."""
    names = [socket.gethostname(), socket.getfqdn()]
    names += [host for host in map(_host, listen) if host not in _WILDCARDS]
    valid = [name for name in names if _is_address(name) or _HOST.fullmatch(name)]
    return list(dict.fromkeys([*valid, "localhost", "127.0.0.1", "::1"]))


def from_here(listen: tuple[str, ...]) -> str:
    """Where root on this host finds the worker: by loopback, if it listens there."""
    local = [address for address in listen if _host(address) in _WILDCARDS or _is_loopback(_host(address))]
    address = (local or listen)[0]
    return f"127.0.0.1:{_port(address)}" if _host(address) in _WILDCARDS else address


def from_elsewhere(listen: tuple[str, ...]) -> str:
    """Where others do: where it listens, by this host's name where that is any address."""
    outward = [address for address in listen if not _is_loopback(_host(address))]
    address = (outward or listen)[0]
    return f"{socket.getfqdn()}:{_port(address)}" if _host(address) in _WILDCARDS else address


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
