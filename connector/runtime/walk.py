"""Walk: the pages of one read, joined, and what the read proves besides its entries: up to when, and up to where."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from connector.domains.model import BookingKey, Entry, Feed, ResourceKind, Unreadable
from connector.errors import CursorError, DataError
from connector.limits import MAXIMUM_ENTRIES_A_READ, MAXIMUM_PAGES_A_READ, MAXIMUM_STALLED_PAGES
from connector.observe import Depth, Read, moved_while_paging
from connector.ports import Page, PageRequest, RawPage, Resource, Source
from connector.runtime.clock_doubt import claim_time, retention_time
from connector.runtime.packing import Opened
from connector.window import horizon, joined_key

Gate = Callable[[], str]
"""Raises ConsentError when reading is not allowed now; else names the consent."""

DIGEST_BYTES: Final = 16
LAST_KEYS: Final = 1_000
"""Booking keys of an ascending read that are kept to know how far it came."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One observable read with what it leaves behind.

    `unchanged`: the bank showed what is committed; nothing was decoded. `digest` is remembered for the depth's next
    read; `last` is False for a chunk that more will follow, and for a read that stopped short of what was told. What
    the bank did before `until`, the read had to show: the smaller of our clock and the bank's, when it began. By
    `bank_now` its windows and retention are measured. `joined_to` is the newest booking key that it shows, outliers
    aside. `opened` is the window, where the read had to open it.
    """

    depth: Depth
    until: datetime
    fetched_at: datetime
    bank_now: datetime
    consent_id: str
    read: Read | None = None
    digest: bytes | None = None
    etag: str | None = None
    last: bool = True
    joined_to: BookingKey | None = None
    unknown_fields: Mapping[str, int] | None = None
    opened: Opened | None = None

    @property
    def unchanged(self) -> bool:
        return self.read is None


class Walk:
    """The pages of one read, joined. Made with its first answer, which may be one that is not worth looking into."""

    maximum_pages = MAXIMUM_PAGES_A_READ
    bank_tells_time = True

    def __init__(
        self, source: Source, resource: Resource, request: PageRequest, gate: Gate, raw: RawPage, consent_id: str
    ) -> None:
        self.raw = raw
        self.fetched_at = raw.fetched_at
        self.entries: list[Entry | Unreadable] = []
        self.unknown_fields: dict[str, int] = {}
        self.next_cursor: str | None = None
        self.pages = 0
        self.page = Page((), None)
        self._source, self._resource, self._request, self._gate = source, resource, request, gate
        self._consent_id = consent_id
        self._digests = hashlib.blake2b(self.digest, digest_size=DIGEST_BYTES)
        self._cursors: set[str] = set()
        self._overlap: tuple[Entry | Unreadable, ...] = ()
        self._stalled = 0
        self._first_keys: tuple[BookingKey, ...] = ()
        self._last_keys: tuple[BookingKey, ...] = ()

    @property
    def kind(self) -> ResourceKind:
        """What is read."""
        return self._resource.kind

    @property
    def digest(self) -> bytes:
        """The digest of the first page. A new parser must look again at what the old one took for known."""
        return self._digest(self.raw)

    @property
    def bank_now(self) -> datetime:
        """What time it is at the bank: as it says, unless that is a day and more off from a clock that it shares."""
        if self.bank_tells_time:
            return retention_time(self.raw.served_at, self.raw.fetched_at)
        return self.raw.served_at or self.raw.fetched_at

    @property
    def until(self) -> datetime:
        """Up to when the first answer speaks of the bank, at least."""
        return claim_time(self.raw.asked_at, self.raw.served_at) if self.bank_tells_time else self.raw.asked_at

    @property
    def joined_to(self) -> BookingKey | None:
        """Up to where everything was told once a read ends that left no gap."""
        keys = self._last_keys if self.kind.feed is Feed.ASCENDING else self._first_keys
        return joined_key(self.kind, keys, horizon(self.kind, self.bank_now))

    async def understand(self) -> None:
        """Look into the first page."""
        self._take_page(await self._understood(self.raw), self.raw.fetched_at)
        self._first_keys = tuple(keys_of(self.page))

    async def follow(self) -> None:
        """Ask for the next page, the gate first, and join it.

        Raises:
            CursorError: it leads back to where the read has been, or the feed has grown or shrunk since the first page.
            DataError: there is no end to it.
        """
        if self.pages >= self.maximum_pages:
            raise DataError(f"the feed does not end within {self.maximum_pages} pages")
        if len(self.entries) > MAXIMUM_ENTRIES_A_READ:
            raise DataError(f"more than {MAXIMUM_ENTRIES_A_READ} entries in one read")
        self._gate()
        raw = await self._source.fetch_page(self._resource, replace(self._request, cursor=self.next_cursor, etag=None))
        page = await self._understood(raw)
        if page.total != self.page.total:
            raise CursorError("an entry came or went while paging")
        if page.next_cursor is not None and page.next_cursor in self._cursors:
            raise CursorError("the bank repeated a cursor")
        shown = {entry.name for entry in self.page.entries}
        self._stalled = 0 if any(entry.name not in shown for entry in page.entries) else self._stalled + 1
        if self._stalled >= MAXIMUM_STALLED_PAGES and page.next_cursor is not None:
            raise CursorError("the bank's pages do not get on")
        self._digests.update(self._digest(raw))
        self._take_page(page, raw.fetched_at)

    async def _understood(self, raw: RawPage) -> Page:
        return await self._source.understand(self._resource, raw.body or b"")

    def _take_page(self, page: Page, fetched_at: datetime) -> None:
        self.page, self.fetched_at, self.next_cursor = page, fetched_at, page.next_cursor
        self.pages += 1
        if page.next_cursor is not None:
            self._cursors.add(page.next_cursor)
        self.entries.extend(page.entries)
        self._last_keys = (*self._last_keys, *keys_of(page))[-LAST_KEYS:]
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

    def joined_digest(self) -> bytes:
        """The digest of all pages."""
        return self._digests.digest()

    def reading(
        self,
        depth: Depth,
        read: Read | None = None,
        *,
        digest: bytes | None = None,
        last: bool = True,
        joined_to: BookingKey | None = None,
        opened: Opened | None = None,
    ) -> Reading:
        """What this walk came to."""
        return Reading(
            depth,
            self.until,
            self.fetched_at,
            self.bank_now,
            self._consent_id,
            read,
            digest,
            self.raw.etag,
            last,
            joined_to,
            self.unknown_fields,
            opened,
        )

    def _digest(self, raw: RawPage) -> bytes:
        salt = self._source.parser_version.encode()[:16]
        return hashlib.blake2b(raw.digest, digest_size=DIGEST_BYTES, salt=salt).digest()


def keys_of(page: Page) -> list[BookingKey]:
    """The booking keys of a page that can be read, in its own order."""
    return [key for entry in page.entries if (key := entry.key) is not None]
