"""The laws of diff, apply, observe and identity, over states and reads drawn at random."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.diff import Change, apply, diff, visible
from connector.domains.model import Entry, Record, Unreadable
from connector.events import Provenance, Sighting, event_id
from connector.observe import Depth, Known, Read, observe
from connector.state import EntityState
from tests.properties.bank import NEWEST_FIRST, Bank, Line, transaction
from tests.properties.script import Script, kinds, play, scripts

State = dict[str, EntityState]

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def entities(draw: st.DrawFn, name: str, version: int) -> EntityState:
    line = Line(name, draw(st.integers(0, 9)), draw(st.sampled_from(("PENDING", "POSTED"))), draw(st.integers(0, 2)))
    record = transaction(line)
    status = draw(st.sampled_from(("live", "live", "live", "removed", "forgotten")))
    aliases = draw(st.sampled_from(((), ("z",))))
    digest = draw(st.sampled_from((None, b"raw"))) if status == "live" else None
    shown = record if status == "live" else None
    return EntityState(name, version, record.booking_key, shown, status, aliases, digest)


@st.composite
def states(draw: st.DrawFn) -> State:
    return {name: draw(entities(name, draw(st.integers(1, 5)))) for name in NAMES if draw(st.booleans())}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[State, State]:
    """A state and one believed after it: what is forgotten stays so."""
    before = draw(states())
    after: State = {}
    for name in NAMES:
        known = before.get(name)
        if known is not None and known.status == "forgotten":
            after[name] = known
        elif draw(st.booleans()):
            believed = draw(entities(name, known.version if known else 0))
            after[name] = (
                replace(believed, status="removed", record=None) if believed.status == "forgotten" else believed
            )
    return before, after


def seen(state: State) -> dict[str, Record]:
    return {name: record for name, entity in state.items() if (record := visible(entity)) is not None}


# ── diff and apply ──────────────────────────────────────────────────────────────────────────────────────────────────

Diff = Callable[[State, State], tuple[Change, ...]]


def check_nothing_from_nothing(rule: Diff, state: State) -> None:
    assert rule(state, dict(state)) == ()


def check_apply(rule: Diff, pair: tuple[State, State]) -> None:
    before, after = pair
    assert seen(apply(before, rule(before, after))) == seen(after)


def check_fold(rule: Diff, pair: tuple[State, State]) -> None:
    before, after = pair
    fold = seen(before)
    for change in rule(before, after):
        if change.op is not None:
            assert change.record_before == fold.pop(change.after.entity_id, None)
            assert change.after.version == (change.before.version if change.before else 0) + 1
            if change.record_after is not None:
                fold[change.after.entity_id] = change.record_after
    assert fold == seen(after)


def check_order(rule: Diff, pair: tuple[State, State], seed: int) -> None:
    before, after = pair
    names = list(after)
    random.Random(seed).shuffle(names)
    assert rule(before, {name: after[name] for name in names}) == rule(before, after)


@given(states())
def test_a_state_does_not_differ_from_itself(state: State) -> None:
    check_nothing_from_nothing(diff, state)


@given(pairs())
def test_applying_a_difference_gives_the_other_state(pair: tuple[State, State]) -> None:
    check_apply(diff, pair)


@given(pairs())
def test_the_fold_of_the_changes_is_the_other_state_and_versions_have_no_gap(pair: tuple[State, State]) -> None:
    check_fold(diff, pair)


@given(pairs(), st.integers())
def test_the_order_of_the_input_does_not_matter(pair: tuple[State, State], seed: int) -> None:
    check_order(diff, pair, seed)


@given(pairs())
def test_nothing_is_left_to_say_after_applying(pair: tuple[State, State]) -> None:
    before, after = pair
    now = apply(before, diff(before, after))
    assert diff(now, {name: now[name] for name in now}) == ()


def _in_the_order_given(before: State, after: State) -> tuple[Change, ...]:
    changes = {change.after.entity_id: change for change in diff(before, after)}
    given_first = [changes[name] for name in after if name in changes]
    return (*given_first, *(change for name, change in changes.items() if name not in after))


BREAKS: dict[str, Callable[[], None]] = {
    "nothing from nothing": given(states())(
        lambda state: check_nothing_from_nothing(lambda a, b: diff({}, b) if a else (), state)
    ),
    "apply": given(pairs())(lambda pair: check_apply(lambda a, b: diff(a, b)[:-1], pair)),
    "fold": given(pairs())(lambda pair: check_fold(lambda a, b: tuple(c for c in diff(a, b) if c.op != "d"), pair)),
    "versions": given(pairs())(
        lambda pair: check_fold(
            lambda a, b: tuple(replace(c, after=replace(c.after, version=1)) for c in diff(a, b)), pair
        )
    ),
    "order": given(pairs(), st.integers())(lambda pair, seed: check_order(_in_the_order_given, pair, seed)),
}


@pytest.mark.parametrize("law", BREAKS)
def test_a_law_notices_when_it_is_broken(law: str) -> None:
    with pytest.raises(AssertionError):
        BREAKS[law]()


# ── versions and identity ───────────────────────────────────────────────────────────────────────────────────────────


def changes_of(values: list[Record | None]) -> list[Change]:
    """The changes of one entity that takes these values one after the other; None: it is gone."""
    state: State = {}
    changes = []
    for record in values:
        known = state.get("x")
        believed = (
            {} if record is None else {"x": EntityState("x", known.version if known else 0, record.booking_key, record)}
        )
        if known is not None and known.status == "removed" and record is None:
            believed = {"x": known}
        found = diff(state, believed)
        changes += found
        state = apply(state, found)
    return changes


@given(st.lists(st.sampled_from((None, 0, 1, 2)), max_size=12))
def test_versions_of_an_entity_have_no_gap_whatever_it_goes_through(notes: list[int | None]) -> None:
    values = [None if note is None else transaction(Line("x", 1, note=note)) for note in notes]
    changes = changes_of(list(values))
    assert [change.after.version for change in changes] == list(range(1, len(changes) + 1))
    ops = "".join(change.op or "-" for change in changes)
    assert "cc" not in ops.replace("u", "")
    assert "dd" not in ops.replace("u", "")
    assert len({named(("acc", "transactions", "r", "x", change.after.version)) for change in changes}) == len(changes)


def test_there_and_back_are_three_different_events() -> None:
    a, b = transaction(Line("x", 1, note=1)), transaction(Line("x", 1, note=2))
    changes = changes_of([a, b, a])
    assert [(change.op, change.after.version) for change in changes] == [("c", 1), ("u", 2), ("u", 3)]
    assert len({named(("acc", "transactions", "r", "x", change.after.version)) for change in changes}) == 3


def test_an_entity_that_returns_continues_its_versions() -> None:
    a = transaction(Line("x", 1))
    changes = changes_of([a, None, a])
    assert [(change.op, change.after.version) for change in changes] == [("c", 1), ("d", 2), ("c", 3)]


def named(parts: tuple[Any, ...]) -> str:
    """The id of a change by account, domain, resource, entity and version."""
    account, domain, resource, entity_id, version = parts
    source = Provenance("app-session", "bank", "2", "1", "live")
    sighting = Sighting(account, domain, resource, datetime(2026, 6, 1, tzinfo=UTC), "consent", source, "0" * 16)
    return event_id(sighting, entity_id, str(version))


parts = st.tuples(*[st.text(max_size=6)] * 4, st.integers(0, 2**62))


@given(parts, parts)
def test_event_ids_are_as_different_as_what_they_name(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    check_identity(lambda *parts: named(parts), one, other)


def check_identity(rule: Callable[..., str], one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (rule(*one) == rule(*other)) == (one == other)
    assert len(rule(*one)) == 32


@given(parts, st.integers(1, 6))
def test_moving_a_border_between_parts_gives_another_id(one: tuple[str, ...], cut: int) -> None:
    check_border(lambda *parts: named(parts), one, cut)


def check_border(rule: Callable[..., str], one: tuple[str, ...], cut: int) -> None:
    account, domain, *rest = one
    if account:
        moved = (account[:-cut], account[-cut:] + domain, *rest)
        assert rule(*moved) != rule(*one)


def test_the_law_of_identity_notices_parts_without_lengths() -> None:
    def joined(*parts: object) -> str:
        return named(("".join(map(str, parts)), "", "", "", 0))

    @given(parts, st.integers(1, 6))
    def law(one: tuple[str, ...], cut: int) -> None:
        check_border(joined, one, cut)

    with pytest.raises(AssertionError):
        law()


def test_event_ids_are_stable() -> None:
    # printf '\\0\\0\\0\\x10' '0000000000000000' '\\0\\0\\0\\x0b' 'app-session' … | sha256sum
    parts = ["0" * 16, "app-session", "acc", "transactions", "transactions/1", "t1", "1"]
    framed = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    expected = hashlib.sha256(framed).hexdigest()[:32]
    assert named(("acc", "transactions", "transactions/1", "t1", 1)) == expected == "b9987911efb54654b0ac17bbec5077bc"


@settings(max_examples=25)
@given(kinds, scripts)
def test_a_life_lived_again_gives_the_same_events(kind: object, script: Script) -> None:
    once, again = play(kind, script), play(kind, script)  # type: ignore[arg-type]
    assert once.journal.events == again.journal.events
    assert once.entities == again.entities


# ── observe ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(scripts, st.integers())
def test_the_order_of_a_page_does_not_matter_to_what_is_believed(script: Script, seed: int) -> None:
    history, life = script
    bank = Bank(NEWEST_FIRST.feed, history)
    for what, a, b in life:
        if hasattr(bank, what):
            getattr(bank, what)(a, b)
    known = play(NEWEST_FIRST, (history, life[: len(life) // 2])).entities
    entries: list[Entry | Unreadable] = [e for e in bank.feed_entries() if isinstance(e, Entry) or e.key]
    shuffled = random.Random(seed).sample(entries, len(entries))
    for complete in (True, False):
        depth = Depth.RECONCILE if complete else Depth.HEAD
        one = observe(Known(NEWEST_FIRST, known), Read(depth, tuple(entries), complete))
        other = observe(Known(NEWEST_FIRST, known), Read(depth, tuple(shuffled), complete))
        assert one.believed == other.believed
        assert one.suspicion == other.suspicion
        assert one.supersedes == other.supersedes
