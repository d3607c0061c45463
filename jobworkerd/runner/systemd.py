"""What the runner tells systemd: sd_notify(3), and the watchdog that is fed as long as the loop turns."""

from __future__ import annotations

import os

import sdnotify

from .loop import Loop

_NOT_FOR_CHILDREN = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


class Systemd:
    """The notify socket. Without systemd every call is a no-op (sdnotify's behaviour)."""

    def __init__(self) -> None:
        self.present = "NOTIFY_SOCKET" in os.environ and "INVOCATION_ID" in os.environ
        self._watchdog_seconds = _watchdog_seconds()
        self._notifier = sdnotify.SystemdNotifier()
        for name in _NOT_FOR_CHILDREN:
            os.environ.pop(name, None)

    def feed_watchdog(self, loop: Loop) -> None:
        """Feeds it now and, twice in its period, for ever."""
        if self._watchdog_seconds:
            self._notifier.notify("WATCHDOG=1")
            loop.after(self._watchdog_seconds / 2, lambda: self.feed_watchdog(loop))

    def ready(self, status: str) -> None:
        """The service serves."""
        self._notifier.notify(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line for ``systemctl status``; a newline in it would inject a field."""
        self._notifier.notify(f"STATUS={_one_line(status)}")

    def stopping(self, seconds: float) -> None:
        """The service ends, and needs so long for it."""
        self._notifier.notify(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def _watchdog_seconds() -> float:
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000


def _one_line(text: str) -> str:
    return text.replace("\n", " ").encode("ascii", "backslashreplace").decode()
