"""One value of the configuration: from TOML to what the dataclasses hold, and what would be right.

Each function takes what tomllib gave and returns the value, or raises ValueError whose text says
what the value must be.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import shlex
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,40})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,19})(B|KiB|MiB|GiB|TiB|)")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+|\*):([0-9]{1,5})")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?")
_PREFIX = re.compile(r"[a-z][a-z0-9+.-]*://[^\s*]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")

_LONGEST = 36500 * 86400.0
_LARGEST = (1 << 63) - 1
_MOST = (1 << 31) - 1


def duration(value: Any) -> float:
    """Seconds."""
    if value in (0, "0") and value is not False:
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "10s", "8h" or "30d", or "0"')
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError('must be at most "36500d"')
    return seconds


def size(value: Any) -> int:
    """Bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size such as "256MiB" or "1GiB", or 0')
    in_bytes = int(match[1]) * _SIZES[match[2]]
    if in_bytes > _LARGEST:
        raise ValueError(f"must be at most {_LARGEST} bytes")
    return in_bytes


def count(value: Any) -> int:
    """0 to 2**31 - 1."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError(f"must be a whole number from 0 to {_MOST}")
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
    if not all(item == "*" or _USER.fullmatch(item) for item in strings(value)):
        raise ValueError('must be the name of a Unix user such as "deploy", or "*", each')
    return tuple(value)


def commands(value: Any) -> tuple[str, ...]:
    """Patterns of shell words that begin with an absolute path, or a lone ``*``."""
    for item in strings(value):
        try:
            words = shlex.split(item)
        except ValueError as error:
            raise ValueError(f"{item!r} cannot be split into words: {error}") from None
        if words != ["*"] and not (words and words[0].startswith("/")):
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
        if match is None or not _is_host(match[1]):
            raise ValueError('must be HOST:PORT such as "127.0.0.1:50051" or "[::1]:50051"')
        if not 0 < int(match[2]) < 65536:
            raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    if not addresses:
        raise ValueError("must name at least one address")
    return addresses


def _is_host(host: str) -> bool:
    """Whether what has the shape of an address is one; names are the resolver's to judge."""
    if not host.startswith("[") and re.search("[^0-9.]", host):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def prefix(value: Any) -> str:
    """The start of a URI."""
    if not isinstance(value, str) or not value.isprintable() or not _PREFIX.fullmatch(value):
        raise ValueError('must be the start of a URI such as "jobworker://", without blanks or *')
    return value


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
