"""Laws of cadence: waits within their bounds, monotone in quietness, one read for each slot, text that reads back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.cadence import (
    LIVE,
    Bounds,
    DailySnapshot,
    Intervals,
    Live,
    Off,
    PastReads,
    PeriodicSnapshot,
    next_pace,
    next_slot,
    next_turn,
    parse_mode,
)

DAY = timedelta(days=1)
TOLERANCE = timedelta(microseconds=2)

instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
shares = st.floats(0.0, 1.0, exclude_max=True)
bounds = st.builds(Bounds, st.floats(0.01, 1.0), st.floats(1.0, 50.0), st.floats(0.0, 21_600.0))
intervals = st.builds(lambda head, times: Intervals(head, head * times), st.floats(0.5, 3600.0), st.floats(1.0, 100.0))
daily = st.sets(st.builds(time, st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=6).map(
    lambda times: DailySnapshot(tuple(sorted(times)))
)
snapshots = daily | st.builds(PeriodicSnapshot, st.integers(1, 31 * 86_400))
lives = st.just(LIVE) | st.builds(
    lambda head, more: Live(head, None if more is None else head + more),
    st.integers(1, 86_400),
    st.none() | st.integers(0, 86_400),
)


@given(snapshots | lives | st.just(Off()))
def test_text_reads_back_the_same(mode: Live | DailySnapshot | PeriodicSnapshot | Off) -> None:
    assert parse_mode(str(mode)) == mode


def hold_the_law_of_live_waits(
    active: list[bool], every: Intervals, within: Bounds, now: datetime, pace_after: Callable[..., float]
) -> None:
    head = every.head_interval_seconds
    pace, before = 1.0, None
    for changed in active:
        pace = pace_after(pace, within, active=changed)
        due = next_turn(LIVE, every, PastReads(now, pace), within, 0.0, now)
        assert due is not None
        wait = due - now
        assert within.soonest_ratio <= pace <= within.slowest_ratio
        assert wait >= timedelta(seconds=head * within.soonest_ratio) - TOLERANCE
        assert wait <= timedelta(seconds=min(head * within.slowest_ratio, every.reconcile_interval_seconds)) + TOLERANCE
        if changed:
            assert abs(wait - timedelta(seconds=head * within.soonest_ratio)) <= TOLERANCE
        elif before is not None:
            assert wait >= before
        before = wait


@given(st.lists(st.booleans(), max_size=40), intervals, bounds, instants)
def test_live_waits_stay_in_bounds_grow_with_quietness_and_begin_anew_with_a_change(
    active: list[bool], every: Intervals, within: Bounds, now: datetime
) -> None:
    hold_the_law_of_live_waits(active, every, within, now, next_pace)


@pytest.mark.parametrize(
    "broken",
    [
        lambda pace, within, active: within.soonest_ratio if active else pace * 1.5,
        lambda pace, within, **_: min(pace * 1.5, within.slowest_ratio),
        lambda pace, within, active: within.soonest_ratio if active else max(pace * 0.9, within.soonest_ratio),
    ],
    ids=["unbounded", "no change resets", "quicker when quiet"],
)
def test_a_pace_that_breaks_the_law_is_noticed(broken: Callable[..., float]) -> None:
    active = [False, False, True, *[False] * 10, True]
    now = datetime(2026, 3, 1, tzinfo=UTC)
    hold_the_law_of_live_waits(active, Intervals(30.0, 1800.0), Bounds(), now, next_pace)
    with pytest.raises(AssertionError):
        hold_the_law_of_live_waits(active, Intervals(30.0, 1800.0), Bounds(), now, broken)


@given(snapshots, bounds, shares, instants)
def test_the_next_slot_is_later_and_none_lies_between(
    mode: DailySnapshot | PeriodicSnapshot, within: Bounds, share: float, after: datetime
) -> None:
    slot = next_slot(mode, after, within, share)
    longest = DAY if isinstance(mode, DailySnapshot) else timedelta(seconds=mode.period_seconds)
    assert after < slot <= after + longest + TOLERANCE
    # Whoever asks from anywhere before it is told the same one.
    assert next_slot(mode, after + (slot - after) / 2, within, share) == slot or slot - after <= TOLERANCE


@given(daily, bounds, shares, instants)
def test_times_of_day_have_as_many_slots_a_day_each_within_the_spread(
    mode: DailySnapshot, within: Bounds, share: float, after: datetime
) -> None:
    slots = [after]
    for _ in mode.times:
        slots.append(next_slot(mode, slots[-1], within, share))
    again = next_slot(mode, slots[-1], within, share)
    assert again == slots[1] + DAY
    for slot in slots[1:]:
        local = slot - timedelta(seconds=within.snapshot_spread_seconds * share) + timedelta(hours=5)
        assert local.time() in mode.times


@given(snapshots, intervals, bounds, shares, instants, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_what_was_missed_is_made_up_for_once(
    mode: DailySnapshot | PeriodicSnapshot,
    every: Intervals,
    within: Bounds,
    share: float,
    last: datetime,
    down: timedelta,
) -> None:
    now = last + down
    due = next_turn(mode, every, PastReads(last), within, share, now)
    assert due is not None
    missed = next_slot(mode, last, within, share) <= now
    assert due == now if missed else due > now
    after = next_turn(mode, every, PastReads(due), within, share, due)
    assert after == next_slot(mode, due, within, share)
