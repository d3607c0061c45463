"""One's own certificate, judged before the network is: what a worker would refuse about it.

A worker that refuses a certificate closes the connection without a word, so what can be read in the
certificate itself is the only way to know why.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from .contexts import Context
from .failure import NOT_ALLOWED, USAGE, Failure

RENEW = "ask for a new one: jobworker-pki client URI --out FILE, on the server"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def fault(context: Context) -> Failure | None:
    """What is wrong with it, whoever is asked; None where the worker's answer decides."""
    try:
        certificate = x509.load_pem_x509_certificate(context.cert)
        key = load_pem_private_key(context.key, None)
        _authorities(context)
    except (ValueError, TypeError):
        return Failure(USAGE, "BAD_CONTEXT", "ca, cert or key of the context is not what it should be in PEM")
    raw = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*raw) != key.public_key().public_bytes(*raw):
        return _refused("KEY_MISMATCH", "the context's key is not the key of its certificate")
    now = datetime.now(UTC).replace(tzinfo=None)
    begin, end = _validity(certificate)
    if now > end:
        return _refused("CERTIFICATE_EXPIRED", f"your certificate expired on {end:%Y-%m-%dT%H:%M:%SZ}")
    if now < begin:
        return _refused(
            "CERTIFICATE_NOT_YET_VALID",
            f"your certificate is not valid before {begin:%Y-%m-%dT%H:%M:%SZ}",
            "check this host's clock",
        )
    if not _is_for_clients(certificate):
        return _refused("CERTIFICATE_WRONG_USE", "your certificate is not for client authentication")
    return None


def refusal(context: Context) -> Failure:
    """The worker closed the connection after the handshake: it did not take the certificate."""
    why = "" if _is_signed_by_ca(context) else "; it was not issued by the CA of the context"
    return _refused(
        "CERTIFICATE_NOT_ACCEPTED",
        f"{context.server} closed the connection after the handshake: your certificate was not accepted{why}",
    )


def _refused(reason: str, message: str, hint: str = RENEW) -> Failure:
    return Failure(NOT_ALLOWED, reason, message, hint)


def _authorities(context: Context) -> list[x509.Certificate]:
    """Of the context's ca, which may hold several. ValueError for none."""
    found = [x509.load_pem_x509_certificate(pem) for pem in _PEM.findall(context.ca)]
    if not found:
        raise ValueError("no certificate")
    return found


def _is_signed_by_ca(context: Context) -> bool:
    certificate = x509.load_pem_x509_certificate(context.cert)
    return any(_signed(certificate, ca) for ca in _authorities(context))


def _signed(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    key = ca.public_key()
    algorithm = certificate.signature_hash_algorithm
    if certificate.issuer != ca.subject or not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None:
        return False
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


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
