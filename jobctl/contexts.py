"""Which worker, and with which key: each field from the first source that has it.

Options; JOBCTL_* variables; the file of --config or JOBCTL_CONFIG; ~/.config/jobctl/config.toml;
/etc/jobworker/client.toml. ca, cert and key are a path or the PEM text itself. A relative path in a
file starts at the file's folder. server_name belongs to the server it stands beside.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .failure import USAGE, Failure

_FIELDS = ("server", "ca", "cert", "key")
_PATHS = ("ca", "cert", "key")
_SYSTEM = "/etc/jobworker/client.toml"
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Context:
    """All it takes to connect; ca, cert and key as PEM, ``server`` as HOST:PORT or [ADDRESS]:PORT."""

    server: str
    ca: bytes
    cert: bytes
    key: bytes
    server_name: str

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port."""
        host, _, port = self.server.rpartition(":")
        return host.strip("[]"), int(port)


def find(options: Mapping[str, Any], environ: Mapping[str, str], system: str = _SYSTEM) -> Context:
    """Failure USAGE, where no source has all that is needed or one cannot be used."""
    tables, known = _from_files(options, environ, system)
    given = {field: options.get(field) for field in _FIELDS}
    variables = {field: environ.get(f"JOBCTL_{field.upper()}") for field in _FIELDS}
    chosen = dict.fromkeys((*_FIELDS, "server_name"), "")
    for source in (given, variables, *tables):
        if not chosen["server"]:
            chosen["server_name"] = source.get("server_name") or ""
        for field in _FIELDS:
            chosen[field] = chosen[field] or source.get(field) or ""
    missing = [field for field in _FIELDS if not chosen[field]]
    if missing and known and not tables:
        raise Failure(USAGE, "NO_CONTEXT", "no context is the current one", _one_of(known))
    if missing:
        raise Failure(
            USAGE, "NO_CONTEXT", f"no usable context: {', '.join(missing)} of the worker not known",
            "jobctl --config FILE, with a file made by: jobworker-pki client URI --out FILE",
        )  # fmt: skip
    return Context(
        _checked_server(chosen["server"]),
        _pem(chosen["ca"], "ca"),
        _pem(chosen["cert"], "cert"),
        _pem(chosen["key"], "key"),
        chosen["server_name"],
    )


def _from_files(
    options: Mapping[str, Any], environ: Mapping[str, str], system: str
) -> tuple[list[dict[str, str | None]], list[str]]:
    """The tables of the context that is meant, one of each file that has it; and all names there are."""
    given = options.get("config") or environ.get("JOBCTL_CONFIG")
    wanted = options.get("context") or environ.get("JOBCTL_CONTEXT") or ""
    home = os.path.join(environ.get("HOME") or "/", ".config/jobctl/config.toml")
    tables: list[dict[str, str | None]] = []
    known: list[str] = []
    for path in [given, home, system] if given else [home, system]:
        document = _load(path, must_exist=path == given)
        if document is None:
            continue
        contexts = _tables(path, document)
        known += [name for name in contexts if name not in known]
        name = wanted or document.get("current")
        if name in contexts:
            tables.append(_resolved(path, contexts[name]))
        elif name and not wanted:
            raise Failure(
                USAGE, "NO_CONTEXT", f"current of {path} is {name!r}, and it has no such context",
                _one_of(list(contexts)),
            )  # fmt: skip
    if wanted and not tables:
        raise Failure(USAGE, "NO_CONTEXT", f"there is no context {wanted!r}", _one_of(known))
    return tables, known


def _one_of(names: list[str]) -> str:
    return f"jobctl --context NAME, one of: {', '.join(names) or 'none'}"


def _tables(path: str, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    contexts = document.get("contexts", {})
    if not isinstance(contexts, dict) or not all(isinstance(each, dict) for each in contexts.values()):
        raise Failure(USAGE, "BAD_CONTEXT", f"{path}: contexts must be sections: [contexts.NAME]")
    for name, table in contexts.items():
        for field in (*_FIELDS, "server_name"):
            if not isinstance(table.get(field, ""), str):
                raise Failure(USAGE, "BAD_CONTEXT", f"{path}: {field} of [contexts.{name}] must be a string")
    return contexts


def _resolved(path: str, table: dict[str, Any]) -> dict[str, str | None]:
    """A copy in which relative paths start at the file's folder."""
    folder = os.path.dirname(os.path.abspath(path))
    resolved = dict(table)
    for field in _PATHS:
        value = resolved.get(field)
        if value and not _is_pem(value):
            resolved[field] = os.path.join(folder, os.path.expanduser(value))
    return resolved


def _load(path: str, *, must_exist: bool) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        if must_exist:
            raise Failure(
                USAGE, "NO_CONTEXT", f"there is no file {path}", "check --config and JOBCTL_CONFIG"
            ) from None
        return None
    except PermissionError:
        if must_exist:
            raise Failure(USAGE, "BAD_CONTEXT", f"cannot read {path}: permission denied") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise Failure(USAGE, "BAD_CONTEXT", f"cannot read {path}: {why}") from None
    if "PRIVATE KEY" in text:
        _refuse_open(path, mode)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure(USAGE, "BAD_CONTEXT", f"{path} is not TOML: {error}") from None


def _checked_server(server: str) -> str:
    match = _SERVER.fullmatch(server)
    if match is None or not 0 < int(match[2]) < 65536:
        raise Failure(
            USAGE, "BAD_CONTEXT", f"server {server!r} is not of the form HOST:PORT", "HOST:50051, as a rule"
        )
    return server


def _is_pem(value: str) -> bool:
    return "-----BEGIN" in value


def _pem(value: str, field: str) -> bytes:
    if _is_pem(value):
        return value.encode()
    path = os.path.expanduser(value)
    try:
        with open(path, "rb") as file:
            if field == "key":
                _refuse_open(path, os.fstat(file.fileno()).st_mode)
            return file.read()
    except OSError as error:
        raise Failure(USAGE, "BAD_CONTEXT", f"cannot read {field} {path}: {error.strerror}") from None


def _refuse_open(path: str, mode: int) -> None:
    if stat.S_IMODE(mode) & 0o077:
        raise Failure(
            USAGE, "KEY_READABLE", f"{path} holds a private key and can be read by others", f"chmod 600 {path}"
        )
