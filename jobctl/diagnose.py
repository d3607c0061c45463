"""Why the worker does not answer, as far as a client can honestly know.

grpc says "UNAVAILABLE" to everything. So the connection is made once more with Python's ssl, whose
errors have names, and what was seen is put into one line. TLS 1.3 only, as the worker.
"""

from __future__ import annotations

import socket
import ssl
import tempfile

from . import certificate
from .contexts import Context
from .failure import NOT_ALLOWED, UNREACHABLE, Failure

_LONGEST_SECONDS = 5.0
_CHECK_SERVER = "check the context's server"

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_EXPIRED, _NOT_YET_VALID, _WRONG_PURPOSE = 10, 9, 26
_WRONG_NAME, _WRONG_ADDRESS = 62, 64

_OF_A_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA")
"""In the names of alerts (RFC 8446, 6.2) by which a server says what it thinks of ours."""


def connection(context: Context, timeout: float) -> Failure:
    """The cause; ``passing`` where a repeat may help."""
    return certificate.fault(context) or _reach(context, min(timeout, _LONGEST_SECONDS))


def _reach(context: Context, timeout: float) -> Failure:
    host, port = context.address
    try:
        raw = socket.create_connection((host, port), timeout)
    except socket.gaierror as error:
        return Failure(
            UNREACHABLE, "NO_SUCH_HOST", f"no address is known for {host}", _CHECK_SERVER,
            passing=error.errno == socket.EAI_AGAIN,
        )  # fmt: skip
    except UnicodeError:
        return Failure(UNREACHABLE, "NO_SUCH_HOST", f"{host} cannot be a host's name", _CHECK_SERVER)
    except ConnectionRefusedError:
        return _unreachable(
            "NOTHING_LISTENS",
            f"nothing listens on {context.server}",
            "systemctl status jobworker, on the server",
        )
    except OSError as error:
        why = error.strerror or str(error)
        return _unreachable("NOT_REACHABLE", f"cannot reach {context.server}: {why}", _CHECK_SERVER)
    with raw:
        return _handshake(context, raw, context.server_name or host)


def _handshake(context: Context, raw: socket.socket, name: str) -> Failure:
    try:
        tls = _tls(context).wrap_socket(raw, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(context, name, error)
    except TimeoutError:
        return _unreachable(
            "NO_ANSWER", f"{context.server} is there and does not answer", "again, a little later"
        )
    except (ssl.SSLError, ConnectionError) as error:
        if any(word in (getattr(error, "reason", None) or "") for word in _OF_A_CERTIFICATE):
            return certificate.refusal(context)
        return _unreachable("NOT_TLS", f"{context.server} does not speak TLS 1.3: no jobworker?", _CHECK_SERVER)
    with tls:
        return _after_handshake(context, tls)


def _after_handshake(context: Context, tls: ssl.SSLSocket) -> Failure:
    """A worker that takes our certificate speaks at once (HTTP/2's SETTINGS); one that does not hangs up."""
    try:
        accepted = bool(tls.recv(1))
    except TimeoutError:
        return _unreachable(
            "NO_ANSWER", f"{context.server} is there and does not answer", "again, a little later"
        )
    except OSError:
        accepted = False
    if not accepted:
        return certificate.refusal(context)
    return _unreachable(
        "NOT_READY", f"{context.server} takes the connection and no call", "again, a little later"
    )


def _tls(context: Context) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.set_alpn_protocols(["h2"])
    tls.load_verify_locations(cadata=context.ca.decode())
    with tempfile.NamedTemporaryFile() as file:  # ssl loads a key from a file alone; this one is 0600
        file.write(context.cert + b"\n" + context.key)
        file.flush()
        tls.load_cert_chain(file.name)
    return tls


def _not_trusted(context: Context, name: str, error: ssl.SSLCertVerificationError) -> Failure:
    subject = f"the certificate of {context.server}"
    renew = "a new one, on the server: jobworker-pki server HOST"
    reason, message, hint = {
        _EXPIRED: ("SERVER_CERTIFICATE_EXPIRED", f"{subject} has expired", renew),
        _NOT_YET_VALID: (
            "SERVER_CERTIFICATE_NOT_YET_VALID",
            f"{subject} is not valid yet",
            "check both clocks",
        ),
        _WRONG_PURPOSE: ("SERVER_CERTIFICATE_WRONG_USE", f"{subject} is not for a server", renew),
        _WRONG_NAME: ("SERVER_NAME", f"{subject} is not for the name {name}", _name_hint(name)),
        _WRONG_ADDRESS: ("SERVER_NAME", f"{subject} is not for the address {name}", _name_hint(name)),
    }.get(
        error.verify_code,
        (
            "SERVER_NOT_TRUSTED",
            f"{subject} was not issued by the CA of the context: {error.verify_message}",
            "the ca of that worker, in the context",
        ),
    )
    return Failure(NOT_ALLOWED, reason, message, hint)


def _name_hint(name: str) -> str:
    return f"server_name in the context, a name it has; or on the server: jobworker-pki server {name}"


def _unreachable(reason: str, message: str, hint: str) -> Failure:
    return Failure(UNREACHABLE, reason, message, hint, passing=True)
