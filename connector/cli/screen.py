"""Tables and lines on standard output: for a terminal with rules and colour, for a pipe plain and never cut off."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_GAP: Final = "  "
Cell = str | Text


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with 1; that the reader of a pipe has seen enough is no failure.
        raise BrokenPipeError


def console() -> Console:
    """The terminal as it is at the moment; rich honours NO_COLOR and TERM."""
    return _Screen(file=sys.stdout, highlight=False, markup=False, emoji=False)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, whole: Sequence[int] = ()) -> None:
    """A table. `whole` are the columns that are never wrapped: ids that a person will copy."""
    screen = console()
    if not screen.is_terminal:
        _show_plain(headings, [[printable(str(cell)) for cell in row] for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, no_wrap=index in whole, overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in row))
    screen.print(table)


def show_json(value: object) -> None:
    """One JSON document in one line. Decimals are strings, so that no reader makes floats of money."""
    print(printable(json.dumps(value, default=_json, ensure_ascii=False)), flush=True)


def printable(text: str) -> str:
    """`text` with whatever moves a cursor, turns a text round or cannot be seen as a JSON escape (C0, C1, bidi)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _show_plain(headings: Sequence[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[index]) for row in (list(headings), *rows)) for index in range(len(headings))]
    for row in (list(headings), *rows):
        print(PLAIN_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _json(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)
