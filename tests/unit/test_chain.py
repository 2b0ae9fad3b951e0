"""The chain: whatever is changed in a commit, or among commits, changes every tip after it; and the sum of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.avro import decode_position, encode_position
from connector.chain import BEGINNING, GONE, Chain, added, contents_of, entries, entry, name_of
from connector.errors import DataError
from connector.ports import Commit, EventRecord, QuarantineRecord, StateRecord
from connector.state import Position

CHAIN = Chain(bytes(32))
EVENTS = tuple(EventRecord("lending", "acc", b"value %d" % n, (("ce_id", b"%d" % n),)) for n in range(3))
COMMIT = Commit(
    shard=0,
    number=7,
    events=EVENTS,
    state=(StateRecord("acc/lending", b"1"), StateRecord("acc/lending/loan/00", None)),
    quarantine=(QuarantineRecord("acc", b"q"), QuarantineRecord("acc", b"r")),
    commands_applied=("c-1", "c-2"),
    epoch="e" * 16,
)
LINKS = (("acc", '{"version":2}'),)


def tip(commit: Commit, links: tuple[tuple[str, str], ...] = LINKS, chain: Chain = CHAIN) -> bytes:
    return chain.extend(Position(6, commit.epoch, b"\x06" * 32), commit, links).tip


CHANGES: dict[str, Callable[[], bytes]] = {
    "another key": lambda: tip(COMMIT, chain=Chain(b"\x01" * 32)),
    "another number": lambda: tip(replace(COMMIT, number=8)),
    "another shard": lambda: tip(replace(COMMIT, shard=1)),
    "another epoch": lambda: tip(replace(COMMIT, epoch="f" * 16)),
    "an event less": lambda: tip(replace(COMMIT, events=EVENTS[:2])),
    "an event doubled": lambda: tip(replace(COMMIT, events=(*EVENTS, EVENTS[2]))),
    "events swapped": lambda: tip(replace(COMMIT, events=EVENTS[::-1])),
    "another value": lambda: tip(replace(COMMIT, events=(replace(EVENTS[0], value=b""), *EVENTS[1:]))),
    "another topic": lambda: tip(replace(COMMIT, events=(replace(EVENTS[0], topic="cards"), *EVENTS[1:]))),
    "another key of an event": lambda: tip(replace(COMMIT, events=(replace(EVENTS[0], key="other"), *EVENTS[1:]))),
    "a header less": lambda: tip(replace(COMMIT, events=(replace(EVENTS[0], headers=()), *EVENTS[1:]))),
    "another state value": lambda: tip(replace(COMMIT, state=(StateRecord("acc/lending", b"2"), COMMIT.state[1]))),
    "a tombstone less": lambda: tip(replace(COMMIT, state=COMMIT.state[:1])),
    "another link": lambda: tip(COMMIT, (("acc", '{"version":3}'),)),
    "no link": lambda: tip(COMMIT, ()),
    "quarantine swapped": lambda: tip(replace(COMMIT, quarantine=COMMIT.quarantine[::-1])),
    "commands joined": lambda: tip(replace(COMMIT, commands_applied=("c-1c-2",))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_another_tip(change: str) -> None:
    assert CHANGES[change]() != tip(COMMIT)


def test_the_same_commit_has_the_same_tip() -> None:
    assert tip(COMMIT) == tip(COMMIT)
    assert len(tip(COMMIT)) == len(BEGINNING)


def test_a_tip_depends_on_all_before_it() -> None:
    contents = contents_of(COMMIT, LINKS)
    assert CHAIN.tip(BEGINNING, 0, 1, "e", contents) != CHAIN.tip(tip(COMMIT), 0, 1, "e", contents)


def test_what_a_commit_wrote_can_be_listed() -> None:
    listed = entries(contents_of(COMMIT, LINKS).state)
    assert [name for name, _ in listed] == [name_of("acc/lending"), name_of("acc/lending/loan/00")]
    assert listed[0] == entries(entry("acc/lending", b"1"))[0]
    assert listed[1][1] == GONE


ROWS = st.dictionaries(st.text(max_size=8), st.binary(max_size=8), max_size=8)


@given(ROWS, ROWS)
def test_the_sum_is_the_same_by_whatever_way_it_came_about(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    total = added(0, *(CHAIN.of_row(key, value) for key, value in before.items()))
    for key, value in before.items():
        total = added(total, -CHAIN.of_row(key, value))
    for key, value in after.items():
        total = added(total, CHAIN.of_row(key, value))
    assert total == added(0, *(CHAIN.of_row(key, value) for key, value in reversed(after.items())))
    if before != after:
        assert total != added(0, *(CHAIN.of_row(key, value) for key, value in before.items()))


@pytest.mark.parametrize("live", [None, 0, (1 << 255) + 3])
def test_a_position_is_read_back_as_it_was(live: int | None) -> None:
    position = Position(9, "e" * 16, b"\x01" * 32, live, "v", 12)
    assert decode_position(encode_position(position)) == position
    with pytest.raises(DataError, match="damaged"):
        decode_position(encode_position(position)[:-1])
