"""Window and floor: what of a ledger is remembered, what reads must cover, and what is let go.

Pure. The window is measured from the newest entry that is not later than the bank's own day: an entry of next year is
remembered and steers nothing. Entities are let go only within a commit that something else caused, and never above a
gap that a read has left.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from connector.domains.model import (
    EPOCH,
    KARACHI,
    MICROS_PER_SECOND,
    SECONDS_PER_DAY,
    BookingKey,
    Feed,
    ResourceKind,
    Window,
    micros,
)
from connector.domains.transactions import BalanceChain
from connector.state import EntityState

MICROS_PER_DAY = SECONDS_PER_DAY * MICROS_PER_SECOND
MAXIMUM_REMOVED = 500
"""Removed entities whose version a resource without a window remembers."""
OVERLAP_ENTRIES = 10
"""How many known entries an ascending read shows again: so many ids out of all order hide nothing that comes before
them."""
HORIZON_DAYS = 1
"""How much later than the bank's own clock an entry may be and still steer anything: clocks and calendars differ."""
_BELOW_EVERYTHING = BookingKey(-(1 << 62), "")


def is_entry(entity: EntityState) -> bool:
    """True for what stands in a feed; false for what we derive from one."""
    return not isinstance(entity.record, BalanceChain)


def karachi_day(key: BookingKey) -> date:
    """The bank's calendar day of a time-ordered booking key."""
    return (EPOCH + timedelta(microseconds=key.order)).astimezone(KARACHI).date()


def day_start(day: date) -> BookingKey:
    """The lowest booking key of a calendar day of the bank."""
    start = EPOCH.replace(year=day.year, month=day.month, day=day.day) - timedelta(hours=5)
    return BookingKey(micros(start), "")


def lower_bound(kind: ResourceKind, floor: BookingKey | None, entities: Iterable[EntityState]) -> BookingKey | None:
    """From where on a complete read must cover the feed; None: from its beginning.

    Everything live is covered. A newest-first feed can be bounded by calendar day only, so the bound is a day's start.
    """
    if floor is None:
        return None
    oldest = min((entity.key for entity in entities if entity.status == "live" and is_entry(entity)), default=floor)
    bound = min(oldest, floor)
    if kind.feed is Feed.ASCENDING:
        return BookingKey(min(oldest.order, floor.order + 1), "")
    return day_start(karachi_day(bound))


def timed(kind: ResourceKind) -> bool:
    """Is the feed ordered by time? Else by ids of the bank's."""
    return kind.window is not None and kind.window.days is not None


def horizon(kind: ResourceKind, at: datetime) -> int | None:
    """The highest order that steers anything at `at`, by the bank's own clock; None where the order is no time."""
    return micros(at) + HORIZON_DAYS * MICROS_PER_DAY if timed(kind) else None


def resumed_after(kind: ResourceKind, floor: BookingKey | None, keys: Iterable[BookingKey]) -> BookingKey | None:
    """After which booking key an ascending read goes on, given what is known; None: at the feed's beginning.

    A few known entries are shown again, so that neither an id nor a day out of all order is gone on from.
    """
    if kind.feed is not Feed.ASCENDING:
        return None
    newest = heapq.nlargest(OVERLAP_ENTRIES, keys)
    return newest[-1] if len(newest) == OVERLAP_ENTRIES else floor


def joined_key(kind: ResourceKind, keys: Iterable[BookingKey], latest: int | None) -> BookingKey | None:
    """Up to where a read that left no gap has told everything: its newest key that is not later than `latest`.

    Where the order is no time, some ids at the top are left out: they may be out of all order. None: it shows nothing.
    """
    if timed(kind):
        return max((key for key in keys if latest is None or key.order <= latest), default=None)
    newest = heapq.nlargest(OVERLAP_ENTRIES, keys)
    return newest[-1] if len(newest) == OVERLAP_ENTRIES else None


