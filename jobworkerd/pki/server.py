"""``jobworker-pki server``: a certificate for the names that clients use, and a new key."""

from __future__ import annotations

from . import issue, names
from .files import make_folder, refuse_existing, write, write_new
from .folder import Folder, server_key_access
from .issue import Issued


def server(folder: Folder, hosts: list[str], out: str | None, days: int) -> list[str]:
    """Installed here, or as new files in ``out``; the paths written. PkiError.

    Installed here it keeps this host's own names: root's access goes by loopback, and must go on.
    """
    for host in hosts:
        names.check_host(host)
    place = folder.path if out is None else out
    key_path, path = f"{place}/server.key", f"{place}/server.crt"
    if out is not None:
        refuse_existing(key_path)
        refuse_existing(path)
    ca, key = folder.ca(), issue.new_key()
    own = names.of_this_host(folder.listen) if out is None else []
    issued = Issued(issue.server(ca, key, list(dict.fromkeys([*hosts, *own])), days), key)
    if out is None:
        # The key first: a worker that starts in between refuses the pair instead of serving an old one.
        write(key_path, issued.key_pem, *server_key_access())
        write(path, issued.certificate_pem, 0o644)
    else:
        make_folder(out, 0o700)
        write_new(key_path, issued.key_pem, 0o600)
        write_new(path, issued.certificate_pem, 0o644)
    return [key_path, path]
