"""Certificates: a CA's own, a server's, a client's. RFC 5280; cryptography does the encoding.

Told apart by extended key usage, so that a client's certificate can never pose as the server. A
client's identity is its one URI SAN. Which files they go to, this does not know.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = timedelta(minutes=10)
"""Clocks differ a little between hosts."""
_LONGEST_COMMON_NAME = 64


PrivateKey = ec.EllipticCurvePrivateKey
"""P-256, always."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """As ``key_pem``."""
        return key_pem(self.key)


def new_key() -> PrivateKey:
    """P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """PEM, PKCS #8, without a passphrase: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def end_of(certificate: x509.Certificate) -> datetime:
    """Until when it is valid, in naive UTC as the builder takes it. cryptography 38 knows no other."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc.replace(tzinfo=None)
    return certificate.not_valid_after


def authority(key: PrivateKey, name: str, days: int) -> x509.Certificate:
    """A self-signed CA that can sign end certificates and no further CAs."""
    subject = _name(name)
    builder = _builder(subject, subject, key, _now() + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def server(ca: Issued, key: PrivateKey, names: list[str], days: int) -> x509.Certificate:
    """For these host names and addresses."""
    sans = [_general_name(name) for name in names]
    return _end(ca, key, names[0], sans, ExtendedKeyUsageOID.SERVER_AUTH, days)


def client(ca: Issued, key: PrivateKey, uri: str, days: int) -> x509.Certificate:
    """For one caller. The common name is for people who list certificates: the worker looks at the URI."""
    sans: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    return _end(ca, key, uri, sans, ExtendedKeyUsageOID.CLIENT_AUTH, days)


def _end(
    ca: Issued,
    key: PrivateKey,
    common_name: str,
    sans: list[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    days: int,
) -> x509.Certificate:
    # None outlives the CA, with whose end it would cease to be accepted without a word.
    end = min(_now() + timedelta(days=days), end_of(ca.certificate))
    builder = _builder(_name(common_name), ca.certificate.subject, key, end)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    builder = builder.add_extension(_issuer(ca), critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _issuer(ca: Issued) -> x509.AuthorityKeyIdentifier:
    """As the CA names its key itself, for one made elsewhere may count otherwise."""
    try:
        own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