def served_from(kind: ResourceKind, at: datetime) -> BookingKey | None:
    """From where on the bank surely serves a ledger at `at`, by its own clock; None where it keeps everything.

    What is older may leave the feed without having been removed, so no read may claim its absence: the newest entry's
    time tells nothing of it in an account that has been quiet for long. A day of margin is for clocks that differ.
    """
    if kind.window is None or kind.window.retention_days is None:
        return None
    return BookingKey(micros(at) - (kind.window.retention_days - 1) * MICROS_PER_DAY, "")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a resource's entities after letting go.

    `rewritten` changed status to forgotten; `dropped` are ids that need not be remembered at all.
    """

    floor: BookingKey | None
    entities: dict[str, EntityState]
    rewritten: tuple[EntityState, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What bounds letting go: nothing later than `horizon` steers it, nothing above `joined_to` goes while `hole`."""

    horizon: int | None = None
    joined_to: BookingKey | None = None
    hole: bool = False

    def may_go(self, key: BookingKey) -> bool:
        """May an entity with that key be forgotten?"""
        if self.horizon is not None and key.order > self.horizon:
            return False
        return not self.hole or key <= (self.joined_to or _BELOW_EVERYTHING)


UNBOUNDED = Reach()


def let_go(
    kind: ResourceKind,
    floor: BookingKey | None,
    entities: Mapping[str, EntityState],
    suspected: Collection[str] = frozenset(),
    reach: Reach = UNBOUNDED,
) -> Kept:
    """Forget what is settled and out of the window, and whatever the bank itself no longer serves.

    `suspected` were absent from a complete read: whoever forgot them now could never tell their removal.
    """
    if kind.window is None:
        removed = [entity for entity in entities.values() if entity.status == "removed"]
        surplus = sorted(removed, key=lambda entity: entity.key)[: max(0, len(removed) - MAXIMUM_REMOVED)]
        return _drop(floor, entities, {entity.entity_id for entity in surplus})
    entries = sorted((e for e in entities.values() if is_entry(e)), key=lambda e: e.key, reverse=True)
    within = [e for e in entries if reach.horizon is None or e.key.order <= reach.horizon]
    outside = _outside(kind.window, [entity for entity in within if entity.status != "forgotten"], suspected, reach)
    risen = max([floor, *(entity.key for entity in outside)] if floor else [e.key for e in outside], default=None)
    gone = {entity.entity_id for entity in outside}
    staying = [entity for entity in entries if entity.entity_id not in gone]
    bound = lower_bound(kind, risen, staying)
    remembered = dict(entities)
    rewritten = []
    for entity in outside:
        if bound is not None and entity.key >= bound:
            forgotten = replace(entity, status="forgotten", record=None, unreadable_digest=None)
            remembered[entity.entity_id] = forgotten
            rewritten.append(forgotten)
    unseen = {
        entity.entity_id
        for entity in entries
        if bound is not None and entity.key < bound and (entity.status != "live" or entity.entity_id in gone)
    }
    kept = _drop(risen, remembered, unseen)
    return replace(kept, rewritten=tuple(rewritten))


def _outside(
    window: Window, newest_first: list[EntityState], suspected: Collection[str], reach: Reach
) -> list[EntityState]:
    if not newest_first:
        return []
    newest = newest_first[0].key.order
    oldest_in_days = newest - window.days * MICROS_PER_DAY if window.days is not None else None
    oldest_served = newest - window.retention_days * MICROS_PER_DAY if window.retention_days is not None else None
    outside = []
    place = 0
    for entity in newest_first:
        if not reach.may_go(entity.key):
            place += 1
            continue
        if oldest_served is not None and entity.key.order < oldest_served:
            outside.append(entity)
            continue
        if entity.status == "live" and (not entity.settled or entity.entity_id in suspected):
            continue
        place += 1
        recent = oldest_in_days is None or entity.key.order >= oldest_in_days
        if place > window.maximum_entries or (place > window.minimum_entries and not recent):
            outside.append(entity)
    return outside


def _drop(floor: BookingKey | None, entities: Mapping[str, EntityState], ids: set[str]) -> Kept:
    left = {entity_id: entity for entity_id, entity in entities.items() if entity_id not in ids}
    return Kept(floor=floor, entities=left, rewritten=(), dropped=tuple(sorted(ids)))
