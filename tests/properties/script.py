"""Random lives of a bank and its reader, as lists of numbers: easy to draw, to shrink and to replay."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from connector.domains.model import Feed, ResourceKind
from tests.properties.bank import ASCENDING, CHANGES, NEWEST_FIRST, WHOLE, Bank
from tests.properties.reader import Reader, Rules

READS = ("head", "head", "sweep", "sweep", "sweep", "cut_short", "moving_sweep")
Step = tuple[str, int, int]
Script = tuple[int, list[Step]]

steps = st.tuples(st.sampled_from(CHANGES + READS), st.integers(0, 150), st.integers(0, 59))
scripts = st.tuples(st.integers(0, 24), st.lists(steps, min_size=20, max_size=90))
kinds = st.sampled_from((NEWEST_FIRST, NEWEST_FIRST, NEWEST_FIRST, ASCENDING, WHOLE))


def play(kind: ResourceKind, script: Script, rules: Rules | None = None) -> Reader:
    """Live through `script` and hold every read to the laws."""
    history, life = script
    bank = Bank(kind.feed, history)
    reader = Reader(kind, bank, rules or Rules())
    todo = iter(life)
    backfill(reader, bank, todo)
    for what, a, b in todo:
        if what == "head":
            reader.head(a)
        elif what == "sweep":
            reader.sweep()
        elif what == "cut_short":
            reader.cut_short(a)
        elif what == "moving_sweep":
            reader.moving_sweep(partial(getattr(bank, CHANGES[b % len(CHANGES)]), a, b))
        else:
            getattr(bank, what)(a, b)
    reader.check_settled()
    return reader


def backfill(reader: Reader, bank: Bank, todo: object) -> None:
    """The first sync, in chunks, on a bank that changes between them."""
    if reader.kind.feed is Feed.WHOLE:
        reader.backfilled = True
        return
    while reader.backfill_chunk():
        what, a, b = next(todo, ("sweep", 0, 0))  # type: ignore[call-overload]
        if what in CHANGES:
            getattr(bank, what)(a, b)
