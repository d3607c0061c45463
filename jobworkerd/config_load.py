"""Root's files to a Config: read, checked, each mistake named with file, line, key and what would be right.

The sources are read once, by the runner, and handed to the peers as a snapshot, so that all hold the
same. What a value may be, ``config_values`` knows; where a key stands, ``config_lines``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any

from . import config_values as values
from .config import Config, Grant, Jobs, Retention, Server, Tls
from .config_lines import Lines
from .config_sources import ConfigError as ConfigError
from .config_sources import Source as Source
from .config_sources import read_sources as read_sources
from .config_warnings import warnings as warnings

_SECTIONS: dict[str, type] = {"server": Server, "tls": Tls, "jobs": Jobs, "retention": Retention}
_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "listen": values.listen,
    "state_dir": values.path,
    "log_dir": values.path,
    "ca": values.path,
    "cert": values.path,
    "key": values.path,
    "revoked": values.path,
    "identity_prefix": values.prefix,
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


def parse(sources: tuple[Source, ...]) -> Config:
    """The Config: of drop-ins scalars override and grants append. ConfigError for the first mistake."""
    documents, found = _read_all(sources)
    if found:
        raise found[0]
    return _build(documents)


def mistakes(sources: tuple[Source, ...]) -> list[ConfigError]:
    """All there are, file by file."""
    return _read_all(sources)[1]


def to_snapshot(sources: tuple[Source, ...]) -> bytes:
    """For a peer."""
    return json.dumps([[source.path, source.text] for source in sources]).encode()


def from_snapshot(data: bytes) -> Config:
    """What ``to_snapshot`` made, parsed again by the peer."""
    return parse(tuple(Source(path, text) for path, text in json.loads(data)))


def key_of(field_name: str) -> str:
    """The TOML key of a dataclass's field: the unit is the value's there, but where it tells two keys apart."""
    if field_name == "keep_bytes":
        return field_name
    return field_name.removesuffix("_seconds").removesuffix("_bytes")


@dataclass(frozen=True, slots=True)
class _Document:
    """A source, parsed."""

    path: str
    tables: dict[str, Any]
    lines: Lines

    def mistake(self, section: str, number: int, key: str | None, what: str) -> ConfigError:
        name = f"{section}.{key}" if key else section
        shown = name if name.isprintable() else json.dumps(name)
        return ConfigError(f"{self.path}:{self.lines.of(section, number, key)}: {shown}: {what}")


def _read_all(sources: tuple[Source, ...]) -> tuple[list[_Document], list[ConfigError]]:
    documents: list[_Document] = []
    found: list[ConfigError] = []
    for source in sources:
        try:
            document = _Document(source.path, tomllib.loads(source.text), Lines(source.text))
        # A number of 5,000 digits is a bare ValueError.
        except (ValueError, RecursionError) as error:
            found.append(_not_toml(source, error))
            continue
        documents.append(document)
        found += _check(document)
    return documents, found


def _not_toml(source: Source, error: Exception) -> ConfigError:
    what, _, where = str(error).partition(" (at ")
    if not isinstance(error, tomllib.TOMLDecodeError):
        what = "nested too deeply, or a number of thousands of digits"
    at = re.search(r"line (\d+), column (\d+)", where)
    last = source.text.rstrip().count("\n") + 1
    line, column = (at[1], f" at column {at[2]}") if at else (str(last), "")
    hint = "texts, sizes and durations stand in quotes, lists in brackets"
    return ConfigError(f"{source.path}:{line}: not TOML{column}: {what}; {hint}")


@cache
def _keys(cls: type) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """TOML key -> (field, converter)."""
    return {
        key_of(field.name): (field.name, _converter(field.name, str(field.type)))
        for field in fields(cls)
        if field.name != "rule"
    }


def _converter(name: str, type_name: str) -> Callable[[Any], Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name.endswith("_seconds"):
        return values.duration
    if name.endswith("_bytes"):
        return values.size
    return _BY_TYPE[type_name]


def _check(document: _Document) -> Iterator[ConfigError]:
    known = [*_SECTIONS, "grant"]
    for name, table in document.tables.items():
        if name not in known:
            hint = values.suggestion(name, known) or f"; known are {', '.join(known)}"
            yield document.mistake(name, 0, None, f"unknown section{hint}")
        elif name == "grant":
            if not isinstance(table, list) or not all(isinstance(each, dict) for each in table):
                yield document.mistake("grant", 0, None, "must be written [[grant]]")
                continue
            for number, each in enumerate(table):
                yield from _check_table(document, "grant", number, Grant, each)
        elif not isinstance(table, dict):
            yield document.mistake(name, 0, None, f"must be a section [{name}]")
        else:
            yield from _check_table(document, name, 0, _SECTIONS[name], table)


def _check_table(
    document: _Document, section: str, number: int, cls: type, table: dict[str, Any]
) -> Iterator[ConfigError]:
    keys = _keys(cls)
    for key, value in table.items():
        if key not in keys:
            hint = values.suggestion(key, keys) or f"; known are {', '.join(keys)}"
            yield document.mistake(section, number, key, f"unknown key{hint}")
            continue
        try:
            keys[key][1](value)
        except ValueError as error:
            shown = json.dumps(value, default=str)
            shown = shown if len(shown) <= 80 else shown[:79] + "…"
            yield document.mistake(section, number, key, f"{error} (is {shown})")
    for field in fields(cls):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and key_of(field.name) not in table:
            yield document.mistake(section, number, key_of(field.name), "missing; every grant needs it")


def _build(documents: list[_Document]) -> Config:
    merged: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    grants: list[Grant] = []
    for document in documents:
        for name, cls in _SECTIONS.items():
            merged[name] |= _convert(cls, document.tables.get(name, {}))
        for number, table in enumerate(document.tables.get("grant", [])):
            rule = f"{document.path}:{document.lines.of('grant', number)}"
            grants.append(Grant(**_convert(Grant, table), rule=rule))
    sections: dict[str, Any] = {name: cls(**merged[name]) for name, cls in _SECTIONS.items()}
    return Config(**sections, grants=tuple(grants))


def _convert(cls: type, table: dict[str, Any]) -> dict[str, Any]:
    keys = _keys(cls)
    return {keys[key][0]: keys[key][1](value) for key, value in table.items()}
