"""Key material on disk: written whole, never for a moment with looser modes; read if others could not."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class PkiError(Exception):
    """What could not be done and why; ``hint`` is what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def write(path: str, data: bytes, mode: int, gid: int | None = None) -> None:
    """A file beside its place, synced, then renamed over what is there. PkiError."""
    _write(path, data, mode, gid, os.rename)


def write_new(path: str, data: bytes, mode: int, gid: int | None = None) -> None:
    """As ``write``, and refuses to touch what exists, also what somebody else has just made."""
    refuse_existing(path)
    _write(path, data, mode, gid, os.link)


def refuse_existing(path: str) -> None:
    """PkiError where there is something, be it a broken link."""
    if os.path.lexists(path):
        raise _existing(path)


def _write(path: str, data: bytes, mode: int, gid: int | None, put: Callable[[str, str], None]) -> None:
    folder = os.path.dirname(path) or "."
    try:
        fd, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")  # 0600
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                if gid is not None:
                    os.fchown(fd, -1, gid)
                os.fchmod(fd, mode)
                file.flush()
                os.fsync(fd)
            put(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _sync(folder)
    except FileExistsError:
        raise _existing(path) from None
    except OSError as error:
        raise _cannot("write in", folder, error) from None


def make_folder(path: str, mode: int) -> None:
    """With those above it; one that exists stays as it is. PkiError."""
    try:
        os.makedirs(path, mode=mode, exist_ok=True)
    except OSError as error:
        raise _cannot("make", path, error) from None


def refuse_open_folder(path: str) -> None:
    """PkiError for a folder in which others than root and our own user could put their own CA."""
    try:
        info = os.stat(path)
    except OSError as error:
        raise _cannot("read", path, error) from None
    if info.st_uid not in (0, os.geteuid()):
        raise PkiError(f"{path} is owned by uid {info.st_uid}; must be owned by root", f"chown root {path}")
    if info.st_mode & 0o022:
        raise PkiError(f"{path} is writable by others; must not be", f"chmod go-w {path}")


def read_certificate(path: str) -> x509.Certificate:
    """PkiError where there is none in it."""
    try:
        return x509.load_pem_x509_certificate(_read(path)[0])
    except ValueError:
        raise PkiError(f"{path} is not a PEM certificate") from None


def read_key(path: str, others: int, whose: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 key. PkiError for another, and for one that others can read: whoever could may have.

    ``others`` are the bits of the mode that must not be set, ``whose`` names the key for people.
    """
    data, info = _read(path)
    if info.st_uid not in (0, os.geteuid()):
        raise PkiError(f"{path} is owned by uid {info.st_uid}; {whose} must not be", f"chown root {path}")
    if info.st_mode & others:
        mode = 0o600 | (0o040 & ~others)
        raise PkiError(f"{path} can be read by others; {whose} must not be", f"chmod {mode:o} {path}")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise PkiError(f"{path} is not a PEM private key without a passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PkiError(f"{path} is not an ECDSA P-256 key")
    return key


def _read(path: str) -> tuple[bytes, os.stat_result]:
    """The bytes, and what was opened."""
    try:
        with open(path, "rb") as file:
            return file.read(), os.fstat(file.fileno())
    except OSError as error:
        raise _cannot("read", path, error) from None


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _existing(path: str) -> PkiError:
    return PkiError(f"{path} exists", "remove it first, or name another file")


def _cannot(what: str, path: str, error: OSError) -> PkiError:
    hint = ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "run it as root, or name another place"
    elif error.errno == errno.ENOENT:
        hint = "jobworker-pki init" if what == "read" else f"mkdir -p {path}"
    return PkiError(f"cannot {what} {path}: {error.strerror}", hint)
