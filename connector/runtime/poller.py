"""Poller: reads one resource as deep as asked, page by page, and yields what may be observed.

Knows nothing of state beyond what steers a read: digests, keys and bounds. Every page is preceded by the consent gate.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from connector.diff import visible
from connector.domains.model import BookingKey, Entry, Feed, Unreadable
from connector.errors import CursorError, UnavailableError
from connector.observe import Depth, Read, moved_while_paging
from connector.ports import Page, PageRequest, RawPage, Resource, Source
from connector.runtime.memory import ResourceMemory
from connector.runtime.packing import Opened
from connector.state import EntityState
from connector.window import is_entry, karachi_day, served_from

Gate = Callable[[], str]
"""Raises ConsentError when reading is not allowed now; else names the consent."""


@dataclass(frozen=True, slots=True)
class PollLimits:
    """Bounds of one read: pages of a head read, restarts of a read that moved, pages of a backfill's chunk."""

    head_page_cap: int = 5
    read_restart_cap: int = 3
    backfill_chunk_pages: int = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """One observable read with what it leaves behind.

    `unchanged`: the bank showed what it showed last time; nothing was decoded. `digest` is remembered for the depth's
    next read; `last` is False for a backfill's chunk that more will follow; `opened` is the window, where the read had
    to open it. What the bank did before `asked_at`, the read had to show.
    """

    depth: Depth
    asked_at: datetime
    fetched_at: datetime
    consent_id: str
    read: Read | None = None
    digest: bytes | None = None
    etag: str | None = None
    last: bool = True
    unknown_fields: Mapping[str, int] | None = None
    opened: Opened | None = None

    @property
    def unchanged(self) -> bool:
        return self.read is None


