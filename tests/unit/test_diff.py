"""Changes, by example."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from connector.diff import Change, apply, diff, visible
from connector.state import EntityState
from tests.unit.feed import line, state

A, B = line("a", 1), line("b", 2)


def test_created_updated_removed_in_the_order_of_booking_keys() -> None:
    changed = replace(B, amount=Decimal("-5.00"))
    c = line("c", 3)
    before = {"a": state(A, 4), "b": state(B, 2)}
    changes = diff(before, {"c": state(c, 0), "b": state(changed, 2)})
    assert [(change.op, change.after.entity_id, change.after.version) for change in changes] == [
        ("d", "a", 5),
        ("u", "b", 3),
        ("c", "c", 1),
    ]
    removed, updated, created = changes
    assert (removed.record_before, removed.record_after, removed.changed) == (A, None, ())
    assert (updated.record_before, updated.record_after, updated.changed) == (B, changed, ("amount",))
    assert (created.record_before, created.record_after, created.changed) == (None, c, ())
    assert apply(before, changes)["a"].status == "removed"


def test_a_running_balance_is_no_change_and_the_committed_form_stays() -> None:
    shifted = replace(A, balance_after=Decimal("7.00"))
    before = {"a": state(A, 2)}
    assert diff(before, {"a": state(shifted, 2)}) == ()
    (change,) = diff(before, {"a": replace(state(shifted, 2), aliases=("z",))})
    assert change.op is None
    assert change.after.record is not None
    assert change.after.record.balance_after is None  # type: ignore[attr-defined]


def test_what_only_we_remember_is_no_event() -> None:
    quarantined = replace(state(A, 2), unreadable_digest=b"raw")
    (change,) = diff({"a": state(A, 2)}, {"a": quarantined})
    assert (change.op, change.after) == (None, quarantined)
    (first,) = diff({}, {"x": EntityState("x", 0, A.booking_key, None, unreadable_digest=b"raw")})
    assert (first.op, first.after.version) == (None, 0)


def test_the_removal_of_what_consumers_never_saw_is_no_event() -> None:
    never = EntityState("x", 0, A.booking_key, None, unreadable_digest=b"raw")
    (change,) = diff({"x": never}, {})
    assert (change.op, change.after.status, change.after.version) == (None, "removed", 0)


def test_an_entity_believed_removed_is_a_removal() -> None:
    gone = replace(state(A, 2), status="removed", record=None)
    (change,) = diff({"a": state(A, 2)}, {"a": gone})
    assert (change.op, change.after.version) == ("d", 3)
    assert diff({"a": gone}, {"a": gone}) == ()


def test_a_return_continues_the_versions_and_keeps_the_aliases() -> None:
    gone = EntityState("a", 3, A.booking_key, None, "removed", ("z",))
    (change,) = diff({"a": gone}, {"a": replace(state(A, 3), aliases=("z",))})
    assert (change.op, change.after.version, change.after.aliases) == ("c", 4, ("z",))
    assert change.record_before is None


def test_only_what_is_there_is_visible() -> None:
    assert visible(None) is None
    assert visible(state(A)) == A
    assert visible(replace(state(A), status="removed")) is None
    assert visible(EntityState("a", 1, A.booking_key, None, "forgotten")) is None


def test_changes_belong_where_they_are_now() -> None:
    assert Change("c", None, state(A)).key == A.booking_key
