"""What a read proves, by example."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from connector.diff import diff
from connector.domains.model import BookingKey, Record
from connector.domains.transactions import BalanceChain
from connector.observe import (
    MASS_ENTRIES,
    Break,
    Depth,
    Known,
    Read,
    Suspicion,
    Trust,
    find_break,
    moved_while_paging,
    observe,
)
from connector.state import EntityState
from tests.unit.feed import KIND, POINTS, Resource, entries, entry, head, known, line, state, sweep, unreadable

A, B, C = line("a", 1), line("b", 2), line("c", 3)

# ── Absence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_is_removed_after_two_complete_reads_without_it() -> None:
    resource = Resource(known(A, B))
    assert resource.read(sweep(B))[0] == []
    assert resource.read(sweep(B))[0] == [("d", "a")]
    assert resource.read(sweep(B))[0] == []


@pytest.mark.parametrize(
    "between",
    [
        sweep(B, A),
        head(B, A),
        replace(sweep(B, A), complete=False),
        sweep(B, unreadable("x", "a")),
        sweep(unreadable("y"), A),
    ],
)
def test_a_read_that_shows_it_begins_the_count_again(between: Read) -> None:
    resource = Resource(known(A, B))
    resource.read(sweep(B))
    resource.read(between)
    assert resource.read(sweep(B))[0] == []
    assert resource.read(sweep(B))[0] == [("d", "a")]


@pytest.mark.parametrize("read", [head(B), replace(sweep(B), complete=False), replace(sweep(B), depth=Depth.BACKFILL)])
def test_a_partial_read_proves_no_absence_and_forgets_none(read: Read) -> None:
    resource = Resource(known(A, B))
    for _ in range(3):
        assert resource.read(read)[0] == []
    resource.read(sweep(B))
    resource.read(read)
    assert resource.read(sweep(B))[0] == [("d", "a")]


def test_what_is_below_the_read_is_not_absent() -> None:
    resource = Resource(known(A, B))
    for _ in range(3):
        assert resource.read(sweep(B, lower=B.booking_key))[0] == []


def test_an_entry_that_returns_is_created_again_under_its_next_version() -> None:
    resource = Resource(known(A, B))
    resource.read(sweep(B))
    resource.read(sweep(B))
    assert resource.read(head(B, A))[0] == [("c", "a")]
    assert resource.known.entities["a"].version == 3


def test_a_snapshot_obeys_the_same_rule() -> None:
    resource = Resource(known(A, B))
    whole = Read(Depth.WHOLE, entries(B), complete=True)
    assert resource.read(whole)[0] == []
    assert resource.read(whole)[0] == [("d", "a")]


def test_a_snapshot_takes_many_new_parts_whose_keys_are_older_than_others() -> None:
    """A loan of many instalments, while another one ends later."""
    parts = [line(f"p{number:02d}", number) for number in range(40)]
    whole = replace(known(C).kind, window=None)
    facts = replace(known(*parts[:2], C), kind=whole, joined_to=BookingKey(2**62, "z"))
    seen = observe(facts, Read(Depth.WHOLE, entries(C, *parts), complete=True))
    assert seen.suspicion.held is None
    assert len(seen.believed) == 41
    # The same number in a feed is what a renumbering looks like.
    feed = observe(replace(facts, kind=known(C).kind), sweep(C, *parts))
    assert feed.suspicion.held == "mass_creation"


# ── A removal too big to believe ────────────────────────────────────────────────────────────────────────────────────

MANY = [line(f"n{number:03d}", number) for number in range(60)]


def test_a_read_in_which_too_much_vanished_removes_nothing() -> None:
    resource = Resource(known(*MANY))
    for _ in range(4):
        events, seen = resource.read(sweep(*MANY[MASS_ENTRIES + 1 :]))
        assert events == []
        assert (seen.suspicion.held, seen.suspicion.held_count) == ("mass_removal", MASS_ENTRIES + 1)
        assert not seen.complete


def test_an_operator_may_say_that_it_is_real_and_still_two_reads_are_needed() -> None:
    resource = Resource(known(*MANY))
    rest = sweep(*MANY[30:])
    assert resource.read(rest, Trust(entries=30))[0] == []
    events, seen = resource.read(rest, Trust(entries=30))
    assert events == [("d", record.entity_id) for record in MANY[:30]]
    assert seen.suspicion.held is None


@pytest.mark.parametrize(("total", "gone"), [(60, 20), (100, 30), (21, 20), (70, 21)])
def test_at_the_limits_a_removal_is_believed(total: int, gone: int) -> None:
    all_of_them = [line(f"n{number:03d}", number) for number in range(total)]
    resource = Resource(known(*all_of_them))
    resource.read(sweep(*all_of_them[gone:]))
    assert len(resource.read(sweep(*all_of_them[gone:]))[0]) == gone


def test_what_a_guarded_read_shows_is_believed_all_the_same() -> None:
    resource = Resource(known(*MANY))
    fresh = line("fresh", 100)
    assert resource.read(sweep(fresh, *MANY[40:]))[0] == [("c", "fresh")]


# ── Entries that cannot be read ─────────────────────────────────────────────────────────────────────────────────────


def test_one_that_cannot_be_read_is_quarantined_once() -> None:
    resource = Resource(known(A))
    bad = unreadable("raw", "b", B.booking_key)
    assert resource.read(sweep(bad, A))[1].quarantined == (bad,)
    for read in (sweep(bad, A), head(bad), sweep(A, bad)):
        events, seen = resource.read(read)
        assert events == []
        assert seen.quarantined == ()
    other = unreadable("raw, changed", "b", B.booking_key)
    assert resource.read(sweep(other, A))[1].quarantined == (other,)


def test_once_readable_it_is_created() -> None:
    resource = Resource(known(A))
    resource.read(sweep(unreadable("raw", "b"), A))
    assert resource.known.entities["b"].version == 0
    assert resource.read(sweep(B, A))[0] == [("c", "b")]
    assert resource.known.entities["b"].unreadable_digest is None


def test_a_known_entry_that_becomes_unreadable_stays_as_it_was_and_counts_as_present() -> None:
    resource = Resource(known(A, B))
    bad = unreadable("raw", "a")
    for _ in range(3):
        assert resource.read(sweep(B, bad))[0] == []
    assert resource.known.entities["a"].record == A
    assert not resource.known.entities["a"].settled
    changed = replace(A, amount=Decimal("-2.00"))
    assert resource.read(sweep(B, changed))[0] == [("u", "a")]


def test_with_an_unreadable_id_no_absence_is_proven() -> None:
    resource = Resource(known(A, B))
    nameless = unreadable("raw")
    for _ in range(3):
        events, seen = resource.read(sweep(B, nameless))
        assert events == []
        assert not seen.complete
    assert len(seen.quarantined) == 0
    resource.read(sweep(B))
    assert resource.read(sweep(B))[0] == [("d", "a")]


def test_an_entry_without_a_key_stands_beside_its_neighbour() -> None:
    resource = Resource(known())
    resource.read(head(unreadable("first"), B, unreadable("second", "x"), A))
    assert resource.known.entities["x"].key == B.booking_key
    (first,) = (entity for name, entity in resource.known.entities.items() if name.startswith("?"))
    assert first.key == B.booking_key


def test_where_one_stands_that_could_never_be_read_is_learnt_from_the_next_read() -> None:
    bad = unreadable("raw", "b", B.booking_key)
    aside = EntityState("b", 0, BookingKey(0, ""), None, unreadable_digest=bad.raw_digest)
    resource = Resource(known(A, aside))
    events, seen = resource.read(sweep(bad, A))
    assert (events, seen.quarantined) == ([], ())
    assert resource.known.entities["b"].key == B.booking_key


def test_the_raw_form_of_a_nameless_entry_leaves_state_with_the_feed() -> None:
    resource = Resource(known(A))
    for number in range(20):
        assert resource.read(sweep(A, unreadable(f"form {number}")))[0] == []
    live = [entity for entity in resource.known.entities.values() if entity.status == "live"]
    assert len(live) <= 3


def test_a_removed_entry_that_returns_unreadable_keeps_version_and_aliases() -> None:
    gone = EntityState("a", 4, A.booking_key, None, "removed", ("z",))
    resource = Resource(known(gone))
    assert resource.read(sweep(unreadable("raw", "z")))[0] == []
    assert resource.known.entities["a"].version == 4
    assert resource.read(sweep(replace(A, transaction_id="z")))[0] == [("c", "a")]


# ── Pending and posted ──────────────────────────────────────────────────────────────────────────────────────────────

PENDING = line("p", 1, status="PENDING")
POSTED = line("q", 1, replaces="p")
AMENDED = line("r", 1, replaces="q")


def test_a_posting_that_replaces_a_pending_entry_is_one_entity_changing() -> None:
    resource = Resource(known(PENDING))
    events, seen = resource.read(sweep(POSTED))
    assert events == [("u", "p")]
    assert seen.supersedes == {"p": "p"}
    assert resource.known.entities["p"].aliases == ("q",)
    assert resource.read(sweep(POSTED))[0] == []
    events, seen = resource.read(sweep(AMENDED))
    assert events == [("u", "p")]
    assert seen.supersedes == {"p": "q"}
    assert resource.known.entities["p"].aliases == ("q", "r")
    assert resource.known.entities["p"].version == 3


def test_without_replaces_they_are_two() -> None:
    resource = Resource(known(PENDING))
    assert resource.read(sweep(replace(POSTED, replaces=None)))[0] == [("c", "q")]
    assert resource.read(sweep(replace(POSTED, replaces=None)))[0] == [("d", "p")]


@pytest.mark.parametrize("shown", [(POSTED, PENDING), (PENDING, POSTED)])
@pytest.mark.parametrize("before", [(), (PENDING,)])
def test_of_a_pending_entry_and_its_posting_shown_together_the_posting_speaks(
    before: tuple[Record, ...], shown: tuple[Record, ...]
) -> None:
    resource = Resource(known(*before))
    events, _seen = resource.read(sweep(*shown))
    assert len(events) == 1
    for read in (sweep(*shown), head(*shown), head(PENDING), sweep(*shown[::-1])):
        assert resource.read(read)[0] == []
    (entity,) = resource.known.entities.values()
    assert entity.record == POSTED


def test_a_chunk_that_shows_the_pending_entry_later_changes_nothing() -> None:
    resource = Resource(replace(known(), backfilled=False))
    assert resource.read(Read(Depth.BACKFILL, entries(POSTED), complete=False))[0] == [("c", "q")]
    assert resource.read(Read(Depth.BACKFILL, entries(PENDING), complete=True))[0] == []


@pytest.mark.parametrize("shown", [(AMENDED, POSTED, PENDING), (PENDING, AMENDED, POSTED), (POSTED, AMENDED)])
@pytest.mark.parametrize("before", [(), (PENDING,), (state(POSTED, 2, "q", entity_id="p"),)])
def test_the_end_of_a_chain_speaks(before: tuple[Any, ...], shown: tuple[Record, ...]) -> None:
    resource = Resource(known(*before))
    assert len(resource.read(sweep(*shown))[0]) == 1
    assert [entity.record for entity in resource.known.entities.values()] == [AMENDED]
    assert resource.read(sweep(*shown[::-1]))[0] == []


def test_the_bank_may_take_a_posting_back() -> None:
    resource = Resource(known(state(POSTED, 2, "q", entity_id="p")))
    assert resource.read(head(PENDING))[0] == []
    assert resource.read(sweep(PENDING))[0] == [("u", "p")]


def test_two_postings_of_one_pending_entry_are_both_kept() -> None:
    other = line("s", 1, amount="-3.00", replaces="p")
    resource = Resource(known(PENDING))
    assert sorted(resource.read(sweep(POSTED, other))[0]) == [("c", "s"), ("u", "p")]
    assert resource.read(sweep(other, POSTED))[0] == []


def test_a_second_posting_that_went_on_under_a_third_id_loses_neither() -> None:
    other, onward = line("s", 1, replaces="p"), line("t", 1, replaces="s")
    resource = Resource(known(state(POSTED, 2, "q", "s", entity_id="p")))
    assert resource.read(sweep(POSTED, other, onward))[0] == [("c", "t")]
    assert resource.read(sweep(onward, other, POSTED))[0] == []


def test_ids_that_replace_each_other_in_a_circle_lose_nothing() -> None:
    one, two = line("x", 1, replaces="y"), line("y", 1, replaces="x")
    resource = Resource(known())
    assert resource.read(sweep(one, two))[0] == [("c", "x"), ("c", "y")]
    assert resource.read(sweep(two, one))[0] == []


def test_a_posting_that_was_unreadable_at_first_still_takes_over() -> None:
    resource = Resource(known(PENDING))
    resource.read(head(unreadable("raw", "q")))
    assert resource.read(sweep(POSTED))[0] == [("u", "p")]
    assert resource.read(sweep(POSTED))[0] == []


# ── Floor ───────────────────────────────────────────────────────────────────────────────────────────────────────────

FLOOR = B.booking_key


def test_an_entry_at_or_below_the_floor_is_told_of_once_and_never_created() -> None:
    resource = Resource(known(C, floor=FLOOR))
    events, seen = resource.read(sweep(C, B, A))
    assert events == []
    assert seen.below_floor == ("b", "a")
    assert resource.known.entities["a"].status == "forgotten"
    for read in (sweep(C, B, A), head(C, B, A), sweep(C, B, replace(A, amount=Decimal("-9.00")))):
        events, seen = resource.read(read)
        assert events == []
        assert seen.below_floor == ()


def test_the_first_sweep_adopts_what_the_backfill_forgot() -> None:
    resource = Resource(known(C, floor=FLOOR, swept=False))
    events, seen = resource.read(sweep(C, unreadable("raw", "b", B.booking_key), A))
    assert (events, seen.below_floor, seen.quarantined) == ([], (), ())
    resource.known = replace(resource.known, swept=True)
    assert resource.read(sweep(C, B, A))[1].below_floor == ()


def test_below_the_bounds_of_the_read_nothing_is_said_of_an_unknown_entry() -> None:
    seen = observe(known(C, floor=FLOOR), sweep(C, B, A, lower=B.booking_key))
    assert seen.below_floor == ("b",)
    assert "a" not in seen.believed


def test_an_unsettled_entry_below_the_floor_is_followed() -> None:
    resource = Resource(known(C, replace(A, status="PENDING"), floor=FLOOR))
    assert resource.read(sweep(C, A))[0] == [("u", "a")]


def test_a_backfill_goes_on_below_its_bound_only() -> None:
    facts = {"floor": FLOOR, "bound": B.booking_key, "backfilled": False, "swept": False}
    late = replace(B, transaction_id="b2")
    assert late.booking_key > B.booking_key
    seen = observe(
        known(C, **{**facts, "floor": late.booking_key}), Read(Depth.BACKFILL, entries(late, A), complete=False)
    )
    assert [change.after.entity_id for change in diff({}, seen.believed) if change.op == "c"] == ["a", "c"]
    assert seen.below_floor == ()


def test_an_ascending_backfill_takes_up_nothing_below_the_floor() -> None:
    ascending = Known(POINTS, {}, floor=BookingKey(10, ""), backfilled=False)
    assert not ascending.creatable(BookingKey(9, ""))
    assert not ascending.creatable(BookingKey(10, ""))
    assert ascending.creatable(BookingKey(11, ""))


def test_a_forgotten_entity_is_silent_under_all_its_names() -> None:
    gone = EntityState("p", 3, PENDING.booking_key, None, "forgotten", ("q",))
    resource = Resource(known(C, gone, floor=C.booking_key))
    for shown in ((PENDING,), (POSTED,), (POSTED, PENDING), (unreadable("raw", "q"),)):
        events, seen = resource.read(head(C, *shown))
        assert (events, seen.below_floor, seen.quarantined) == ([], (), ())


def test_a_second_posting_of_a_forgotten_entity_is_judged_by_its_own_place() -> None:
    gone = EntityState("p", 3, PENDING.booking_key, None, "forgotten", ("q",))
    resource = Resource(known(C, gone, floor=C.booking_key, backfilled=False, bound=C.booking_key))
    other = line("s", 1, replaces="p")
    assert resource.read(Read(Depth.BACKFILL, entries(other), complete=False))[0] == [("c", "s")]
    resource = Resource(known(C, gone, floor=C.booking_key))
    assert resource.read(sweep(C, other))[1].below_floor == ("s",)


# ── A feed that moves ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_shown_twice_is_fine_unless_its_content_differs() -> None:
    shifted = entry(replace(A, balance_after=Decimal("5.00")))
    assert not moved_while_paging(entries(B, A, A))
    assert moved_while_paging(entries(B, A, replace(A, amount=Decimal("-2.00"))))
    assert moved_while_paging(entries(B, A, shifted))
    assert moved_while_paging(entries(B, A, unreadable("raw", "a")))
    assert not moved_while_paging(entries(unreadable("raw"), unreadable("raw"), unreadable("other")))


# ── The balance chain ───────────────────────────────────────────────────────────────────────────────────────────────


def chain(*balances: str, shift: str = "0") -> list[Any]:
    """Posted lines, newest first, each of -1.00."""
    amounts = [str(Decimal(balance) + Decimal(shift)) for balance in balances]
    lines = [line(f"x{number}", number, balance=balance) for number, balance in enumerate(amounts)]
    return lines[::-1]


WHOLE = chain("100", "99", "98")
BROKEN = chain("100", "99", "90")


def test_a_break_is_believed_after_two_reads_and_heals_after_one() -> None:
    resource = Resource(known())
    assert ("c", ":balance-chain") not in resource.read(sweep(*BROKEN))[0]
    assert resource.known.suspicion.chain is not None
    assert resource.read(sweep(*BROKEN))[0] == [("c", ":balance-chain")]
    record = resource.known.entities[":balance-chain"].record
    assert record == BalanceChain(WHOLE[0].iban, "BROKEN", "x1", "x2", Decimal("98.00"), Decimal("90.00"))
    assert resource.read(sweep(*BROKEN))[0] == []
    assert resource.read(sweep(*WHOLE))[0] == [("u", ":balance-chain")]
    assert resource.known.entities[":balance-chain"].record == replace(
        record,
        status="WHOLE",
        older_transaction_id=None,
        newer_transaction_id=None,
        expected_balance=None,
        stated_balance=None,
    )
    assert resource.read(sweep(*WHOLE))[0] == []


def test_another_break_in_the_second_read_confirms_nothing() -> None:
    resource = Resource(known())
    resource.read(sweep(*BROKEN))
    assert ("c", ":balance-chain") not in resource.read(sweep(*chain("100", "90", "89")))[0]
    assert ("c", ":balance-chain") not in resource.read(sweep(*WHOLE))[0]
    assert resource.known.suspicion == Suspicion()


def test_a_partial_read_says_nothing_about_the_chain() -> None:
    resource = Resource(known(*BROKEN))
    for _ in range(3):
        assert resource.read(head(*BROKEN))[0] == []


def test_a_back_dated_entry_shifts_every_balance_and_changes_no_entry() -> None:
    resource = Resource(known(*WHOLE))
    late = line("late", 0.5, balance="90", amount="-10")
    shifted = chain("100", "89", "88")
    assert resource.read(sweep(*shifted[:2], late, shifted[2]))[0] == [("c", "late")]
    assert resource.known.suspicion == Suspicion()


@pytest.mark.parametrize(
    "gap",
    [unreadable("raw", "x1"), line("x1", 1, status="UNKNOWN", balance="50"), line("x1", 1)],
)
def test_across_an_entry_that_cannot_be_told_the_chain_is_unproven(gap: Any) -> None:
    found, proven = find_break(entries(BROKEN[0], gap, BROKEN[2]))
    assert found is None
    assert not proven
    resource = Resource(known())
    resource.read(sweep(*BROKEN))
    resource.read(sweep(*BROKEN))
    assert ("u", ":balance-chain") not in resource.read(sweep(BROKEN[0], gap, BROKEN[2]))[0]


def test_pending_and_reversed_entries_are_skipped() -> None:
    between = [line("y", 1.5, status="PENDING"), line("z", 1.6, status="REVERSED")]
    assert find_break(entries(WHOLE[0], *between, *WHOLE[1:])) == (None, True)
    found, _proven = find_break(entries(BROKEN[0], *between, *BROKEN[1:]))
    assert found == Break(WHOLE[0].iban, "x1", "x2", Decimal("98.00"), Decimal("90.00"))


def test_an_entry_that_two_pages_share_breaks_nothing() -> None:
    assert find_break(entries(*WHOLE[:2], *WHOLE)) == (None, True)
    assert find_break(entries(WHOLE[0], *WHOLE)) == (None, True)


def test_a_resource_without_a_chain_has_none() -> None:
    plain = replace(known(), kind=replace(KIND, balance_chain=False))
    resource = Resource(plain)
    for _ in range(3):
        assert all(entity != ":balance-chain" for _op, entity in resource.read(sweep(*BROKEN))[0])


def test_an_id_that_is_given_a_second_time_is_another_entity() -> None:
    """A pending line is posted under another id, and its own comes up again as a later line, beside its successor."""
    resource = Resource(known(line("p1", 1, status="PENDING")))
    posted, later = line("t1", 1, replaces="p1"), line("p1", 5, amount="-7.00")
    assert resource.read(sweep(posted))[0] == [("u", "p1")]
    assert resource.read(head(later, posted))[0] == [("c", ":again/p1")]
    assert resource.read(sweep(later, posted))[0] == []
    assert resource.read(head(later))[0] == []
    amended = line("p1", 5, amount="-8.00")
    assert resource.read(sweep(amended, posted))[0] == [("u", ":again/p1")]
    assert resource.known.entities["p1"].record == posted
    assert resource.read(sweep(posted))[0] == []
    assert resource.read(sweep(posted))[0] == [("d", ":again/p1")]