class Poller:
    """Reads resources of one source."""

    def __init__(self, source: Source, limits: PollLimits) -> None:
        self._source = source
        self._limits = limits

    async def readings(
        self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate
    ) -> AsyncIterator[Reading]:
        """Read `resource`; each Reading must be committed before the next is asked for.

        Raises:
            ConsentError: the gate is shut.
            UnavailableError: the feed kept moving under the read, besides the bank's own failures.
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
        if depth is Depth.BACKFILL:
            return self._backfill(resource, memory, gate)
        return self._whole(resource, memory, depth, gate)

    async def _head(self, resource: Resource, memory: ResourceMemory, gate: Gate) -> AsyncIterator[Reading]:
        ascending = resource.kind.feed is Feed.ASCENDING
        bounds = memory.bounds_for(resource.kind)
        request = PageRequest(after=bounds.newest if ascending else None, etag=memory.etag)
        consent_id = gate()
        raw = await self._source.fetch_page(resource, request)
        digest = self._digest(raw)
        if raw.body is None or digest == memory.meta.head_digest:
            yield Reading(
                Depth.HEAD, raw.asked_at, raw.fetched_at, consent_id, digest=memory.meta.head_digest, etag=raw.etag
            )
            return
        opened = memory.packed.open()
        walk = _Walk(request, self._source.normalise(resource, raw.body), raw.fetched_at)
        pages = 1
        while walk.next_cursor is not None and pages < self._limits.head_page_cap:
            if not ascending and _nothing_new_below(walk.page, opened.entities):
                break
            await self._follow(resource, walk, gate)
            pages += 1
        walk.require_still()
        read = Read(Depth.HEAD, tuple(walk.entries), complete=False, lower=bounds.lower)
        unknown = walk.unknown_fields
        yield Reading(
            Depth.HEAD,
            raw.asked_at,
            walk.fetched_at,
            consent_id,
            read,
            digest,
            raw.etag,
            unknown_fields=unknown,
            opened=opened,
        )

    async def _whole(
        self, resource: Resource, memory: ResourceMemory, depth: Depth, gate: Gate
    ) -> AsyncIterator[Reading]:
        request, lower = _sweep(resource, memory)
        consent_id = gate()
        raw = await self._source.fetch_page(resource, request)
        if raw.body is None:
            yield Reading(
                depth, raw.asked_at, raw.fetched_at, consent_id, digest=memory.meta.sweep_digest, etag=raw.etag
            )
            return
        walk = _Walk(request, self._source.normalise(resource, raw.body), raw.fetched_at)
        joined = hashlib.blake2b(self._digest(raw), digest_size=16)
        # A newest-first feed that cannot be asked for a far end is read down to it, and no further.
        reach = lower if resource.kind.feed is Feed.NEWEST_FIRST else None
        while walk.next_cursor is not None and not _ends_below(walk.page, reach):
            joined.update(self._digest(await self._follow(resource, walk, gate)))
        walk.require_still()
        digest = joined.digest()
        served_from_ = served_from(resource.kind, raw.served_at or raw.fetched_at)
        if served_from_ is not None:
            # What is older may have left the feed without having been removed.
            lower = max(lower, served_from_) if lower is not None else served_from_
        if digest == memory.meta.sweep_digest:
            yield Reading(depth, raw.asked_at, walk.fetched_at, consent_id, digest=digest, etag=raw.etag)
            return
        read = Read(depth, _from(reach, walk.entries), complete=True, lower=lower)
        yield Reading(
            depth, raw.asked_at, walk.fetched_at, consent_id, read, digest, raw.etag, unknown_fields=walk.unknown_fields
        )

    async def _backfill(self, resource: Resource, memory: ResourceMemory, gate: Gate) -> AsyncIterator[Reading]:
        ascending = resource.kind.feed is Feed.ASCENDING
        request = PageRequest(after=memory.bounds_for(resource.kind).newest if ascending else None)
        consent_id = gate()
        raw = await self._source.fetch_page(resource, request)
        walk = _Walk(request, self._source.normalise(resource, raw.body or b""), raw.fetched_at)
        pages = 1
        while True:
            walk.require_still()
            terminal = walk.next_cursor is None
            if terminal or pages % self._limits.backfill_chunk_pages == 0:
                read = Read(Depth.BACKFILL, walk.take(), complete=terminal)
                unknown = walk.unknown_fields
                yield Reading(
                    Depth.BACKFILL,
                    raw.asked_at,
                    walk.fetched_at,
                    consent_id,
                    read,
                    last=terminal,
                    unknown_fields=unknown,
                )
            if terminal:
                return
            await self._follow(resource, walk, gate)
            pages += 1

    async def _follow(self, resource: Resource, walk: _Walk, gate: Gate) -> RawPage:
        gate()
        raw = await self._source.fetch_page(resource, walk.next_request())
        walk.add(self._source.normalise(resource, raw.body or b""), raw.fetched_at)
        return raw

    def _digest(self, raw: RawPage) -> bytes:
        # A new parser must look again at what the old one took for known.
        return hashlib.blake2b(raw.digest, digest_size=16, salt=self._source.parser_version.encode()[:16]).digest()


class _Walk:
    """The pages of one read, joined."""

    def __init__(self, request: PageRequest, page: Page, fetched_at: datetime) -> None:
        self._request = request
        self.page = page
        self.fetched_at = fetched_at
        self.entries: list[Entry | Unreadable] = list(page.entries)
        self.unknown_fields: dict[str, int] = dict(page.unknown_fields)
        self.next_cursor = page.next_cursor
        self._total = page.total
        self._cursors = {page.next_cursor}
        self._overlap: tuple[Entry | Unreadable, ...] = ()

    def next_request(self) -> PageRequest:
        """How to ask for the page after the last one."""
        return replace(self._request, cursor=self.next_cursor, etag=None)

    def add(self, page: Page, fetched_at: datetime) -> None:
        """Join the page that the cursor led to.

        Raises:
            CursorError: it leads back to where the read has been, or the feed has grown or shrunk since the first page.
        """
        if page.total != self._total:
            raise CursorError("an entry came or went while paging")
        if page.next_cursor is not None and page.next_cursor in self._cursors:
            raise CursorError("the bank repeated a cursor")
        self._cursors.add(page.next_cursor)
        self.page = page
        self.fetched_at = fetched_at
        self.entries.extend(page.entries)
        self.next_cursor = page.next_cursor
        for name, count in page.unknown_fields.items():
            self.unknown_fields[name] = self.unknown_fields.get(name, 0) + count

    def take(self) -> tuple[Entry | Unreadable, ...]:
        """The entries gathered so far; the last page of them stays in sight of `require_still`."""
        taken = tuple(self.entries)
        self._overlap = self.page.entries
        self.entries = []
        return taken

    def require_still(self) -> None:
        """Raises CursorError when an entry was shown twice with other content."""
        if moved_while_paging((*self._overlap, *self.entries)):
            raise CursorError("an entry was shown twice with other content")


def _sweep(resource: Resource, memory: ResourceMemory) -> tuple[PageRequest, BookingKey | None]:
    """How a complete read begins, and the lowest booking key that it speaks of."""
    if resource.kind.feed is Feed.WHOLE:
        return PageRequest(etag=memory.etag), None
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
    if lower is None:
        return False
    keys = [key for entry in page.entries if (key := _key(entry)) is not None]
    return bool(keys) and keys[-1] < lower and keys == sorted(keys, reverse=True)


def _from(lower: BookingKey | None, entries: list[Entry | Unreadable]) -> tuple[Entry | Unreadable, ...]:
    """The entries without those that stand below `lower`, of which the read says nothing."""
    if lower is None:
        return tuple(entries)
    return tuple(entry for entry in entries if (key := _key(entry)) is None or key >= lower)


def _key(entry: Entry | Unreadable) -> BookingKey | None:
    return entry.record.booking_key if isinstance(entry, Entry) else entry.key


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
        name = entry.record.entity_id
        entity = by_bank_id.get(name) or known.get(name)
        if entity is None or not entity.settled or visible(entity) != entry.record:
            return False
        if oldest_unsettled is not None and entity.key >= oldest_unsettled:
            return False
    return bool(page.entries)
