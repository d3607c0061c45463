"""Certificates of every kind a client may meet, and the context files made of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and both as PEM text."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def cert_pem(self) -> str:
        """PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def authority(name: str = "a CA") -> Issued:
    """Self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key, -1, 1).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(
    ca: Issued,
    usage: x509.ObjectIdentifier = CLIENT,
    names: tuple[str, ...] = ("localhost", "127.0.0.1"),
    begin: float = -1,
    end: float = 1,
) -> Issued:
    """``begin`` and ``end`` in days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("someone"), ca.certificate.subject, key, begin, end)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if usage == SERVER:
        builder = builder.add_extension(x509.SubjectAlternativeName([_san(each) for each in names]), False)
    else:
        uri = x509.UniformResourceIdentifier("jobworker://ops/alice")
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), False)
    return Issued(builder.sign(ca.key, hashes.SHA256()), key)


def context_file(
    folder: Path, server: str, ca: Issued, own: Issued, *, key: str | None = None, server_name: str = ""
) -> Path:
    """A whole access in one file."""
    path = folder / "context.toml"
    name = f'server_name = "{server_name}"\n' if server_name else ""
    path.write_text(
        f'current = "it"\n\n[contexts.it]\nserver = "{server}"\n{name}'
        f'ca = """\n{ca.cert_pem}"""\ncert = """\n{own.cert_pem}"""\nkey = """\n{key or own.key_pem}"""\n'
    )
    path.chmod(0o600)
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: float, end: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(tzinfo=None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin * _DAY)
        .not_valid_after(now + end * _DAY)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
