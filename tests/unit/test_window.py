"""Window, floor and bounds, by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from connector.domains.model import BookingKey, Record, micros
from connector.domains.transactions import BalanceChain
from connector.state import EntityState
from connector.window import MAXIMUM_REMOVED, day_start, karachi_day, let_go, lower_bound, served_from
from tests.golden.samples import BROKEN, POINTS
from tests.unit.feed import KIND, START, VOUCHERS, line, state
from tests.unit.feed import POINTS as POINTS_KIND

DAY = 24
Entities = dict[str, EntityState]


def daily(count: int, *, step: float = DAY, status: str = "POSTED") -> list[Record]:
    """Newest first, one every `step` hours."""
    return [line(f"n{number:04d}", -number * step, status=status) for number in range(count)]


def entities(*records: Record | EntityState) -> Entities:
    states = [record if isinstance(record, EntityState) else state(record) for record in records]
    return {one.entity_id: one for one in states}


def live(left: Entities) -> set[str]:
    return {name for name, entity in left.items() if entity.status == "live"}


def test_at_least_fifty_are_kept_whatever_their_age() -> None:
    kept = let_go(KIND, None, entities(*daily(50)))
    assert kept.floor is None
    assert len(kept.entities) == 50


def test_beyond_fifty_only_the_last_35_days_are_kept() -> None:
    records = daily(60)
    kept = let_go(KIND, None, entities(*records))
    assert live(kept.entities) == {record.entity_id for record in records[:50]}
    assert kept.floor == records[50].booking_key
    dense = daily(200, step=6)
    kept = let_go(KIND, None, entities(*dense))
    assert len(live(kept.entities)) == 35 * 4 + 1
    assert kept.floor == dense[141].booking_key


def test_at_most_five_hundred_are_kept() -> None:
    records = daily(520, step=0.1)
    kept = let_go(KIND, None, entities(*records))
    assert len(live(kept.entities)) == 500
    assert kept.floor == records[500].booking_key


def test_the_unsettled_are_kept_whatever_their_age_until_the_bank_serves_them_no_more() -> None:
    settled = daily(60)
    old = line("old", -399 * DAY, status="PENDING")
    ancient = line("ancient", -401 * DAY, status="PENDING")
    bad = replace(state(line("bad", -300 * DAY)), unreadable_digest=b"raw")
    kept = let_go(KIND, None, entities(*settled, old, ancient, bad))
    assert {"old", "bad"} <= live(kept.entities)
    assert "ancient" not in kept.entities


def test_the_unsettled_do_not_use_up_the_window() -> None:
    pending = [line(f"p{number}", 1, status="PENDING") for number in range(600)]
    kept = let_go(KIND, None, entities(*daily(50), *pending))
    assert len(live(kept.entities)) == 650


def test_what_is_let_go_within_the_bounds_of_reads_leaves_a_mark() -> None:
    records = daily(60)
    old = line("old", -55 * DAY, status="PENDING")
    kept = let_go(KIND, None, entities(*records, old))
    marks = {name for name, entity in kept.entities.items() if entity.status == "forgotten"}
    assert marks == {record.entity_id for record in records[50:56]}
    assert {entity.entity_id for entity in kept.rewritten} == marks
    assert set(kept.dropped) == {record.entity_id for record in records[56:]}
    assert all(kept.entities[name].record is None for name in marks)
    # Once the old one has settled, neither it nor the marks are within the bounds of reads.
    settled = {**kept.entities, "old": state(replace(old, status="POSTED"), 2)}
    after = let_go(KIND, kept.floor, settled)
    assert set(after.entities) == {record.entity_id for record in records[:51]}
    assert after.entities[records[50].entity_id].status == "forgotten"


def test_what_one_read_did_not_show_stays_until_another_has_confirmed_it() -> None:
    """After a long outage the window moves far in one read: a removal it first sees there must not slip out of it."""
    records = daily(60)
    missing = records[58].entity_id
    assert missing not in let_go(KIND, None, entities(*records)).entities
    kept = let_go(KIND, None, entities(*records), {missing})
    assert missing in live(kept.entities)
    bound = lower_bound(KIND, kept.floor, kept.entities.values())
    assert bound is not None
    assert bound <= records[58].booking_key, "the next complete read covers it"
    after = let_go(KIND, kept.floor, kept.entities)
    assert missing not in live(after.entities)


def test_a_removed_entry_is_remembered_while_reads_cover_it() -> None:
    records = daily(60)
    gone = replace(state(records[3]), status="removed", record=None)
    kept = let_go(KIND, None, {**entities(*records), gone.entity_id: gone})
    assert kept.entities[gone.entity_id] == gone
    below = EntityState("below", 2, line("below", -58 * DAY).booking_key, None, "removed")
    few = let_go(KIND, kept.floor, {**entities(*records[:10]), "below": below})
    assert "below" not in few.entities


def test_the_floor_only_rises() -> None:
    first = let_go(KIND, None, entities(*daily(60)))
    assert first.floor is not None
    again = let_go(KIND, first.floor, entities(*daily(10)))
    assert again.floor == first.floor
    narrower = replace(KIND, window=replace(KIND.window, minimum_entries=5, days=5))  # type: ignore[type-var]
    risen = let_go(narrower, first.floor, first.entities)
    assert risen.floor is not None
    assert risen.floor > first.floor
    assert let_go(KIND, risen.floor, risen.entities).floor == risen.floor


def test_letting_go_twice_lets_go_of_nothing_more() -> None:
    once = let_go(KIND, None, entities(*daily(80), line("old", -70 * DAY, status="PENDING")))
    twice = let_go(KIND, once.floor, once.entities)
    assert twice.entities == once.entities
    assert (twice.rewritten, twice.dropped) == ((), ())


def test_the_balance_chain_is_never_let_go_and_moves_no_bound() -> None:
    kept = let_go(KIND, None, entities(*daily(60), BROKEN))
    assert BalanceChain.ENTITY_ID in kept.entities
    assert kept.floor == daily(60)[50].booking_key
    assert lower_bound(KIND, kept.floor, [state(BROKEN)]) == day_start(karachi_day(kept.floor))


def test_an_ascending_ledger_counts_entries_not_days() -> None:
    points = [replace(POINTS, entry_id=number) for number in range(1, 601)]
    kept = let_go(POINTS_KIND, None, entities(*points))
    assert kept.floor == BookingKey(100, "")
    assert len(kept.entities) == 500
    assert lower_bound(POINTS_KIND, kept.floor, kept.entities.values()) == BookingKey(101, "")


def test_a_snapshot_remembers_the_versions_of_what_was_removed_last() -> None:
    gone = [EntityState(f"g{n:04d}", 2, BookingKey(n, ""), None, "removed") for n in range(MAXIMUM_REMOVED + 5)]
    kept = let_go(VOUCHERS, None, entities(line("here"), *gone))
    assert set(kept.dropped) == {f"g{number:04d}" for number in range(5)}
    assert kept.floor is None


def test_without_a_floor_a_read_covers_the_whole_feed() -> None:
    assert lower_bound(KIND, None, [state(line("a"))]) is None


def test_the_bound_is_the_start_of_the_banks_day_of_whatever_is_oldest() -> None:
    floor = line("f", 0).booking_key
    late_evening = line("e", -13)  # 18:00 UTC is 23:00 in Karachi, the day before
    bound = lower_bound(KIND, floor, [state(late_evening)])
    assert bound == BookingKey(micros(datetime(2026, 2, 27, 19, tzinfo=UTC)), "")
    assert lower_bound(KIND, floor, []) == BookingKey(micros(datetime(2026, 2, 28, 19, tzinfo=UTC)), "")


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 2, 28, 18, 59, 59, 999999, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 2, 28, 19, 0, tzinfo=UTC), date(2026, 3, 1)),
    ],
)
def test_days_are_the_banks(instant: datetime, day: date) -> None:
    key = BookingKey(micros(instant), "x")
    assert karachi_day(key) == day
    assert day_start(day) <= key < day_start(day + timedelta(days=1))


def test_no_read_may_claim_the_absence_of_what_the_bank_may_have_stopped_serving() -> None:
    assert served_from(KIND, START) == BookingKey(micros(START - timedelta(days=399)), "")
    assert served_from(POINTS_KIND, START) is None
    assert served_from(VOUCHERS, START) is None
