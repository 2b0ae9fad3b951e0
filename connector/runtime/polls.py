"""Polls: one poll of one resource, from the choice of its depth to the commit of what it showed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.cadence import Intervals, Live
from connector.consent import require_consent
from connector.domains.model import Feed
from connector.domains.registry import DOMAINS
from connector.errors import ConsentError
from connector.events import Provenance
from connector.observe import NO_TRUST, Depth, Known, Observation, Trust, observe
from connector.ports import Clock, Resource, Source
from connector.runtime.clock_watch import ClockWatch
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.holder import require_same_holder
from connector.runtime.memory import AccountMemory, ResourceMemory, resources_of
from connector.runtime.poller import Poller
from connector.runtime.timetable import Timetable
from connector.runtime.walk import Gate, Reading
from connector.runtime.writes import Write, held_after, prepare
from connector.state import Held


@dataclass(slots=True)
class PollCounts:
    """What polls came to; for logs and metrics."""

    polls: int = 0
    unchanged: int = 0
    committed: int = 0
    unknown_fields: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll came to: how deep it read, and whether it committed any change."""

    depth: Depth
    changed: bool


def choose_depth(
    resource: Resource, memory: ResourceMemory, intervals: Intervals, now: datetime, *, live: bool = True
) -> Depth:
    """How deep the next read must be; one that is not `live` reads everything.

    What one complete read made us suspect is confirmed or dropped by the next, which therefore is a complete one too.
    A complete read that was made in the future, by a clock that was wrong, counts as none.
    """
    meta = memory.meta
    if not meta.backfilled:
        return Depth.BACKFILL
    if resource.kind.feed is Feed.WHOLE:
        return Depth.WHOLE
    if meta.hole_since is not None:
        return Depth.FILL
    due = meta.swept_at is None or not (
        meta.swept_at <= now < meta.swept_at + timedelta(seconds=intervals.reconcile_interval_seconds)
    )
    return Depth.RECONCILE if due or not live or memory.suspicion or meta.holds else Depth.HEAD


def _mode(depth: Depth, *, live: bool) -> str:
    """What events say of why they were read: complete reads outside live mode are snapshots, whatever the feed."""
    if depth is Depth.RECONCILE and not live:
        return Depth.WHOLE.value
    return Depth.RECONCILE.value if depth is Depth.FILL else depth.value


def _trust(held: Held | None, until: datetime, empty_confirm_seconds: float) -> Trust:
    """What is believed of what is held: by a person's word, or because an emptiness has lasted."""
    if held is None or held.decision == "rejected":
        return NO_TRUST
    if held.decision == "accepted":
        return Trust(entries=held.count, emptiness=held.kind == "emptiness")
    lasted = until - held.since >= timedelta(seconds=empty_confirm_seconds)
    return Trust(emptiness=held.kind == "emptiness" and lasted)


async def _commit(
    account: AccountMemory, resource: Resource, observation: Observation, write: Write, commits: CommitLoop
) -> None:
    """Commit what an observation showed, and have its parts read from then on: a new card brings its authorisations.

    Others of the stream are committed meanwhile, perhaps in the same commit: they must know of the parts before, lest
    one of them tells the backfill complete without them. What can be read afterwards is what was committed.
    """
    profile = account.profile
    if profile is None or all(kind.parts_of != resource.kind.name for kind in DOMAINS[resource.domain].resources):
        await commits.submit(write)
        return
    seen = {(resource.domain, resource.name): observation.believed.values()}
    account.resources = resources_of(account, profile, seen)
    try:
        await commits.submit(write)
    finally:
        account.resources = resources_of(account, account.profile or profile)


