"""Polls: one poll of one resource, from the choice of its depth to the commit of what it showed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.consent import require_consent
from connector.domains.model import Feed
from connector.domains.registry import DOMAINS
from connector.errors import ConsentError
from connector.events import Provenance
from connector.observe import Depth, Known, Observation, observe
from connector.ports import Clock, Resource, Source
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.memory import AccountMemory, ResourceMemory, resources_of
from connector.runtime.options import Cadence
from connector.runtime.poller import Gate, Poller, Reading
from connector.runtime.writes import Write, prepare


@dataclass(slots=True)
class PollCounts:
    """What polls came to; for logs and metrics."""

    polls: int = 0
    unchanged: int = 0
    committed: int = 0
    unknown_fields: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll came to: how deep it read, and whether it committed anything."""

    depth: Depth
    committed: bool


def choose_depth(resource: Resource, memory: ResourceMemory, cadence: Cadence, now: datetime) -> Depth:
    """How deep the next read must be.

    What one complete read made us suspect is confirmed or dropped by the next, which therefore is a complete one too.
    """
    if not memory.meta.backfilled:
        return Depth.BACKFILL
    if resource.kind.feed is Feed.WHOLE:
        return Depth.WHOLE
    swept_at = memory.meta.swept_at
    due = swept_at is None or now >= swept_at + timedelta(seconds=cadence.reconcile_interval_seconds)
    return Depth.RECONCILE if due or memory.suspicion or memory.accept_removals else Depth.HEAD


def _has_parts(resource: Resource) -> bool:
    return any(kind.parts_of == resource.kind.name for kind in DOMAINS[resource.domain].resources)


def _resources_after(
    account: AccountMemory, resource: Resource, observation: Observation
) -> dict[tuple[str, str], Resource]:
    """What can be read once an observation is committed: a new card brings its authorisations."""
    if account.profile is None or not _has_parts(resource):
        return account.resources
    seen = {(resource.domain, resource.name): observation.believed.values()}
    return resources_of(account, account.profile, seen)


class Polls:
    """Runs polls against one source and commits what they show."""

    def __init__(self, source: Source, poller: Poller, clock: Clock, cadences: Callable[[str], Cadence]) -> None:
        self._source = source
        self._poller = poller
        self._clock = clock
        self.cadence = cadences
        self.counts = PollCounts()

    def gate(self, account: AccountMemory, domain: str) -> str:
        """The consent id under which `domain` of `account` may be read now.

        Raises:
            ConsentError: it may not: no consent, paused, removed, or waiting for the holder.
        """
        link = account.link
        if link is None or link.removed or link.paused or account.halted:
            raise ConsentError(f"{account.account_id} is not to be read now: unlinked, paused or closing")
        if domain not in link.domains:
            raise ConsentError(f"the link of {account.account_id} does not ask for {domain}")
        return require_consent(link.consent, domain, self._clock.now()).consent_id

    def gate_write(self, write: Write) -> None:
        """The gate asked a last time, right before a commit."""
        self.gate(write.account, write.domain)
        if write.resource and (write.domain, write.resource) not in write.account.resources:
            raise ConsentError(f"{write.account.account_id} no longer holds {write.resource}")

    async def poll(
        self, account: AccountMemory, resource: Resource, commits: CommitLoop, depth: Depth | None = None
    ) -> Polled:
        """Read `resource` once and commit what it shows.

        Raises: whatever the source, the gate or the journal raise; what was committed before stays committed.
        """
        memory = account.resource(resource.domain, resource.name)
        if depth is None:
            depth = choose_depth(resource, memory, self.cadence(resource.kind.name), self._clock.now())
        gate: Gate = lambda: self.gate(account, resource.domain)  # noqa: E731  # a closure with a declared type
        self.counts.polls += 1
        committed = False
        async for reading in self._poller.readings(resource, memory, depth, gate):
            committed |= await self._take(account, resource, memory, reading, commits)
        return Polled(depth, committed)

    async def _take(
        self,
        account: AccountMemory,
        resource: Resource,
        memory: ResourceMemory,
        reading: Reading,
        commits: CommitLoop,
    ) -> bool:
        """Believe a reading and commit what it shows; True where there was something to commit."""
        for name, count in (reading.unknown_fields or {}).items():
            self.counts.unknown_fields[name] = self.counts.unknown_fields.get(name, 0) + count
        if reading.read is None:
            self.counts.unchanged += 1
            self._note(resource, memory, reading, complete=memory.meta.swept_at is not None)
            return False
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
        )
        observation = observe(known, reading.read, accept_removals=memory.accept_removals)
        memory.quarantined = observation.vanished > 0
        self.counts.quarantined += len(observation.quarantined)
        resources = _resources_after(account, resource, observation)
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
                mode=reading.depth.value,
            ),
            name_event=DOMAINS[resource.domain].name_event,
            expected=frozenset(name for domain, name in resources if domain == resource.domain),
        )
        if write is not None:
            await commits.submit(write)
            self.counts.committed += 1
            if account.profile is not None and _has_parts(resource):
                # Worked out anew: other polls and the profile may have changed what there is since the write was made.
                account.resources = resources_of(account, account.profile)
        else:
            memory.suspicion = observation.suspicion
        self._note(resource, memory, reading, complete=observation.complete)
        return write is not None

    def _note(self, resource: Resource, memory: ResourceMemory, reading: Reading, *, complete: bool) -> None:
        """What lives in memory only: written with the next commit, if at all."""
        memory.read_at = reading.asked_at
        if reading.depth is Depth.HEAD:
            memory.meta = replace(memory.meta, head_digest=reading.digest)
            memory.etag = reading.etag
        elif reading.depth in {Depth.RECONCILE, Depth.WHOLE}:
            swept_at = reading.fetched_at if complete else memory.meta.swept_at
            # What is suspected needs the whole read once more, even where nothing moved.
            digest, etag = (None, None) if memory.suspicion else (reading.digest, reading.etag)
            memory.meta = replace(memory.meta, sweep_digest=digest, swept_at=swept_at)
            if complete and not memory.suspicion:
                memory.reconciled_at = reading.asked_at
            if not memory.suspicion:
                # The operator's word was for what had vanished then, not for whatever may vanish one day.
                memory.accept_removals = False
            if resource.kind.feed is Feed.WHOLE:
                memory.etag = etag
