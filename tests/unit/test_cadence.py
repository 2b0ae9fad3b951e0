"""Cadence: forms that teach, times of day in Pakistan, one make-up read, and waits that adapt within bounds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest

from connector.cadence import (
    LIVE,
    Bounds,
    DailySnapshot,
    Intervals,
    Live,
    Mode,
    Off,
    PastReads,
    PeriodicSnapshot,
    next_pace,
    next_turn,
    parse_mode,
    share_of,
)

INTERVALS = Intervals(30.0, 1800.0)
BOUNDS = Bounds(soonest_ratio=0.25, slowest_ratio=2.0, snapshot_spread_seconds=900.0)
TWICE = DailySnapshot((time(6), time(18)))


def karachi(text: str) -> datetime:
    return (datetime.fromisoformat(f"2026-03-{text}") - timedelta(hours=5)).replace(tzinfo=UTC)


def turn(mode: Mode, last: str | None, now: str, *, share: float = 0.0, unconfirmed: bool = False) -> datetime | None:
    reads = PastReads(None if last is None else karachi(last), unconfirmed=unconfirmed)
    return next_turn(mode, INTERVALS, reads, BOUNDS, share, karachi(now))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("live", LIVE),
        ("live:30s", Live(30)),
        ("live:30s/30m", Live(30, 1800)),
        ("snapshot@06:00,18:00", TWICE),
        ("snapshot/6h", PeriodicSnapshot(21_600)),
        ("snapshot/1d", PeriodicSnapshot(86_400)),
        ("off", Off()),
    ],
)
def test_each_form_says_what_it_is_and_is_said_again(text: str, mode: Mode) -> None:
    assert parse_mode(text) == mode
    assert str(mode) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [(" live:60s/90m ", "live:1m/90m"), ("snapshot@18:00, 06:00,06:00", "snapshot@06:00,18:00"), ("off ", "off")],
)
def test_other_spellings_have_one_plain_one(text: str, plain: str) -> None:
    assert str(parse_mode(text)) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hourly", "'hourly' is no cadence; there are live, live:30s/30m, snapshot@06:00,18:00"),
        ("", "'' is no cadence"),
        ("snapshot", "snapshot needs its times or its period: snapshot@06:00,18:00 or snapshot/6h"),
        ("snapshot@6:00", "'6:00' is no time of day: 00:00 to 23:59"),
        ("snapshot@24:00", "'24:00' is no time of day"),
        ("snapshot@", "'' is no time of day"),
        ("snapshot/6", "'6' is no duration: whole numbers with s, m, h or d"),
        ("snapshot/0h", "'0h' is no duration"),
        ("snapshot/32d", "'32d' is no duration"),
        ("live:1h/30m", "complete reads (30m) cannot be more frequent than head reads"),
        ("live:", "'' is no duration"),
    ],
)
def test_what_is_no_cadence_is_told_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_mode(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        ("01T05:59:59", "01T05:59:59", "01T06:00:00"),
        ("01T06:00:00", "01T06:00:10", "01T18:00:00"),
        ("01T18:00:05", "01T18:00:10", "02T06:00:00"),
        # Missed while the connector was down: once, at the start, however many there were.
        ("01T05:00:00", "01T06:30:00", "01T06:30:00"),
        ("01T05:00:00", "09T12:00:00", "09T12:00:00"),
        ("09T12:00:00", "09T12:00:05", "09T18:00:00"),
        (None, "01T12:00:00", "01T12:00:00"),
    ],
)
def test_times_of_day_are_karachi_s_and_a_missed_one_is_made_up_for_once(last: str | None, now: str, due: str) -> None:
    assert turn(TWICE, last, now) == karachi(due)


def test_a_place_late_in_the_spread_may_pass_midnight() -> None:
    late = DailySnapshot((time(23, 59),))
    assert turn(late, "01T23:59:30", "01T23:59:40", share=0.5) == karachi("02T00:06:30")
    assert turn(late, "02T00:06:30", "02T00:06:40", share=0.5) == karachi("03T00:06:30")


def test_a_doubt_is_settled_soon_and_not_at_the_next_time() -> None:
    assert turn(TWICE, "01T06:00:00", "01T06:00:02", unconfirmed=True) == karachi("01T06:00:07.500")
    assert turn(TWICE, "01T17:59:58", "01T17:59:59", unconfirmed=True) == karachi("01T18:00:00")


def test_off_has_no_turn() -> None:
    assert turn(Off(), None, "01T06:00:00") is None
    assert turn(Off(), "01T05:00:00", "01T06:00:00", unconfirmed=True) is None


def test_many_accounts_share_no_second() -> None:
    """Ten thousand streams over a quarter of an hour: no second has more than a few times its fair part."""
    last = karachi("01T05:00:00")
    slots = [
        next_turn(TWICE, INTERVALS, PastReads(last), BOUNDS, share_of(f"acc_{number}", "loyalty"), last)
        for number in range(10_000)
    ]
    dues = [slot for slot in slots if slot is not None]
    assert min(dues) >= karachi("01T06:00:00")
    assert max(dues) < karachi("01T06:15:00")
    per_second = Counter(int(due.timestamp()) for due in dues)
    assert max(per_second.values()) <= 40
    assert share_of("acc_1", "loyalty") == share_of("acc_1", "loyalty") != share_of("acc_1", "lending")


def test_a_period_has_one_read_each_wherever_its_place_is() -> None:
    hourly, now = PeriodicSnapshot(3600), karachi("01T06:00:00")
    for share in (0.0, 0.3, 0.999):
        first = next_turn(hourly, INTERVALS, PastReads(now), BOUNDS, share, now)
        assert first is not None
        assert now < first <= now + timedelta(hours=1)
        second = next_turn(hourly, INTERVALS, PastReads(first), BOUNDS, share, first)
        assert second == first + timedelta(hours=1)


def wait(pace: float, intervals: Intervals = INTERVALS, mode: Live = LIVE) -> float:
    now = karachi("01T06:00:00")
    due = next_turn(mode, mode.intervals(intervals), PastReads(now, pace), BOUNDS, 0.5, now)
    assert due is not None
    return (due - now).total_seconds()


def test_a_change_brings_the_next_read_closer_and_quiet_ones_stretch_the_wait() -> None:
    pace, waits = next_pace(1.0, BOUNDS, active=True), []
    for _ in range(7):
        waits.append(wait(pace))
        pace = next_pace(pace, BOUNDS, active=False)
    assert waits == pytest.approx([7.5, 11.25, 16.875, 25.3125, 37.96875, 56.953125, 60.0])
    assert wait(next_pace(pace, BOUNDS, active=True)) == 7.5


def test_no_quietness_stretches_the_reconcile_interval() -> None:
    assert wait(2.0, Intervals(300.0, 300.0)) == 300.0
    assert wait(0.25, Intervals(300.0, 300.0)) == 75.0


def test_a_link_s_own_intervals_count_before_the_kind_s() -> None:
    assert Live(10).intervals(INTERVALS) == Intervals(10, 1800.0)
    assert Live(10, 600).intervals(INTERVALS) == Intervals(10, 600)
    assert Live(3600).intervals(INTERVALS) == Intervals(3600, 3600)
    assert wait(1.0, mode=Live(10)) == 10.0
