"""The kill report: what the end of a job took, as it goes into the record.

JSON, because the table keeps it as it came: ``signals`` [[signal, time_ns, target]], ``left_in_group``
and ``escapees`` [[pid, name, caught_by]] with their true counts, ``survivors`` [[pid, name, state]],
``nothing_left``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

MAX_NAMED = 64
"""Processes named in a list; beyond, they are counted."""

MAX_SIGNALS = 64


@dataclass(slots=True)
class KillReport:
    """Filled while a job is being ended."""

    signals: list[tuple[int, int, str]] = field(default_factory=list)
    left_in_group: dict[int, tuple[str, str]] = field(default_factory=dict)
    escapees: dict[int, tuple[str, str]] = field(default_factory=dict)
    survivors: list[tuple[int, str, str]] = field(default_factory=list)
    nothing_left: bool = False

    def sent(self, signal: int, target: str) -> None:
        """A signal went to "group", "cgroup" or "escapees" now."""
        if len(self.signals) < MAX_SIGNALS:
            self.signals.append((signal, time.time_ns(), target))

    def to_json(self) -> str:
        """As the module docstring says, at most 32 KiB."""
        return json.dumps(
            {
                "signals": self.signals,
                "left_in_group": _named(self.left_in_group),
                "left_in_group_count": len(self.left_in_group),
                "escapees": _named(self.escapees),
                "escapee_count": len(self.escapees),
                "survivors": self.survivors[:MAX_NAMED],
                "nothing_left": self.nothing_left,
            },
            separators=(",", ":"),
        )


def _named(found: dict[int, tuple[str, str]]) -> list[tuple[int, str, str]]:
    return [(pid, name, caught_by) for pid, (name, caught_by) in list(found.items())[:MAX_NAMED]]
