"""Poller: reads one resource as deep as asked, page by page, and yields what may be observed.

Knows nothing of state beyond what steers a read: digests, keys and bounds. Every page is preceded by the consent gate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from connector.diff import visible
from connector.domains.model import BookingKey, Entry, Feed, ResourceKind, Unreadable
from connector.errors import CursorError, UnavailableError
from connector.limits import MAXIMUM_ENTRIES_A_CHUNK, MAXIMUM_PAGES_A_READ
from connector.observe import Depth, Read
from connector.ports import Page, PageRequest, Resource, Source
from connector.runtime.memory import ResourceMemory
from connector.runtime.walk import Gate, Reading, Walk, keys_of
from connector.state import EntityState
from connector.window import is_entry, karachi_day, served_from


@dataclass(frozen=True, slots=True)
class PollLimits:
    """Bounds of one read: pages of a head read, restarts of a read that moved, pages of a chunk.

    `maximum_pages` bounds a read of any depth: one that goes on for longer is led round in circles.
    """

    head_page_cap: int = 5
    read_restart_cap: int = 3
    backfill_chunk_pages: int = 5
    maximum_pages: int = MAXIMUM_PAGES_A_READ


class Poller:
    """Reads resources of one source. `bank_tells_time`: the bank's own clock is the world's."""

    def __init__(self, source: Source, limits: PollLimits, *, bank_tells_time: bool = True) -> None:
        self._source = source
        self._limits = limits
        self._bank_tells_time = bank_tells_time

    async def readings(
        self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate
    ) -> AsyncIterator[Reading]:
        """Read `resource`; each Reading must be committed before the next is asked for.

        Raises:
            ConsentError: the gate is shut.
            UnavailableError: the feed kept moving under the read, besides the bank's own failures.
            DataError: the feed does not end.
        """
        for _attempt in range(self._limits.read_restart_cap):
            try:
                async for reading in self._attempt(resource, memory, depth, gate):
                    yield reading
            except CursorError:
                continue
            return
        raise UnavailableError(
            f"{resource.name}: the feed moved under {self._limits.read_restart_cap} reads in a row; read again later"
        )

    def _attempt(self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate) -> AsyncIterator[Reading]:
        if depth is Depth.HEAD:
            return self._head(resource, memory, gate)
        if depth in {Depth.BACKFILL, Depth.FILL}:
            return self._in_chunks(resource, memory, depth, gate)
        return self._whole(resource, memory, depth, gate)

    async def _head(self, resource: Resource, memory: ResourceMemory, gate: Gate) -> AsyncIterator[Reading]:
        ascending = resource.kind.feed is Feed.ASCENDING
        bounds = memory.bounds_for(resource.kind)
        told_to = memory.meta.joined_to
        walk = await self._begin(resource, PageRequest(after=bounds.after, etag=memory.etag), gate)
        if walk.raw.body is None or walk.digest == memory.meta.head_digest:
            yield walk.reading(Depth.HEAD, digest=memory.meta.head_digest)
            return
        opened = memory.packed.open()
        await walk.understand()
        first = walk.page
        while not (joined := walk.next_cursor is None):
            if not ascending and _reaches(walk.page, told_to) and _nothing_new_below(walk.page, opened.entities):
                joined = True
                break
            if walk.pages >= self._limits.head_page_cap:
                # Unsettled entries may fill more pages than are read: where none of the last one's is new, it joins.
                joined = not ascending and _reaches(walk.page, told_to) and _all_known(walk.page, opened.entities)
                break
            await walk.follow()
        walk.require_still()
        lower = _successor(bounds.after) if ascending else bounds.lower
        read = Read(Depth.HEAD, tuple(walk.entries), complete=False, lower=lower)
        joined_to = walk.joined_to
        # Only where whatever is new shows on the first page, that page tells by itself that nothing is: below outliers,
        # or behind what an ascending read shows again, it would stay what it was.
        steady = joined and (first.next_cursor is None or (not ascending and _reaches(first, joined_to)))
        yield walk.reading(
            Depth.HEAD, read, digest=walk.digest if steady else None, last=joined, joined_to=joined_to, opened=opened
        )

    async def _whole(
        self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate
    ) -> AsyncIterator[Reading]:
        request, lower = _sweep(resource, memory)
        walk = await self._begin(resource, request, gate)
        if walk.raw.body is None:
            yield walk.reading(depth, digest=memory.meta.sweep_digest)
            return
        await walk.understand()
        # A newest-first feed that cannot be asked for a far end is read down to it, and no further.
        reach = lower if resource.kind.feed is Feed.NEWEST_FIRST else None
        told_to, fresh_pages = memory.meta.joined_to, 0
        while walk.next_cursor is not None and not _ends_below(walk.page, reach):
            fresh_pages += _is_fresh(walk.page, resource.kind, memory)
            if fresh_pages >= self._limits.backfill_chunk_pages:
                # More is new than a commit should hold: it is told in chunks, and swept once that is done.
                async for reading in self._chunks(walk, Depth.FILL, told_to):
                    yield reading
                return
            await walk.follow()
        walk.require_still()
        digest = walk.joined_digest()
        served_from_ = served_from(resource.kind, walk.bank_now)
        if served_from_ is not None:
            # What is older may have left the feed without having been removed.
            lower = max(lower, served_from_) if lower is not None else served_from_
        if digest == memory.meta.sweep_digest:
            yield walk.reading(depth, digest=digest)
            return
        read = Read(depth, _from(reach, walk.entries), complete=True, lower=lower)
        yield walk.reading(depth, read, digest=digest, joined_to=walk.joined_to)

    async def _in_chunks(
        self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate
    ) -> AsyncIterator[Reading]:
        told_to = memory.meta.joined_to if depth is Depth.FILL else None
        newest_first = resource.kind.feed is Feed.NEWEST_FIRST
        since = karachi_day(told_to) if newest_first and told_to is not None else None
        request = PageRequest(since=since, after=memory.bounds_for(resource.kind).after)
        walk = await self._begin(resource, request, gate)
        await walk.understand()
        async for reading in self._chunks(walk, depth, told_to):
            yield reading

    async def _chunks(self, walk: Walk, depth: Depth, told_to: BookingKey | None) -> AsyncIterator[Reading]:
        """The rest of a read in chunks, each to be committed by itself, down to `told_to` or the feed's end."""
        newest_first = walk.kind.feed is Feed.NEWEST_FIRST
        since_chunk = walk.pages
        while True:
            ended = walk.next_cursor is None or (newest_first and _ends_below(walk.page, told_to))
            full = since_chunk >= self._limits.backfill_chunk_pages or len(walk.entries) >= MAXIMUM_ENTRIES_A_CHUNK
            if ended or full:
                walk.require_still()
                read = Read(depth, walk.take(), complete=walk.next_cursor is None)
                yield walk.reading(depth, read, last=ended, joined_to=walk.joined_to if ended else None)
                since_chunk = 0
            if ended:
                return
            await walk.follow()
            since_chunk += 1

    async def _begin(self, resource: Resource, request: PageRequest, gate: Gate) -> Walk:
        consent_id = gate()
        raw = await self._source.fetch_page(resource, request)
        walk = Walk(self._source, resource, request, gate, raw, consent_id)
        walk.maximum_pages, walk.bank_tells_time = self._limits.maximum_pages, self._bank_tells_time
        return walk


