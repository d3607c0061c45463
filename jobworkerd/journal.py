"""Events, one entry each, to systemd's journal by its native protocol; without a journal, to stderr.

Native, because a newline in a line of text on stdout forges an entry. Never blocks: what the socket
does not take at once is dropped and counted, and the next entry that gets through says how many.
Protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ ; priorities as in syslog(3).
"""

from __future__ import annotations

import codecs
import os
import socket
import struct
import sys

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
_SOCKET = "/run/systemd/journal/socket"
_MAX_VALUE = 4096
codecs.lookup("unicode_escape")  # loaded now: later there may be no descriptor to load it with


class Journal:
    """Where one process says what happened. ``identifier`` becomes SYSLOG_IDENTIFIER."""

    def __init__(self, identifier: str) -> None:
        self._identifier = identifier
        self._dropped = 0
        self._sock = _connect() if _stderr_is_the_journal() else None

    def event(self, event: str, message: str, priority: int = INFO, **fields: str | int) -> None:
        """Writes one entry.

        ``event`` becomes JOBWORKER_EVENT, each of ``fields`` JOBWORKER_<NAME>. Values are cut at 4 KiB.
        """
        named = {f"JOBWORKER_{name.upper()}": str(value) for name, value in fields.items()}
        if self._sock is None:
            self._to_stderr(event, message, named)
            return
        if self._dropped:
            named["JOBWORKER_DROPPED"] = str(self._dropped)
        entry = {
            "MESSAGE": message,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": self._identifier,
            "JOBWORKER_EVENT": event,
            **named,
        }
        try:
            self._sock.send(b"".join(_field(name, value) for name, value in entry.items()))
            self._dropped = 0
        except OSError:
            self._dropped += 1

    def _to_stderr(self, event: str, message: str, fields: dict[str, str]) -> None:
        rest = "".join(
            f" {name.removeprefix('JOBWORKER_').lower()}={printable(value)}" for name, value in fields.items()
        )
        try:
            os.write(2, f"{self._identifier}: {event}: {printable(message)}{rest}\n".encode(errors="replace"))
        except OSError:
            self._dropped += 1


def printable(text: str) -> str:
    """The text on one line: whatever is not printable as a backslash escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def _field(name: str, value: str) -> bytes:
    """One field in the binary form, which any value can be put in."""
    data = value.encode(errors="replace")[:_MAX_VALUE]
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


def _stderr_is_the_journal() -> bool:
    """As systemd.exec(5) says to find out: JOURNAL_STREAM names stderr's device and inode."""
    stat = os.fstat(2) if sys.stderr is not None else None
    return stat is not None and os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _connect() -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.connect(_SOCKET)
    except OSError:
        sock.close()
        return None
    return sock
