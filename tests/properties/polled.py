"""A life of one resource under the real poller and polls, on the model bank: pages, tags, restarts, failed commits.

Two laws are held to after every poll: what a poll takes for unchanged is what is committed, and while there is a gap
nothing above it is forgotten and nothing is claimed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from connector.cadence import Intervals
from connector.chain import Chain
from connector.consent import Consent
from connector.diff import Change, diff
from connector.domains.model import BookingKey, Feed, ResourceKind
from connector.errors import JournalError
from connector.links import Link
from connector.observe import Depth, Known, Observation, Read, observe
from connector.ports import Page, PageRequest, RawPage, Resource
from connector.runtime import commit_loop
from connector.runtime.clock_watch import ClockWatch
from connector.runtime.encoding import encode
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.options import WorkerOptions
from connector.runtime.packing import pack
from connector.runtime.poller import Poller, PollLimits
from connector.runtime.polls import Polls
from connector.runtime.sealed_state import Subject
from connector.runtime.timetable import Timetable
from connector.runtime.walk import keys_of
from connector.runtime.writes import Write
from connector.state import StreamHead
from connector.window import karachi_day
from tests.properties.bank import Bank, Line, instant

ACCOUNT = "acc_model"
LONG_SECONDS = 1e9
DOMAIN = {Feed.NEWEST_FIRST: "transactions", Feed.ASCENDING: "loyalty", Feed.WHOLE: "loyalty"}
Fault = Literal["before", "after"]


class ModelClock:
    """The bank's own hours, and the seconds that reads have taken."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self.seconds = 0

    def now(self) -> datetime:
        self.seconds += 1
        return instant(self._bank.now) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return (instant(self._bank.now) - instant(0)).total_seconds() + self.seconds

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class ModelSource:
    """The model bank in pages. `tagged`: first pages have a tag, and 304 answers one that still fits."""

    route = api_version = parser_version = "1"

    def __init__(self, bank: Bank, clock: ModelClock, size: int, *, tagged: bool) -> None:
        self._bank, self._clock, self._size, self._tagged = bank, clock, size, tagged
        self._pages: dict[bytes, Page] = {}

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        asked_at = self._clock.now()
        lines = [line for line in self._bank.shown() if self._asked(line, request)]
        shown = lines if resource.kind.feed is Feed.WHOLE else lines[: self._size]
        more = len(shown) < len(lines)
        cursor = self._bank.record(shown[-1]).booking_key if more else None
        body = repr((shown, cursor)).encode()
        digest = hashlib.blake2b(body, digest_size=16).digest()
        etag = digest.hex() if self._tagged and request.cursor is None else None
        if etag is not None and request.etag == etag:
            return RawPage(None, b"", etag, asked_at, self._clock.now())
        entries = tuple(self._bank.entry(line) for line in shown)
        self._pages[body] = Page(entries, None if cursor is None else f"{cursor.order}|{cursor.tie}")
        return RawPage(body, digest, etag, asked_at, self._clock.now())

    async def understand(self, _resource: Resource, body: bytes) -> Page:
        return self._pages[body]

    def _asked(self, line: Line, request: PageRequest) -> bool:
        key = self._bank.record(line).booking_key
        if request.cursor is not None:
            order, _, tie = request.cursor.partition("|")
            last = BookingKey(int(order), tie)
            if not (key < last if self._bank.feed is Feed.NEWEST_FIRST else key > last):
                return False
        if request.since is not None and karachi_day(key) < request.since:
            return False
        return request.after is None or key.order > request.after.order


@dataclass
class Committed:
    """Commits one write at a time, or fails to on command; what is durable outlives the memory."""

    head: StreamHead = field(default_factory=StreamHead)
    values: dict[str, dict[str, bytes]] = field(default_factory=dict)
    number: int = 0
    fault: Fault | None = None

    def require_taken(self, _stream: object) -> None:
        """Every stream is taken."""

    async def submit(self, write: Write) -> None:
        fault, self.fault = self.fault, None
        if fault == "before":
            raise JournalError("planted: nothing was written")
        self.number += 1
        chain = Chain(bytes(32))
        encoded = encode(
            write, self.head, commit_number=self.number, maximum_record_bytes=10**6, epoch="model", chain=chain
        )
        self.head = encoded.head
        self.values[write.resource] = dict(encoded.values)
        if fault == "after":
            raise JournalError("planted: nobody knows whether it was written")
        assert commit_loop._published([encoded]) is None


