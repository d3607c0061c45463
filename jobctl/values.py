"""Words of the command line to values: durations, signals, instants, K=V. ValueError says what is right."""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime, timedelta

_MOST_SECONDS = 100_000 * 86400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SIZES = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_SIZE = re.compile(r"([0-9]{1,6})(B|KiB|MiB|GiB|TiB)?")
_COUNT = re.compile(r"[0-9]{1,18}")


def duration(text: str) -> float:
    """Seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or (match[2] is None and float(match[1]) != 0):
        raise ValueError(f"{text!r} is not a duration such as 10s, 8h or 30d")
    seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if seconds > _MOST_SECONDS:
        raise ValueError(f"{text!r} is more than 100000d")
    return seconds


def size(text: str) -> int:
    """Bytes, from a number and a unit such as 64MiB; 0 alone."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[2] is None and int(match[1])):
        raise ValueError(f"{text!r} is not a size such as 512KiB, 64MiB or 1GiB")
    return int(match[1]) << _SIZES[match[2] or "B"]


def count(text: str) -> int:
    """A whole number, 0 or more, of at most 18 digits."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a number, 0 or more")
    return int(text)


def signal_number(text: str) -> int:
    """1 to 64, from a number or a name with or without SIG."""
    if _COUNT.fullmatch(text) and 1 <= int(text) <= 64:
        return int(text)
    name = text.upper()
    try:
        return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except KeyError:
        raise ValueError(f"{text!r} is not a signal such as TERM, INT or 15") from None


def signal_name(number: int) -> str:
    """As SIGTERM; a number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def instant(text: str) -> datetime:
    """UTC, from RFC 3339 (without offset: UTC) or an age as 7d."""
    match = _DURATION.fullmatch(text)
    if match is not None and match[2]:
        return datetime.now(UTC) - timedelta(seconds=duration(text))
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a time such as 2026-11-24T02:43:00Z nor an age such as 7d"
        ) from None


def pair(text: str) -> tuple[str, str]:
    """K=V."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text!r} is not of the form K=V")
    return key, value
