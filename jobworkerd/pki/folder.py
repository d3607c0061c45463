"""One folder of key material: what ``init``, ``server`` and ``client`` do in it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from . import issue
from .files import PkiError, read, read_certificate, read_key, write, write_new
from .issue import Issued

LOCAL_ROOT = "jobworker://local/root"
_GROUP = "jobworker"
_WILDCARDS = ("0.0.0.0", "::", "*")  # noqa: S104 -- recognised, not bound


@dataclass(frozen=True, slots=True)
class Folder:
    """``/etc/jobworker/pki``, or another that --dir names. ``listen`` is the worker's first address."""

    path: str
    root_context: str
    listen: str

    def init(self, days: int) -> list[str]:
        """Makes what is not there yet and touches nothing that is; the paths made."""
        made: list[str] = []
        for folder, mode in ((self.path, 0o755), (self.file("revoked.d"), 0o755)):
            if not os.path.isdir(folder):
                _make_folder(folder, mode)
                made.append(folder)
        if not os.path.lexists(self.file("ca.key")) and not os.path.lexists(self.file("ca.crt")):
            ca = issue.authority(f"jobworker CA of {socket.gethostname()}", days)
            write_new(self.file("ca.key"), ca.key_pem, 0o600)
            write_new(self.file("ca.crt"), ca.certificate_pem, 0o644)
            made += [self.file("ca.key"), self.file("ca.crt")]
        if not os.path.lexists(self.file("server.crt")):
            made += self.server(_own_names(), None, days)
        if not os.path.lexists(self.root_context):
            _make_folder(os.path.dirname(self.root_context), 0o700)
            self.client(LOCAL_ROOT, self.root_context, self._local_server(), "local", days)
            made.append(self.root_context)
        return made

    def server(self, names: list[str], out: str | None, days: int) -> list[str]:
        """A server's certificate and key: installed here, or new files in ``out``."""
        issued = issue.server(self._ca(), names, days)
        if out is None:
            # The key first: a worker that starts in between refuses the pair instead of serving an old one.
            write(self.file("server.key"), issued.key_pem, 0o640, _GROUP)
            write(self.file("server.crt"), issued.certificate_pem, 0o644)
            return [self.file("server.key"), self.file("server.crt")]
        _make_folder(out, 0o700)
        write_new(f"{out}/server.key", issued.key_pem, 0o600)
        write_new(f"{out}/server.crt", issued.certificate_pem, 0o644)
        return [f"{out}/server.key", f"{out}/server.crt"]

    def client(self, uri: str, out: str, server: str | None, name: str, days: int) -> None:
        """A caller's whole access in one file, 0600."""
        _check_uri(uri)
        issued = issue.client(self._ca(), uri, days)
        text = _context(name, server or self._reachable(), read(self.file("ca.crt")), issued)
        write_new(out, text.encode(), 0o600)

    def file(self, name: str) -> str:
        """A path in the folder."""
        return f"{self.path}/{name}"

    def _ca(self) -> Issued:
        return Issued(read_certificate(self.file("ca.crt")), read_key(self.file("ca.key")))

    def _local_server(self) -> str:
        host, _, port = self.listen.rpartition(":")
        return f"127.0.0.1:{port}" if host.strip("[]") in _WILDCARDS else self.listen

    def _reachable(self) -> str:
        host, _, port = self.listen.rpartition(":")
        return f"{socket.getfqdn()}:{port}" if host.strip("[]") in _WILDCARDS else self.listen


def _own_names() -> list[str]:
    names = [socket.gethostname(), socket.getfqdn(), "localhost", "127.0.0.1", "::1"]
    return list(dict.fromkeys(name for name in names if name))


def _make_folder(path: str, mode: int) -> None:
    try:
        os.makedirs(path, mode=mode, exist_ok=True)
    except OSError as error:
        raise PkiError(f"cannot make {path}: {error.strerror}", "run it as root, or give --dir") from None


def _check_uri(uri: str) -> None:
    scheme, separator, rest = uri.partition("://")
    if (
        not separator
        or not scheme
        or not rest
        or not uri.isascii()
        or not uri.isprintable()
        or set(uri) & set(' *"\\')
    ):
        raise PkiError(f"{uri!r} is not an identity", "one such as jobworker://ops/alice, without blanks or *")


def _context(name: str, server: str, ca: bytes, issued: Issued) -> str:
    parts = (("ca", ca), ("cert", issued.certificate_pem), ("key", issued.key_pem))
    pem = "".join(f'{key} = """\n{data.decode()}"""\n' for key, data in parts)
    return f'current = "{name}"\n\n[contexts.{name}]\nserver = "{server}"\n{pem}'
