"""Tables of figures as plain text of 80 columns, or as Markdown. Knows nothing of what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import fill

from tests.bench.measure import Spread

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table, cells as texts; `notes` are sentences below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Plain text: the first two columns to the left, figures to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        shown = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        notes = [fill(note, WIDTH, initial_indent="  ", subsequent_indent="  ") for note in self.notes]
        return "\n".join([self.title, *shown, *notes])

    def markdown(self) -> str:
        """A heading and a table."""
        lines = [self.columns, tuple("---:" if place > 1 else "---" for place in range(len(self.columns))), *self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes])


def _aligned(line: tuple[str, ...], widths: list[int]) -> Iterable[str]:
    for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.rjust(width) if place > 1 else cell.ljust(width)


def figure(value: float) -> str:
    """Three significant digits, and whole thousands in full."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def spread(value: Spread) -> str:
    """The median, with the range of the rounds where there were several."""
    if value.low == value.high:
        return figure(value.median)
    return f"{figure(value.median)} ({figure(value.low)}-{figure(value.high)})"


def times(value: Spread) -> str:
    """A ratio."""
    if value.low == value.high:
        return f"{value.median:.2f}x"
    return f"{value.median:.2f}x ({value.low:.2f}-{value.high:.2f})"
