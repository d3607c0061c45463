"""Mutual TLS: TLS 1.3 only, P-256 only, a client certificate of our CA's required.

Python's grpc has no option for a minimum version. A P-256 server key together with a cipher list that
needs RSA leaves TLS 1.2 no cipher in common, and 1.3, whose ciphers are set apart, untouched. So
``environment`` must be set before grpc is imported, and any other key is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from jobworkerd.config import Tls

ENVIRONMENT = {
    "GRPC_SSL_CIPHER_SUITES": "ECDHE-RSA-AES256-GCM-SHA384",
    "GRPC_DNS_RESOLVER": "native",
    "GRPC_VERBOSITY": "NONE",
}


class KeyMaterialError(Exception):
    """A file that cannot be used: one line with its path, why, and what to try."""


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """PEM bytes of one consistent set."""

    ca: bytes
    cert: bytes
    key: bytes


def load(config: Tls) -> KeyMaterial:
    """Reads and checks the three files. KeyMaterialError."""
    ca, cert, key = (_read(path) for path in (config.ca, config.cert, config.key))
    if os.stat(config.key).st_mode & 0o007:
        raise KeyMaterialError(f"{config.key} can be read by others; try: chmod 640 {config.key}")
    try:
        x509.load_pem_x509_certificate(ca)
        certificate = x509.load_pem_x509_certificate(cert)
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise KeyMaterialError(f"{config.ca}, {config.cert} or {config.key} is not PEM: {error}") from None
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise KeyMaterialError(f"{config.cert} is not an ECDSA P-256 certificate; try: jobworker-pki server")
    raw = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*raw) != public.public_bytes(*raw):
        raise KeyMaterialError(f"{config.key} is not the key of {config.cert}; try: jobworker-pki server")
    return KeyMaterial(ca, cert, key)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise KeyMaterialError(f"cannot read {path}: {error.strerror}; try: jobworker-pki init") from None