class PolledLife:
    """One resource of one account. `size` of a page, `cap` of pages of a head read."""

    def __init__(self, kind: ResourceKind, history: int, *, size: int, cap: int, tagged: bool) -> None:
        self.bank = Bank(kind.feed, history)
        self.resource = Resource(ACCOUNT, DOMAIN[kind.feed], kind, kind.name)
        self.committed = Committed()
        self._clock = ModelClock(self.bank)
        self._source = cast("Any", ModelSource(self.bank, self._clock, size, tagged=tagged))
        self._limits = PollLimits(head_page_cap=cap, backfill_chunk_pages=2)
        intervals = {kind.name: Intervals(1.0, LONG_SECONDS)}
        options = WorkerOptions(intervals=intervals, bank_tells_time=False, empty_confirm_seconds=0.0)
        self._timetable = Timetable(options, self._clock)
        self.unchanged = 0
        self.restart()

    def restart(self) -> None:
        """A new life of the connector, on what is committed."""
        domain = self.resource.domain
        consent = Consent("cns_model", frozenset({domain}), instant(-99), instant(10**6), "0" * 64, "en")
        link = Link(ACCOUNT, 1, "app-session", "model", frozenset({domain}), consent)
        self.account = AccountMemory(ACCOUNT, Subject(ACCOUNT, bytes(32)), link)
        self.account.stream(domain).head = self.committed.head
        self.account.resources = {(domain, self.resource.name): self.resource}
        for name, values in self.committed.values.items():
            self.account.resource(domain, name).packed = pack(domain, values.values())
        watch = ClockWatch(self._clock, self._source, bank_tells_time=False)
        self._poller = Poller(self._source, self._limits, bank_tells_time=False)
        self._polls = Polls(self._source, self._poller, self._clock, self._timetable, watch)

    async def sweep(self) -> None:
        """A complete read, if nothing else is due before."""
        await self.poll(Depth.WHOLE if self.resource.kind.feed is Feed.WHOLE else Depth.RECONCILE)

    async def brief(self, number: int, *, swept: bool) -> None:
        """An entry comes, is seen, and goes: what the next read shows was shown before."""
        self.bank.add(0, number)
        await (self.sweep() if swept else self.poll())
        self.bank.remove(0, 0)

    async def flip(self, number: int) -> None:
        """The mirror: what a head read saw before is there again after a sweep has seen something else."""
        await self.poll()
        if line := self.bank.amended(number):
            await self.sweep()
            self.bank.lines[line.name] = line
            await self.poll()

    @property
    def memory(self) -> ResourceMemory:
        return self.account.resource(self.resource.domain, self.resource.name)

    async def poll(self, depth: Depth | None = None) -> None:
        """One poll, to the depth that is due or to a complete one, and the laws after it."""
        memory = self.memory
        if memory.meta.hole_since is not None or not memory.meta.backfilled:
            depth = None
        before, unchanged = (memory.read_at, memory.reconciled_at, memory.meta.floor), self._polls.counts.unchanged
        try:
            polled = await self._polls.poll(self.account, self.resource, cast("Any", self.committed), depth)
        except JournalError:
            self.restart()
            return
        if self._polls.counts.unchanged > unchanged:
            self.unchanged += 1
            await self._require_unchanged(polled.depth)
        self._require_still_below_a_gap(before)

    def _require_still_below_a_gap(self, before: tuple[datetime | None, datetime | None, BookingKey | None]) -> None:
        memory = self.memory
        if memory.meta.hole_since is None:
            return
        assert (memory.read_at, memory.reconciled_at) == before[:2], "claimed while there is a gap"
        floor, joined_to = memory.meta.floor, memory.meta.joined_to
        risen = floor is not None and floor != before[2]
        assert not risen or (joined_to is not None and cast("BookingKey", floor) <= joined_to), "forgot above a gap"

    async def _require_unchanged(self, depth: Depth) -> None:
        """The same read once more, by a memory without digests and tags, must show nothing but what is committed."""
        memory = self.memory
        meta = replace(memory.meta, head_digest=None, sweep_digest=None)
        blind = replace(memory, meta=meta, etag=None)
        readings = [one async for one in self._poller.readings(self.resource, blind, depth, lambda: "consent")]
        assert len(readings) == 1
        read = readings[0].read
        assert read is not None
        if depth is not Depth.HEAD:
            seen, changes = self._seen(read)
            assert not changes, f"taken for unchanged by a complete read: {changes[0]}"
            assert not seen.suspicion.absent, f"gone, and taken for unchanged: {set(seen.suspicion.absent)}"
            return
        page = await self._first_page(memory)
        _, changes = self._seen(replace(read, entries=page.entries))
        assert not changes, f"taken for unchanged by a head read: {changes[0]}"
        told_to = self._told_to(memory)
        fresh = [key for key in keys_of(Page(read.entries, None)) if told_to is None or key > told_to]
        known = {entity.key for entity in memory.packed.open().entities.values()}
        assert set(fresh) <= known, "new, and taken for unchanged"

    async def _first_page(self, memory: ResourceMemory) -> Page:
        after = memory.bounds_for(self.resource.kind).after
        raw = await self._source.fetch_page(self.resource, PageRequest(after=after))
        return cast("Page", await self._source.understand(self.resource, raw.body))

    def _told_to(self, memory: ResourceMemory) -> BookingKey | None:
        """What is above it no head read may pass over."""
        if self.resource.kind.feed is not Feed.ASCENDING:
            return memory.meta.joined_to
        return max((entity.key for entity in memory.packed.open().entities.values()), default=None)

    def _seen(self, read: Read) -> tuple[Observation, tuple[Change, ...]]:
        memory = self.memory
        entities = memory.packed.open().entities
        known = Known(
            kind=self.resource.kind,
            entities=entities,
            floor=memory.meta.floor,
            bound=memory.meta.bound,
            backfilled=memory.meta.backfilled,
            swept=memory.meta.swept_at is not None,
            joined_to=memory.meta.joined_to,
            hole=memory.meta.hole_since is not None,
        )
        seen = observe(known, read)
        return seen, diff(entities, seen.believed)
