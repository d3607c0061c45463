"""Which worker, and with which key: each field from the first source that has it.

Options; JOBCTL_* variables; the file of --config or JOBCTL_CONFIG; ~/.config/jobctl/config.toml;
/etc/jobworker/client.toml. ca, cert and key are a path or the PEM text itself.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .failure import USAGE, Failure

FIELDS = ("server", "ca", "cert", "key", "server_name")
_REQUIRED = ("server", "ca", "cert", "key")
_SYSTEM = "/etc/jobworker/client.toml"


@dataclass(frozen=True, slots=True)
class Context:
    """All it takes to connect; ca, cert and key as PEM."""

    name: str
    server: str
    ca: bytes
    cert: bytes
    key: bytes
    server_name: str


def find(options: Mapping[str, str | None], environ: Mapping[str, str]) -> Context:
    """Failure USAGE, where no source has all that is needed or one cannot be used."""
    name, table = _from_file(options, environ)
    chosen: dict[str, str] = {}
    for field in FIELDS:
        value = options.get(field) or environ.get(f"JOBCTL_{field.upper()}") or table.get(field)
        if value:
            chosen[field] = str(value)
    missing = [field for field in _REQUIRED if field not in chosen]
    if missing:
        raise Failure(
            USAGE, "NO_CONTEXT", f"no usable context: {', '.join(missing)} of the worker is not known",
            "jobctl --config FILE, with a file made by: jobworker-pki client URI --out FILE",
        )  # fmt: skip
    return Context(
        name,
        chosen["server"],
        _pem(chosen["ca"], "ca"),
        _pem(chosen["cert"], "cert"),
        _pem(chosen["key"], "key"),
        chosen.get("server_name", ""),
    )


def _from_file(options: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    given = options.get("config") or environ.get("JOBCTL_CONFIG")
    wanted = options.get("context") or environ.get("JOBCTL_CONTEXT")
    home = os.path.join(environ.get("HOME", "/"), ".config/jobctl/config.toml")
    for path in [given] if given else [home, _SYSTEM]:
        document = _load(path, must_exist=path == given)
        if document is None:
            continue
        contexts = document.get("contexts", {})
        name = wanted or document.get("current", "")
        if name in contexts:
            return name, contexts[name]
        if given or wanted:
            known = ", ".join(contexts) or "none"
            raise Failure(
                USAGE, "NO_CONTEXT", f"{path} has no context {name!r}; it has: {known}", "jobctl --context NAME"
            )
    if wanted:
        raise Failure(USAGE, "NO_CONTEXT", f"there is no context {wanted!r}", "jobctl --config FILE")
    return "", {}


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
            raise Failure(USAGE, "NO_CONTEXT", f"cannot read {path}: permission denied") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(USAGE, "BAD_CONTEXT", f"cannot read {path}: {error}") from None
    if "PRIVATE KEY" in text:
        _refuse_open(path, mode)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure(USAGE, "BAD_CONTEXT", f"{path} is not TOML: {error}") from None


def _pem(value: str, field: str) -> bytes:
    if "-----BEGIN" in value:
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