class Polls:
    """Runs polls against one source and commits what they show."""

    def __init__(self, source: Source, poller: Poller, clock: Clock, timetable: Timetable, watch: ClockWatch) -> None:
        self._source = source
        self._poller = poller
        self._clock = clock
        self._timetable = timetable
        self.watch = watch
        self.counts = PollCounts()

    def gate(self, account: AccountMemory, domain: str) -> str:
        """The consent id under which `domain` of `account` may be read now.

        Raises:
            ConsentError: it may not: no consent, paused, removed, waiting for the holder, or the clock is in doubt.
        """
        link = account.link
        if account.waiting_for == "holder_mismatch":
            raise ConsentError(f"{account.account_id} shows another holder: nothing of it is told")
        if link is None or link.removed or link.paused or account.halted:
            raise ConsentError(f"{account.account_id} is not to be read now: unlinked, paused or closing")
        if domain not in link.domains:
            raise ConsentError(f"the link of {account.account_id} does not ask for {domain}")
        doubt = self.watch.look()
        if doubt.doubtful:
            raise ConsentError("the clock is in doubt: nothing is read until it is known what time it is")
        now = self._clock.now()
        return require_consent(link.consent, domain, now, latest=doubt.latest(now)).consent_id

    def gate_resource(self, account: AccountMemory, domain: str, name: str) -> str:
        """As `gate`, for one resource: it is refused, too, once the login no longer holds it."""
        consent_id = self.gate(account, domain)
        if (domain, name) not in account.resources:
            raise ConsentError(f"{account.account_id} no longer holds {name}")
        return consent_id

    def gate_write(self, write: Write) -> None:
        """The gate asked a last time, right before a commit."""
        if write.resource:
            self.gate_resource(write.account, write.domain, write.resource)
        else:
            self.gate(write.account, write.domain)

    async def poll(
        self, account: AccountMemory, resource: Resource, commits: CommitLoop, depth: Depth | None = None
    ) -> Polled:
        """Read `resource` once and commit what it shows.

        Raises: whatever the source, the gate or the journal raise; what was committed before stays committed.
        """
        memory = account.resource(resource.domain, resource.name)
        if depth is None:
            intervals, live = self._timetable.intervals(account, resource), self._live(account, resource)
            depth = choose_depth(resource, memory, intervals, self._clock.now(), live=live)
        gate: Gate = lambda: self.gate_resource(account, resource.domain, resource.name)  # noqa: E731  # a closure with a declared type
        commits.require_taken((account.account_id, resource.domain))
        self.counts.polls += 1
        changed = False
        async for reading in self._poller.readings(resource, memory, depth, gate):
            changed |= await self._take(account, resource, memory, reading, commits)
        return Polled(depth, changed)

    async def _take(
        self,
        account: AccountMemory,
        resource: Resource,
        memory: ResourceMemory,
        reading: Reading,
        commits: CommitLoop,
    ) -> bool:
        """Believe a reading and commit what it shows; True where that was a change."""
        live = self._live(account, resource)
        if not live:
            # A snapshot is looked into each time: that it was made is committed, lest a restart make it once more.
            reading = replace(reading, digest=None, etag=None)
        for name, count in (reading.unknown_fields or {}).items():
            self.counts.unknown_fields[name] = self.counts.unknown_fields.get(name, 0) + count
        if reading.read is None:
            self.counts.unchanged += 1
            memory.etag_uses += 1
            self._note(resource, memory, reading, complete=memory.meta.swept_at is not None, moved=False)
            self._pace(memory, reading, changed=False, doubtful=False)
            return False
        memory.etag_uses = 0
        require_same_holder(account, reading.read.entries)
        # The read may have opened the window already, to know where to stop.
        opened = reading.opened or memory.packed.open()
        known = Known(
            kind=resource.kind,
            entities=opened.entities,
            floor=memory.meta.floor,
            bound=memory.meta.bound,
            backfilled=memory.meta.backfilled,
            swept=memory.meta.swept_at is not None,
            suspicion=memory.suspicion,
            joined_to=memory.meta.joined_to,
            hole=memory.meta.hole_since is not None,
        )
        trust = _trust(memory.meta.held, reading.until, self._timetable.options.empty_confirm_seconds)
        observation = observe(known, reading.read, trust)
        write = prepare(
            account,
            resource,
            memory,
            reading,
            observation,
            opened=opened,
            source=Provenance(
                route=self._source.route,
                backend=resource.kind.backend,
                api_version=self._source.api_version,
                parser_version=self._source.parser_version,
                mode=_mode(reading.depth, live=live),
            ),
            domain=DOMAINS[resource.domain],
        )
        doubtful = observation.suspicion.beyond(memory.suspicion)
        changed = write is not None and bool(write.changes)
        if write is not None:
            await _commit(account, resource, observation, write, commits)
            self.counts.committed += 1
        else:
            memory.suspicion = observation.suspicion
            # Nothing that is asked about changed, else it were committed: only how many entries it is about.
            memory.meta = replace(memory.meta, held=held_after(memory.meta.held, reading, observation.suspicion))
        self._note(resource, memory, reading, complete=observation.complete, moved=changed)
        self._pace(memory, reading, changed=changed, doubtful=doubtful)
        return changed

    def _live(self, account: AccountMemory, resource: Resource) -> bool:
        return isinstance(self._timetable.mode(account, resource.domain), Live)

    def _pace(self, memory: ResourceMemory, reading: Reading, *, changed: bool, doubtful: bool) -> None:
        """What a read showed decides how soon the next one comes; a first sync shows what was, not what happens."""
        if reading.depth is Depth.BACKFILL:
            memory.unconfirmed = True
            return
        if reading.depth is not Depth.HEAD:
            memory.unconfirmed = doubtful
        self._timetable.note(memory, active=changed or doubtful)

    def _note(
        self, resource: Resource, memory: ResourceMemory, reading: Reading, *, complete: bool, moved: bool
    ) -> None:
        """What lives in memory only: written with the next commit, if at all.

        No claim moves by a read that left a gap, or while something that the bank shows is not believed.
        """
        meta = memory.meta
        sound = reading.last and meta.hole_since is None and not meta.holds and memory.suspicion.held is None
        if sound:
            memory.read_at = reading.until
        if reading.depth is Depth.HEAD:
            digest, etag = (reading.digest, reading.etag) if sound else (None, None)
            memory.meta = replace(meta, head_digest=digest)
            memory.etag = etag if digest is not None else None
        elif reading.depth in {Depth.RECONCILE, Depth.WHOLE}:
            memory.looked_at = reading.until
            swept_at = reading.fetched_at if complete else meta.swept_at
            # What is suspected needs the whole read once more, even where nothing moved.
            digest, etag = (None, None) if memory.suspicion else (reading.digest, reading.etag)
            memory.meta = replace(meta, sweep_digest=digest, swept_at=swept_at)
            if complete and sound and not memory.suspicion:
                memory.reconciled_at = reading.until
            if resource.kind.feed is Feed.WHOLE:
                memory.etag = etag
            elif moved:
                # A tag is of what was committed when the bank gave it.
                memory.etag = None
        elif moved:
            memory.etag = None
