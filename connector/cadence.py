"""Cadence: how a domain is read (live, as snapshots, or not at all), and when a resource's next turn comes.

Pure, and the same for the same arguments: whatever spreads load is a hash of what is read. Times of day are the bank's,
Asia/Karachi.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from connector.domains.model import EPOCH, KARACHI

FORMS: Final = "live, live:30s/30m, snapshot@06:00,18:00 (times in Pakistan), snapshot/6h or off"
"""Every form of a mode, for messages."""
LONGEST_DURATION_SECONDS: Final = 31 * 86_400
PACE_GROWTH: Final = 1.5
"""By how much a read that showed nothing new stretches the wait for the next one."""

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"([0-9]{1,7})([smhd])")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often a resource is read live: its head, and the whole of its window. Seconds."""

    head_interval_seconds: float
    reconcile_interval_seconds: float


@dataclass(frozen=True, slots=True)
class Live:
    """Head reads all the time, complete ones between them; None: as set for each kind of resource."""

    head_interval_seconds: int | None = None
    reconcile_interval_seconds: int | None = None

    def __str__(self) -> str:
        if self.head_interval_seconds is None:
            return "live"
        head = _duration_text(self.head_interval_seconds)
        if self.reconcile_interval_seconds is None:
            return f"live:{head}"
        return f"live:{head}/{_duration_text(self.reconcile_interval_seconds)}"

    def intervals(self, own: Intervals) -> Intervals:
        """What holds for a resource whose kind has intervals of its `own`."""
        if self.head_interval_seconds is None:
            return own
        head, reconcile = self.head_interval_seconds, self.reconcile_interval_seconds
        return Intervals(head, max(head, own.reconcile_interval_seconds if reconcile is None else reconcile))


@dataclass(frozen=True, slots=True)
class DailySnapshot:
    """Complete reads at times of day in Pakistan, sorted."""

    times: tuple[time, ...]

    def __str__(self) -> str:
        return "snapshot@" + ",".join(f"{at:%H:%M}" for at in self.times)


@dataclass(frozen=True, slots=True)
class PeriodicSnapshot:
    """Complete reads once in every period."""

    period_seconds: int

    def __str__(self) -> str:
        return f"snapshot/{_duration_text(self.period_seconds)}"


@dataclass(frozen=True, slots=True)
class Off:
    """No read at all; the stream stays open."""

    def __str__(self) -> str:
        return "off"


Mode = Live | DailySnapshot | PeriodicSnapshot | Off

