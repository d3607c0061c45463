"""Root's files to a Config: read, checked, each mistake named with file, line, key and what would be right.

The sources are read once, by the runner, and handed to the peers as a snapshot, so that all hold the
same. tomllib gives no positions: the line of a key is looked up in the text.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

from . import config_values as values
from .config import Config, Grant, Jobs, Retention, Server, Tls

_SECTIONS: dict[str, type] = {"server": Server, "tls": Tls, "jobs": Jobs, "retention": Retention}
_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "listen": values.listen,
    "state_dir": values.path,
    "log_dir": values.path,
    "ca": values.path,
    "cert": values.path,
    "key": values.path,
    "revoked": values.path,
    "user": values.user,
    "log_user": values.user,
    "default_user": values.user,
    "on_max_output": values.one_of("ring", "stop"),
    "role": values.one_of("viewer", "operator", "admin"),
    "run_as": values.run_as,
    "commands": values.commands,
    "env": values.variables,
}
_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "int": values.count,
    "bool": values.boolean,
    "str": values.text,
    "tuple[str, ...]": values.strings,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One file, as it was read."""

    path: str
    text: str


class ConfigError(Exception):
    """One mistake; its text is ``FILE:LINE: KEY: what is wrong and would be right``."""


def read_sources(path: str) -> tuple[Source, ...]:
    """The file and its drop-ins (``path.d/*.toml``), sorted. ConfigError for one that others can write."""
    folder = f"{path}.d"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
    except FileNotFoundError:
        names = []
    return tuple(_read(each) for each in (path, *(f"{folder}/{name}" for name in names)))


def parse(sources: tuple[Source, ...]) -> Config:
    """The Config. ConfigError for the first mistake."""
    for mistake in mistakes(sources):
        raise mistake
    return _build([(source, tomllib.loads(source.text)) for source in sources])


def mistakes(sources: tuple[Source, ...]) -> list[ConfigError]:
    """All mistakes, in the order they stand."""
    found: list[ConfigError] = []
    for source in sources:
        try:
            document = tomllib.loads(source.text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            where = line[1] if line else str(source.text.count("\n") + 1)
            found.append(ConfigError(f"{source.path}:{where}: not TOML: {error}"))
            continue
        found += _check(source, document)
    return found


def to_snapshot(sources: tuple[Source, ...]) -> bytes:
    """For a peer."""
    return json.dumps([[source.path, source.text] for source in sources]).encode()


def from_snapshot(data: bytes) -> Config:
    """What ``to_snapshot`` made, parsed again by the peer."""
    return parse(tuple(Source(path, text) for path, text in json.loads(data)))


def warnings(config: Config) -> list[str]:
    """What is legal and yet hardly meant."""
    said = [
        f"{grant.rule}: a {grant.role} without {what} can start nothing"
        for grant in config.grants
        if grant.role != "viewer"
        for what, given in (("run_as", grant.run_as), ("commands", grant.commands))
        if not given
    ]
    if not config.grants:
        said.append("no [[grant]]: nobody may do anything")
    return said


def key_of(field_name: str) -> str:
    """The TOML key of a dataclass's field: the unit is the value's there, but where it tells two keys apart."""
    if field_name == "keep_bytes":
        return field_name
    return field_name.removesuffix("_seconds").removesuffix("_bytes")


def _read(path: str) -> Source:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if info.st_uid not in (0, os.geteuid()):
            raise ConfigError(f"{path}: owned by uid {info.st_uid}; must be owned by root: chown root {path}")
        if stat.S_IMODE(info.st_mode) & 0o022:
            raise ConfigError(f"{path}: writable by others; must not be: chmod go-w {path}")
        try:
            return Source(path, file.read().decode())
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: not UTF-8 text") from None


def _converter(name: str, type_name: str) -> Callable[[Any], Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name.endswith("_seconds"):
        return values.duration
    if name.endswith("_bytes"):
        return values.size
    return _BY_TYPE[type_name]


def _keys(cls: type) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """TOML key -> (field, converter)."""
    return {
        key_of(field.name): (field.name, _converter(field.name, str(field.type)))
        for field in fields(cls)
        if field.name != "rule"
    }


def _check(source: Source, document: dict[str, Any]) -> Iterator[ConfigError]:
    known = [*_SECTIONS, "grant"]
    for name, table in document.items():
        if name not in known:
            hint = values.suggestion(name, known)
            yield _mistake(source, None, 0, name, f"unknown section{hint}; known are {', '.join(known)}")
        elif name == "grant":
            if not isinstance(table, list) or not all(isinstance(each, dict) for each in table):
                yield _mistake(source, None, 0, "grant", "must be written [[grant]]")
                continue
            for number, each in enumerate(table):
                yield from _check_table(source, "grant", number, Grant, each)
        elif not isinstance(table, dict):
            yield _mistake(source, None, 0, name, f"must be a section [{name}]")
        else:
            yield from _check_table(source, name, 0, _SECTIONS[name], table)


def _check_table(
    source: Source, section: str, number: int, cls: type, table: dict[str, Any]
) -> Iterator[ConfigError]:
    keys = _keys(cls)
    for key, value in table.items():
        if key not in keys:
            hint = values.suggestion(key, keys)
            known = hint or f"; known are {', '.join(keys)}"
            yield _mistake(source, section, number, key, f"unknown key{known}")
            continue
        try:
            keys[key][1](value)
        except ValueError as error:
            yield _mistake(source, section, number, key, f"{error} (is {json.dumps(value, default=str)})")
    for field in fields(cls):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and key_of(field.name) not in table:
            yield _mistake(source, section, number, key_of(field.name), "missing; every grant needs it")


def _build(documents: list[tuple[Source, dict[str, Any]]]) -> Config:
    """Drop-ins: scalars override, grants append."""
    merged: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    grants: list[Grant] = []
    for source, document in documents:
        for name, cls in _SECTIONS.items():
            merged[name] |= _convert(cls, document.get(name, {}))
        for number, table in enumerate(document.get("grant", [])):
            rule = f"{source.path}:{_line(source.text, 'grant', number, None)}"
            grants.append(Grant(**_convert(Grant, table), rule=rule))
    sections: dict[str, Any] = {name: cls(**merged[name]) for name, cls in _SECTIONS.items()}
    return Config(**sections, grants=tuple(grants))


def _convert(cls: type, table: dict[str, Any]) -> dict[str, Any]:
    keys = _keys(cls)
    return {keys[key][0]: keys[key][1](value) for key, value in table.items()}


def _mistake(source: Source, section: str | None, number: int, key: str, what: str) -> ConfigError:
    line = _line(source.text, section if section else key, number, key if section else None)
    name = f"{section}.{key}" if section else key
    return ConfigError(f"{source.path}:{line}: {name}: {what}")


_HEADER = re.compile(r"""\s*\[\[?\s*['"]?([\w.-]+)['"]?\s*\]\]?\s*(#.*)?$""")
_KEY = re.compile(r"""\s*['"]?([\w-]+)['"]?\s*[.=]""")


def _line(text: str, section: str, number: int, key: str | None) -> int:
    """Where a key stands in the ``number``-th section of that name, or its header; 1 is the first line."""
    found, inside, seen = 1, False, -1
    for line_number, line in enumerate(text.splitlines(), 1):
        header, assigned = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            seen += header[1] == section
            inside = header[1] == section and seen == number
            if inside:
                found = line_number
        # In its section; or the section written as a key at the top, "server.listen = …".
        elif assigned is not None and (inside or seen < 0) and assigned[1] == (key if inside else section):
            return line_number
    return found
