"""Why the worker does not answer, as far as a client can honestly know.

After a TLS 1.3 handshake a server that refuses the client's certificate closes without a word, so
the cause is looked for in our own certificate first; then the connection is made once more, with
Python's ssl, whose errors have names.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from .contexts import Context
from .errors import Failure
from .failure import NOT_ALLOWED, UNREACHABLE, USAGE

_REFUSAL_SECONDS = 0.5
"""A server that refuses a certificate closes at once; one that accepts it waits for us to speak."""

_RENEW = "ask for a new one: jobworker-pki client URI --out FILE, on the server"


def connection(context: Context, timeout: float) -> Failure:
    """The cause, in one line."""
    return _own_certificate(context) or _handshake(context, max(1.0, min(timeout, 5.0)))


def _own_certificate(context: Context) -> Failure | None:
    try:
        certificate = x509.load_pem_x509_certificate(context.cert)
        key = load_pem_private_key(context.key, None)
        ca = x509.load_pem_x509_certificate(context.ca)
    except (ValueError, TypeError):
        return Failure(USAGE, "BAD_CONTEXT", "ca, cert or key of the context is not PEM", _RENEW)
    raw = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*raw) != key.public_key().public_bytes(*raw):
        return Failure(
            NOT_ALLOWED, "KEY_MISMATCH", "the context's key is not the key of its certificate", _RENEW
        )
    now = datetime.now(UTC).replace(tzinfo=None)
    begin, end = _validity(certificate)
    if now > end:
        return Failure(
            NOT_ALLOWED, "CERTIFICATE_EXPIRED", f"your certificate expired on {end:%Y-%m-%dT%H:%M:%SZ}", _RENEW
        )
    if now < begin:
        return Failure(
            NOT_ALLOWED, "CERTIFICATE_NOT_YET_VALID",
            f"your certificate is not valid before {begin:%Y-%m-%dT%H:%M:%SZ}", "check this host's clock",
        )  # fmt: skip
    if not _is_for_clients(certificate):
        return Failure(
            NOT_ALLOWED, "CERTIFICATE_WRONG_USE", "your certificate is not for client authentication", _RENEW
        )
    if certificate.issuer != ca.subject:
        return None  # the worker may trust that CA all the same: its answer decides
    return None


def _validity(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Naive UTC; newer versions of cryptography warn of the names that Debian's has."""
    if hasattr(certificate, "not_valid_after_utc"):
        return (
            certificate.not_valid_before_utc.replace(tzinfo=None),
            certificate.not_valid_after_utc.replace(tzinfo=None),
        )
    return certificate.not_valid_before, certificate.not_valid_after


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _handshake(context: Context, timeout: float) -> Failure:
    host, _, port = context.server.rpartition(":")
    host = host.strip("[]")
    try:
        raw = socket.create_connection((host, int(port)), timeout)
    except socket.gaierror:
        return _unreachable("NO_SUCH_HOST", f"no address is known for {host}", "check server of the context")
    except ConnectionRefusedError:
        return _unreachable(
            "NOTHING_LISTENS",
            f"nothing listens on {context.server}",
            "systemctl status jobworker, on the server",
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return _unreachable(
            "NOT_REACHABLE",
            f"cannot reach {context.server}: {why}",
            "check the network and server of the context",
        )
    try:
        with raw, _tls(context).wrap_socket(raw, server_hostname=context.server_name or host) as tls:
            # Refusals of our certificate come after the handshake, as an end of file.
            tls.settimeout(_REFUSAL_SECONDS)
            if not tls.recv(1):
                return _not_accepted(context)
    except ssl.SSLCertVerificationError as error:
        return _server_certificate(context, error)
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return _not_accepted(context)
        return _unreachable(
            "NOT_TLS",
            f"{context.server} does not speak TLS 1.3: not a jobworker?",
            "check server of the context",
        )
    except TimeoutError:
        return _unreachable(
            "NO_ANSWER", f"{context.server} is there and does not answer", "again, it may be starting"
        )
    except ConnectionError:
        return _not_accepted(context)
    return _unreachable(
        "NO_ANSWER", f"{context.server} is there and does not answer", "again, it may be starting"
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


def _not_accepted(context: Context) -> Failure:
    certificate = x509.load_pem_x509_certificate(context.cert)
    ca = x509.load_pem_x509_certificate(context.ca)
    why = "" if certificate.issuer == ca.subject else "; it was not issued by the CA of the context"
    return Failure(
        NOT_ALLOWED, "CERTIFICATE_NOT_ACCEPTED",
        f"the server closed the connection after the handshake: certificate not accepted{why}", _RENEW,
    )  # fmt: skip


def _server_certificate(context: Context, error: ssl.SSLCertVerificationError) -> Failure:
    why = error.verify_message or str(error)
    return Failure(
        NOT_ALLOWED, "SERVER_NOT_TRUSTED", f"the certificate of {context.server} is not trusted: {why}",
        "use the name or address in the server's certificate, or the CA that issued it",
    )  # fmt: skip


def _unreachable(reason: str, message: str, hint: str) -> Failure:
    failure = Failure(UNREACHABLE, reason, message, hint)
    failure.passing = True
    return failure
