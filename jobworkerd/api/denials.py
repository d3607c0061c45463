"""Denials in the journal: who was refused what, at a bounded rate, so that a flood of them hides nothing."""

from __future__ import annotations

import time

from jobworkerd.journal import WARNING, Journal

from .errors import CallError

_A_MINUTE = 60


class Denials:
    """At most 60 entries a minute; the next one says how many were left out."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._window = 0.0
        self._said = 0
        self._left_out = 0

    def say(self, method: str, error: CallError, peer: str) -> None:
        """Writes one entry, or counts it."""
        now = time.monotonic()
        if now - self._window >= 60:
            self._window, self._said = now, 0
        if self._said >= _A_MINUTE:
            self._left_out += 1
            return
        self._said += 1
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        caller = error.metadata.get("caller", "")
        self._journal.event(
            "denied",
            f"{method}: {error.message}",
            WARNING,
            caller=caller,
            peer=peer,
            reason=error.reason,
            **more,
        )
