"""``jobworker-pki init``: makes what is missing, touches nothing that exists.

In an order that lets a second one complete what a first left undone: each key before its certificate,
and the server's last, by which the package tells that all is there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from . import client, issue, names
from .files import PkiError, make_folder, refuse_open_folder, write_new
from .folder import Folder, server_key_access
from .issue import Issued


def init(folder: Folder, days: int) -> Iterator[str]:
    """The paths made, each as it is made. PkiError."""
    for path in (folder.path, folder.file("revoked.d")):
        if not os.path.isdir(path):
            make_folder(path, 0o755)
            yield path
    refuse_open_folder(folder.path)
    yield from _authority(folder, days)
    if not os.path.lexists(folder.root_context):
        make_folder(os.path.dirname(folder.root_context), 0o700)
        uri = f"{folder.identity_prefix}local/root"
        client.client(folder, uri, folder.root_context, names.from_here(folder.listen), "local", days)
        yield folder.root_context
    yield from _server(folder, days)


def _authority(folder: Folder, days: int) -> Iterator[str]:
    if os.path.lexists(folder.file("ca.crt")):
        return
    if not os.path.lexists(folder.file("ca.key")):
        write_new(folder.file("ca.key"), issue.key_pem(issue.new_key()), 0o600)
        yield folder.file("ca.key")
    key = folder.ca_key()
    certificate = issue.authority(key, f"jobworker CA of {socket.gethostname()}", days)
    write_new(folder.file("ca.crt"), Issued(certificate, key).certificate_pem, 0o644)
    yield folder.file("ca.crt")


def _server(folder: Folder, days: int) -> Iterator[str]:
    path, key_path = folder.file("server.crt"), folder.file("server.key")
    has_certificate, has_key = os.path.lexists(path), os.path.lexists(key_path)
    if has_certificate and not has_key:
        raise PkiError(f"{path} is there without {key_path}", "jobworker-pki server HOST, which replaces both")
    if has_certificate:
        return
    ca = folder.ca()
    if not has_key:
        write_new(key_path, issue.key_pem(issue.new_key()), *server_key_access())
        yield key_path
    key = folder.server_key()
    certificate = issue.server(ca, key, names.of_this_host(folder.listen), days)
    write_new(path, Issued(certificate, key).certificate_pem, 0o644)
    yield path
