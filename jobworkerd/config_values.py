"""One value of the configuration: from TOML to what the dataclasses hold, and what would be right.

Each function takes what tomllib gave and returns the value, or raises ValueError whose text says
what the value must be.
"""

from __future__ import annotations

import difflib
import re
import shlex
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB|TiB|)")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.*-]+):([0-9]{1,5})")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")


def duration(value: Any) -> float:
    """Seconds."""
    if value in (0, "0") and value is not False:
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "10s", "8h" or "30d", or "0"')
    return float(match[1]) * _UNITS[match[2]]


def size(value: Any) -> int:
    """Bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size such as "256MiB" or "1GiB", or 0')
    return int(match[1]) * _SIZES[match[2]]


def count(value: Any) -> int:
    """0 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value


def boolean(value: Any) -> bool:
    """Either."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def text(value: Any) -> str:
    """Not empty, on one line."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be a text in quotes, not empty and on one line")
    return value


def path(value: Any) -> str:
    """Absolute."""
    if not isinstance(value, str) or not value.startswith("/") or not value.isprintable():
        raise ValueError('must be an absolute path such as "/var/lib/jobworker"')
    return value.rstrip("/") or "/"


def user(value: Any) -> str:
    """A Unix user's name."""
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise ValueError('must be the name of a Unix user such as "jobworker"')
    return value


def strings(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise ValueError('must be a list such as ["deploy"]')
    return tuple(text(item) for item in value)


def run_as(value: Any) -> tuple[str, ...]:
    """Users, or ``*``."""
    return tuple(item if item == "*" else user(item) for item in strings(value))


def commands(value: Any) -> tuple[str, ...]:
    """Patterns of shell words that begin with an absolute path, a bare name's path, or ``*``."""
    for item in strings(value):
        try:
            words = shlex.split(item)
        except ValueError as error:
            raise ValueError(f"{item!r} cannot be split into words: {error}") from None
        if words != ["*"] and not words[0].startswith("/"):
            raise ValueError(f'{item!r} must begin with an absolute path, or be "*"')
    return tuple(value)


def variables(value: Any) -> tuple[str, ...]:
    """Names of environment variables, each maybe with ``*`` at its end."""
    for item in strings(value):
        if not _VARIABLE.fullmatch(item):
            raise ValueError(f'{item!r} must be a variable\'s name, or the start of one and "*"')
    return tuple(value)


def listen(value: Any) -> tuple[str, ...]:
    """One address or several."""
    addresses = strings(value if isinstance(value, list) else [value])
    for address in addresses:
        match = _LISTEN.fullmatch(address)
        if match is None or int(match[2]) > 65535:
            raise ValueError('must be HOST:PORT such as "127.0.0.1:50051" or "[::1]:50051"')
    if not addresses:
        raise ValueError("must name at least one address")
    return addresses


def one_of(*choices: str) -> Any:
    """A converter for a closed list."""

    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}{suggestion(value, choices)}")
        return str(value)

    return convert


def suggestion(word: Any, known: Any) -> str:
    """The closest of the known words as "; did you mean X?", or nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
