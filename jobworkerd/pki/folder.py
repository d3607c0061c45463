"""One folder of key material: what lies where in it, and its CA."""

from __future__ import annotations

import grp
import os
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from . import issue
from .files import PkiError, read_certificate, read_key, refuse_open_folder
from .issue import Issued

_GROUP = "jobworker"


@dataclass(frozen=True, slots=True)
class Folder:
    """``/etc/jobworker/pki``, or another that --dir names, and what its worker's configuration says."""

    path: str
    root_context: str
    listen: tuple[str, ...]
    identity_prefix: str

    def file(self, name: str) -> str:
        """A path in the folder."""
        return f"{self.path}/{name}"

    def ca(self) -> Issued:
        """The CA, fit to issue. PkiError where its key or its folder is open to others, or it has expired."""
        certificate = read_certificate(self.file("ca.crt"))
        refuse_open_folder(self.path)
        key = self.ca_key()
        public = certificate.public_key()
        # Numbers, for cryptography 38 compares no keys.
        if (
            not isinstance(public, ec.EllipticCurvePublicKey)
            or public.public_numbers() != key.public_key().public_numbers()
        ):
            raise PkiError(f"{self.file('ca.key')} is not the key of {self.file('ca.crt')}")
        end = issue.end_of(certificate)
        if end <= datetime.now(UTC).replace(tzinfo=None):
            raise PkiError(
                f"{self.file('ca.crt')} has expired on {end:%Y-%m-%d}",
                f"mv {self.path} {self.path}.old, then jobworker-pki init, and new certificates for all",
            )
        return Issued(certificate, key)

    def ca_key(self) -> issue.PrivateKey:
        """Root's alone."""
        if not os.path.lexists(self.file("ca.key")):
            raise PkiError(
                f"there is no {self.file('ca.key')}, without which nothing can be issued",
                "the same where that key is kept",
            )
        return read_key(self.file("ca.key"), 0o077, "a CA's key")

    def server_key(self) -> issue.PrivateKey:
        """The worker's group may read it as well."""
        return read_key(self.file("server.key"), 0o037, "a server's key")


def server_key_access() -> tuple[int, int | None]:
    """Mode and group of an installed server key: the worker's group, where there is one, else nobody."""
    if os.geteuid() == 0:
        try:
            return 0o640, grp.getgrnam(_GROUP).gr_gid
        except KeyError:
            pass
    return 0o600, None
