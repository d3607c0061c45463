"""A Config back to TOML: every key with its value in force, as ``jobworkerd --dump-config`` prints it."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal
from typing import Any

from .config import Config
from .config_load import key_of

_SECTIONS = ("server", "tls", "jobs", "retention")
_SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_DURATIONS = (("d", 86400.0), ("h", 3600.0), ("m", 60.0))


def dump(config: Config) -> str:
    """TOML that parses back to an equal Config."""
    parts = [f"[{name}]\n{_table(getattr(config, name))}" for name in _SECTIONS]
    parts += [f"# {grant.rule}\n[[grant]]\n{_table(grant)}" for grant in config.grants]
    return "\n".join(parts)


def _table(section: Any) -> str:
    lines = [
        f"{key_of(field.name)} = {_value(field.name, getattr(section, field.name))}\n"
        for field in fields(section)
        if field.name != "rule"
    ]
    return "".join(lines)


def _value(name: str, value: Any) -> str:
    if name.endswith("_seconds"):
        return f'"{_scaled(value, _DURATIONS, "s")}"' if value else '"0"'
    if name.endswith("_bytes") and value:
        return f'"{_scaled(value, _SIZES, "B")}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else str(value)


def _scaled(value: float, units: tuple[tuple[str, float], ...], smallest: str) -> str:
    for unit, factor in units:
        if value % factor == 0:
            return f"{value / factor:.0f}{unit}"
    # All its digits, and never with an exponent.
    return f"{Decimal(repr(value)):f}{smallest}".replace(f".0{smallest}", smallest)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)