def _sweep(resource: Resource, memory: ResourceMemory) -> tuple[PageRequest, BookingKey | None]:
    """How a complete read begins, and the lowest booking key that it speaks of."""
    if resource.kind.feed is Feed.WHOLE:
        return PageRequest(etag=memory.trusted_etag), None
    lower = memory.bounds_for(resource.kind).lower
    if lower is None:
        return PageRequest(), None
    if resource.kind.feed is Feed.ASCENDING:
        return PageRequest(after=BookingKey(lower.order - 1, "")), lower
    return PageRequest(since=karachi_day(lower)), lower


def _ends_below(page: Page, lower: BookingKey | None) -> bool:
    """Whether a newest-first page reaches below `lower`: everything at or above it was shown by then.

    A page that is not in order says nothing of what follows it.
    """
    keys = keys_of(page)
    return lower is not None and bool(keys) and keys[-1] < lower and keys == sorted(keys, reverse=True)


def _is_fresh(page: Page, kind: ResourceKind, memory: ResourceMemory) -> bool:
    """Does a page of a sweep show only what comes after everything that was told?"""
    keys = keys_of(page)
    if kind.window is None or not memory.meta.backfilled or not keys:
        return False
    if kind.feed is Feed.NEWEST_FIRST:
        told_to = memory.meta.joined_to
        return told_to is None or min(keys) > told_to
    after = memory.bounds_for(kind).after
    return after is None or min(keys) > after


def _reaches(page: Page, told_to: BookingKey | None) -> bool:
    """Whether a newest-first page shows something at or below `told_to`."""
    return told_to is not None and any(key <= told_to for key in keys_of(page))


def _successor(after: BookingKey | None) -> BookingKey | None:
    return None if after is None else BookingKey(after.order + 1, "")


def _from(lower: BookingKey | None, entries: list[Entry | Unreadable]) -> tuple[Entry | Unreadable, ...]:
    """The entries without those that stand below `lower`, of which the read says nothing."""
    if lower is None:
        return tuple(entries)
    return tuple(entry for entry in entries if (key := entry.key) is None or key >= lower)


def _all_known(page: Page, known: Mapping[str, EntityState]) -> bool:
    """Is there no entry on the page that is new?"""
    names = known.keys() | {alias for entity in known.values() for alias in entity.aliases}
    return all(entry.name in names for entry in page.entries)


def _nothing_new_below(page: Page, known: Mapping[str, EntityState]) -> bool:
    """A full page of known, unchanged, settled entries, older than the oldest unsettled one: what is below is known."""
    oldest_unsettled = min(
        (
            entity.key
            for entity in known.values()
            if entity.status == "live" and is_entry(entity) and not entity.settled
        ),
        default=None,
    )
    by_bank_id = {alias: entity for entity in known.values() for alias in entity.aliases}
    for entry in page.entries:
        if not isinstance(entry, Entry):
            return False
        entity = by_bank_id.get(entry.name) or known.get(entry.name)
        if entity is None or not entity.settled or visible(entity) != entry.record:
            return False
        if oldest_unsettled is not None and entity.key >= oldest_unsettled:
            return False
    return bool(page.entries)
