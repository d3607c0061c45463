"""The rows, and how they are printed."""

from __future__ import annotations

from dataclasses import dataclass

_HEAD = ("measure", "value", "baseline", "ratio", "unit", "target")


@dataclass(frozen=True, slots=True)
class Target:
    """``what`` (ratio or value) shall be ``limit`` at least, or at most."""

    what: str
    limit: float
    at_most: bool = False

    def __str__(self) -> str:
        return f"{self.what} {'<=' if self.at_most else '>='} {self.limit:g}"

    def met(self, number: float) -> bool:
        """Whether that is within it."""
        return number <= self.limit if self.at_most else number >= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. None is shown as a dash; a ``note`` stands where a row could not be measured."""

    name: str
    value: float | None = None
    baseline: float | None = None
    ratio: float | None = None
    unit: str = ""
    target: Target | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """As printed."""
        target = self.note
        if self.target is not None:
            number = self.ratio if self.target.what == "ratio" else self.value
            if number is not None:
                target = f"{self.target}: {'met' if self.target.met(number) else 'missed'}"
        figures = (
            _figure(self.value),
            _figure(self.baseline),
            "-" if self.ratio is None else f"{self.ratio:.2f}",
        )
        return (self.name, *figures, self.unit, target)


def lines(rows: list[Row]) -> list[str]:
    """The table."""
    cells = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    return [
        "  ".join(
            cell.rjust(width) if 1 <= column <= 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _figure(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
