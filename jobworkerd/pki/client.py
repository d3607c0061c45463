"""``jobworker-pki client``: a caller's whole access in one context file, for ``jobctl --config``."""

from __future__ import annotations

import json

from . import issue, names
from .files import refuse_existing, write_new
from .folder import Folder
from .issue import Issued


def client(folder: Folder, uri: str, out: str, server: str | None, name: str, days: int) -> None:
    """Writes a new file, 0600. ``server`` is HOST:PORT, or None for where the worker listens. PkiError."""
    names.check_identity(uri, folder.identity_prefix)
    names.check_context(name)
    address = server or names.from_elsewhere(folder.listen)
    names.check_server(address)
    refuse_existing(out)
    ca, key = folder.ca(), issue.new_key()
    issued = Issued(issue.client(ca, key, uri, days), key)
    write_new(out, _context(name, address, ca, issued).encode(), 0o600)


def _context(name: str, server: str, ca: Issued, issued: Issued) -> str:
    parts = (("ca", ca.certificate_pem), ("cert", issued.certificate_pem), ("key", issued.key_pem))
    pem = "".join(f'{key} = """\n{data.decode()}"""\n' for key, data in parts)
    return f'current = "{name}"\n\n[contexts.{name}]\nserver = {json.dumps(server)}\n{pem}'
