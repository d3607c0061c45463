"""Things measured in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable

from .table import Row, Target

COUNT = int(os.environ.get("BENCH_ROUNDS", "5"))


class Broken(Exception):
    """Something did not do what it is measured at."""


def say(text: str) -> None:
    """Progress, to standard error."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def take_turns(what: str, things: dict[str, Callable[[], float]], count: int = COUNT) -> Figures:
    """``count`` rounds of all of them, each in another order.

    What ran just before decides what memory a measure gets: in a fixed order, a file written by the same
    program was seen to take three times as long behind one neighbour as behind another.
    """
    taken: dict[str, list[float]] = {name: [] for name in things}
    for number in range(count):
        at = number // 2 % len(things)
        order = [*list(things)[at:], *list(things)[:at]]
        for name in order if number % 2 == 0 else reversed(order):
            taken[name].append(things[name]())
        last = ", ".join(f"{name} {taken[name][-1]:.4g}" for name in things)
        say(f"{what}: round {number + 1} of {count}: {last}")
    return Figures(taken)


class Figures:
    """Of each thing, one figure a round."""

    def __init__(self, taken: dict[str, list[float]]) -> None:
        self._taken = taken

    def row(self, title: str, name: str, baseline: str, unit: str, target: Target | None = None) -> Row:
        """Of one thing beside another."""
        return Row(title, self.median(name), self.median(baseline), self.ratio(name, baseline), unit, target)

    def median(self, name: str) -> float:
        """Of one thing."""
        return statistics.median(self._taken[name])

    def ratio(self, name: str, baseline: str) -> float:
        """The median of the rounds' ratios: of two figures that were taken side by side."""
        both = zip(self._taken[name], self._taken[baseline], strict=True)
        return statistics.median(ours / theirs for ours, theirs in both)
