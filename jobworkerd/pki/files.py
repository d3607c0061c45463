"""Key material on disk: written whole or not at all, never for a moment with looser modes."""

from __future__ import annotations

import grp
import os
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class PkiError(Exception):
    """What could not be done and why; ``hint`` is what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def write(path: str, data: bytes, mode: int, group: str | None = None) -> None:
    """A new file beside its place, synced, then renamed into it."""
    folder = os.path.dirname(path)
    try:
        fd, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")  # 0600
    except OSError as error:
        raise PkiError(f"cannot write in {folder}: {error.strerror}", "run it as root, or give --dir") from None
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if group is not None and os.geteuid() == 0:
                os.fchown(fd, -1, _gid(group))
            os.fchmod(fd, mode)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_new(path: str, data: bytes, mode: int, group: str | None = None) -> None:
    """As ``write``, and refuses to touch what exists."""
    if os.path.lexists(path):
        raise PkiError(f"{path} exists", "remove it first, or name another file")
    write(path, data, mode, group)


def read(path: str) -> bytes:
    """PkiError where it cannot be."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise PkiError(f"cannot read {path}: {error.strerror}", "jobworker-pki init") from None


def read_certificate(path: str) -> x509.Certificate:
    """PkiError where there is none in it."""
    try:
        return x509.load_pem_x509_certificate(read(path))
    except ValueError:
        raise PkiError(f"{path} is not a PEM certificate") from None


def read_key(path: str) -> ec.EllipticCurvePrivateKey:
    """Refuses a key that others can read: whoever could may have."""
    data = read(path)
    if os.stat(path).st_mode & 0o077:
        raise PkiError(f"{path} can be read by others; a CA's key must not be", f"chmod 600 {path}")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise PkiError(f"{path} is not a PEM private key without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not an elliptic curve key")
    return key


def _gid(group: str) -> int:
    """Root's own group where the package's is not there (a CA on another machine)."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return 0