LIVE: Final = Live()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Within what live waits adapt, and over how long snapshots of one time of day are spread.

    A head interval is shortened to `soonest_ratio` of itself after a change and stretched to `slowest_ratio` while
    nothing happens; 0 < `soonest_ratio` ≤ 1 ≤ `slowest_ratio`.
    """

    soonest_ratio: float = 0.25
    slowest_ratio: float = 2.0
    snapshot_spread_seconds: float = 900.0

    def soonest_seconds(self, intervals: Intervals) -> float:
        """The shortest wait between two reads that go well."""
        return intervals.head_interval_seconds * self.soonest_ratio

    def slowest_seconds(self, intervals: Intervals) -> float:
        """The longest one: never beyond the reconcile interval, which no quietness stretches."""
        head = intervals.head_interval_seconds
        return min(head * self.slowest_ratio, max(head, intervals.reconcile_interval_seconds))


@dataclass(frozen=True, slots=True)
class PastReads:
    """What earlier reads of a resource left.

    `last_at`: when the last good one began (None: none that is known; one that lies ahead of the clock tells nothing,
    and counts as none). `pace`: by how much its head interval is
    multiplied at present. `unconfirmed`: the last one wants another complete one soon.
    """

    last_at: datetime | None = None
    pace: float = 1.0
    unconfirmed: bool = False


def next_pace(pace: float, bounds: Bounds, *, active: bool) -> float:
    """The pace after a read: as quick as it gets after one that showed something new, else a step slower."""
    return bounds.soonest_ratio if active else min(pace * PACE_GROWTH, bounds.slowest_ratio)


def next_turn(
    mode: Mode, intervals: Intervals, reads: PastReads, bounds: Bounds, share: float, now: datetime
) -> datetime | None:
    """When a resource whose turn ended at `now` is read again; None: not in this mode.

    `share` in [0, 1) is its stream's own (`share_of`): its place in what snapshots are spread over. A time that was
    missed is made up for once, at `now`.
    """
    if isinstance(mode, Off):
        return None
    if reads.last_at is None or reads.last_at > now:
        return now
    soonest = bounds.soonest_seconds(intervals)
    if isinstance(mode, Live):
        wait = max(soonest, min(intervals.head_interval_seconds * reads.pace, bounds.slowest_seconds(intervals)))
        return now + timedelta(seconds=wait)
    due = next_slot(mode, reads.last_at, bounds, share)
    if reads.unconfirmed:
        due = min(due, reads.last_at + timedelta(seconds=soonest))
    return max(due, now)


def latest_turn(
    mode: Live | DailySnapshot | PeriodicSnapshot, intervals: Intervals, last_at: datetime, bounds: Bounds, share: float
) -> datetime:
    """By when a resource last read at `last_at`, which has passed, is read again if all goes well."""
    if isinstance(mode, Live):
        return last_at + timedelta(seconds=bounds.slowest_seconds(intervals))
    return next_slot(mode, last_at, bounds, share)


def next_slot(mode: DailySnapshot | PeriodicSnapshot, after: datetime, bounds: Bounds, share: float) -> datetime:
    """The first moment later than `after` at which a stream's snapshot is due."""
    if isinstance(mode, PeriodicSnapshot):
        period = timedelta(seconds=mode.period_seconds)
        first = EPOCH + share * period
        return first + ((after - first) // period + 1) * period
    offset = timedelta(seconds=bounds.snapshot_spread_seconds * share)
    today = (after - offset).astimezone(KARACHI).date()
    slots = (
        datetime.combine(day, at, tzinfo=KARACHI).astimezone(EPOCH.tzinfo) + offset
        for day in (today, today + timedelta(days=1))
        for at in mode.times
    )
    return min(slot for slot in slots if slot > after)


def share_of(account_id: str, domain: str) -> float:
    """A stream's place in [0, 1), the same on every run."""
    digest = hashlib.blake2b(f"{account_id}/{domain}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def parse_mode(text: str) -> Mode:
    """The mode that `text` names; `str` of it is its shortest form.

    Raises:
        ValueError: it names none; the message says what would.
    """
    words = text.strip()
    if words == "off":
        return Off()
    if words == "live":
        return LIVE
    if words.startswith("live:"):
        return _parse_live(words.removeprefix("live:"))
    if words.startswith("snapshot@"):
        return DailySnapshot(tuple(sorted({_parse_time(part) for part in words.removeprefix("snapshot@").split(",")})))
    if words.startswith("snapshot/"):
        return PeriodicSnapshot(_parse_duration(words.removeprefix("snapshot/")))
    if words == "snapshot":
        raise ValueError("snapshot needs its times or its period: snapshot@06:00,18:00 or snapshot/6h")
    raise ValueError(f"{text!r} is no cadence; there are {FORMS}")


def _parse_live(text: str) -> Live:
    head_text, slash, reconcile_text = text.partition("/")
    head = _parse_duration(head_text)
    if not slash:
        return Live(head)
    reconcile = _parse_duration(reconcile_text)
    if reconcile < head:
        raise ValueError(f"live:{text}: complete reads ({reconcile_text}) cannot be more frequent than head reads")
    return Live(head, reconcile)


def _parse_time(text: str) -> time:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time of day: 00:00 to 23:59, separated by commas")
    return time(int(found[1]), int(found[2]))


def _parse_duration(text: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_DURATION_SECONDS:
        raise ValueError(f"{text!r} is no duration: whole numbers with s, m, h or d, from 1s to 31d, as in 30s or 6h")
    return seconds


def _duration_text(seconds: int) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS.items() if seconds % size == 0)
    return f"{seconds // size}{unit}"
