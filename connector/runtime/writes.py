"""Writes: what one read, or one command, wants committed in one stream. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from connector.diff import Change, diff
from connector.domains.model import EPOCH, BookingKey, Domain, Entry, Feed, Record, ResourceKind, Unreadable
from connector.events import Provenance, Sighting
from connector.links import Link
from connector.observe import NOTHING_SUSPECTED, Depth, Observation, Suspicion
from connector.parties import PartyNaming
from connector.ports import OpenRefresh, Resource
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.packing import Opened
from connector.runtime.walk import Reading
from connector.state import Held, ResourceMeta
from connector.window import UNBOUNDED, Reach, horizon


@dataclass(frozen=True, slots=True)
class Write:
    """One resource's part of a commit.

    `opened` is the resource's window as committed, `changes` what is different, `meta` what else will be remembered;
    `kind` is None for what is not read from the bank. A write that `opens` opens a stream that is new or closed.
    `closes` is the reason for which the stream ends. `refresh` and `confirmed_at` go into the head. `gated` writes pass
    the consent gate again before they are committed. `reach` bounds what may be forgotten.
    """

    account: AccountMemory
    domain: str
    resource: str
    observed_at: datetime
    consent_id: str
    source: Provenance
    name_event: Callable[[str, Record | None, Record | None], str]
    meta: ResourceMeta
    kind: ResourceKind | None = None
    opened: Opened = field(default_factory=Opened)
    changes: tuple[Change, ...] = ()
    suspicion: Suspicion = NOTHING_SUSPECTED
    reach: Reach = UNBOUNDED
    supersedes: Mapping[str, str] = field(default_factory=dict)
    raw_digests: Mapping[str, bytes] = field(default_factory=dict)
    below_floor: tuple[str, ...] = ()
    quarantined: tuple[Unreadable, ...] = ()
    opens: bool = False
    closes: str | None = None
    links: tuple[Link, ...] = ()
    commands_applied: tuple[str, ...] = ()
    holder_token: str | None = None
    """By what the holder is known from here on; of a lifecycle stream."""
    forgets: tuple[str, ...] = ()
    """State keys that go with it, of an account that cannot be opened."""
    gated: bool = True
    refresh: OpenRefresh | None = None
    confirmed_at: datetime | None = None

    @property
    def resources_expected(self) -> frozenset[str]:
        """The names that must all be backfilled before the stream is live, as far as is known when this is asked."""
        if not self.opens:
            return frozenset()
        return frozenset(name for domain, name in self.account.resources if domain == self.domain)

    @property
    def sighting(self) -> Sighting:
        """What all events of this write have in common."""
        return Sighting(
            self.account.account_id, self.domain, self.resource, self.observed_at, self.consent_id, self.source
        )


def prepare(
    account: AccountMemory,
    resource: Resource,
    memory: ResourceMemory,
    reading: Reading,
    observation: Observation,
    *,
    opened: Opened,
    source: Provenance,
    domain: Domain,
) -> Write | None:
    """What a read wants committed; None when there is nothing to tell and nothing that must survive a restart.

    Of a complete read without a digest, and with nothing left to confirm, that it was made must survive one.
    """
    changes = _with_parties(diff(opened.entities, observation.believed), account, domain)
    meta = _meta_after(resource, memory.meta, reading, observation, moved=bool(changes))
    reopening = account.stream(resource.domain).head.status == "closed"
    milestone = (
        reopening
        or meta.backfilled != memory.meta.backfilled
        or (meta.swept_at is not None and memory.meta.swept_at is None)
        or (meta.hole_since is None) != (memory.meta.hole_since is None)
        or _asked(meta.held) != _asked(memory.meta.held)
        or (reading.digest is None and observation.complete and not observation.suspicion)
    )
    if not changes and not milestone and meta.bound == memory.meta.bound:
        return None
    return Write(
        account=account,
        domain=resource.domain,
        resource=resource.name,
        observed_at=reading.fetched_at,
        consent_id=reading.consent_id,
        source=source,
        name_event=domain.name_event,
        meta=meta,
        kind=resource.kind,
        opened=opened,
        changes=changes,
        suspicion=observation.suspicion,
        reach=Reach(horizon(resource.kind, reading.bank_now), meta.joined_to, meta.hole_since is not None),
        supersedes=observation.supersedes,
        raw_digests=observation.raw_digests,
        below_floor=observation.below_floor,
        quarantined=observation.quarantined,
        opens=True,
    )


def _with_parties(changes: tuple[Change, ...], account: AccountMemory, domain: Domain) -> tuple[Change, ...]:
    """The changes, their records naming the other side. Only what changed is worth the work."""
    if domain.name_party is None:
        return changes
    naming = PartyNaming(account.own, account.subject.token)
    named = []
    for change in changes:
        record = change.after.record
        if change.op is not None and record is not None:
            after = change.after.at(change.after.version, domain.name_party(record, naming))
            named.append(Change(change.op, change.before, after))
        else:
            named.append(change)
    return tuple(named)


def _meta_after(
    resource: Resource, meta: ResourceMeta, reading: Reading, observation: Observation, *, moved: bool
) -> ResourceMeta:
    """What is remembered of a resource after a read; `moved`: an entity is committed in another form than before."""
    held = held_after(meta.held, reading, observation.suspicion)
    joined_to = meta.joined_to
    if reading.last and reading.joined_to is not None:
        joined_to = reading.joined_to if joined_to is None else max(joined_to, reading.joined_to)
    hole_since = None if reading.last else meta.hole_since or reading.until
    digests = _Digests(None, None) if moved else _Digests(meta.head_digest, meta.sweep_digest)
    # What is held, or waits for a second read, must be looked at again, even where nothing moves any more.
    digest = None if observation.suspicion else reading.digest
    if reading.depth is Depth.HEAD:
        digests = digests._replace(head=None if observation.suspicion.held else reading.digest)
    elif reading.depth in {Depth.RECONCILE, Depth.WHOLE}:
        digests = digests._replace(sweep=digest)
    after = replace(
        meta,
        joined_to=joined_to,
        hole_since=hole_since,
        held=held,
        head_digest=digests.head,
        sweep_digest=digests.sweep,
    )
    if reading.depth is Depth.HEAD:
        return after
    if reading.depth is Depth.BACKFILL:
        return replace(after, hole_since=None, backfilled=reading.last, bound=_bound_after(resource, meta, reading))
    if reading.depth is Depth.FILL:
        # What was amended, removed or came late meanwhile is for a complete read to find, at once.
        return replace(after, swept_at=EPOCH if meta.swept_at is not None else None)
    # A read that could not vouch for everything is no complete one, however far it went.
    return replace(after, swept_at=reading.fetched_at if observation.complete else meta.swept_at)


class _Digests(NamedTuple):
    """Of a head read and of a complete one, as far as what is committed is what they were compared with."""

    head: bytes | None
    sweep: bytes | None


def _bound_after(resource: Resource, meta: ResourceMeta, reading: Reading) -> BookingKey | None:
    if resource.kind.feed is not Feed.NEWEST_FIRST or reading.last:
        return None
    entries = reading.read.entries if reading.read is not None else ()
    keys = [entry.record.booking_key for entry in entries if isinstance(entry, Entry)]
    return min([*keys, meta.bound] if meta.bound is not None else keys, default=None)


def held_after(before: Held | None, reading: Reading, suspicion: Suspicion) -> Held | None:
    """What is held after a read. Only a complete one takes back what an earlier one held."""
    if suspicion.held is None:
        if reading.depth not in {Depth.RECONCILE, Depth.WHOLE}:
            return before
        # A person's word holds until a second read has followed it.
        waits = before is not None and before.decision == "accepted" and bool(suspicion.absent)
        return before if waits else None
    if before is not None and before.kind == suspicion.held:
        lapsed = before.decision == "accepted"
        return replace(before, count=suspicion.held_count, decision=None if lapsed else before.decision)
    return Held(suspicion.held, reading.until, suspicion.held_count)


def _asked(held: Held | None) -> tuple[str, str | None] | None:
    """What a person is asked about: how many entries it concerns may change from read to read."""
    return None if held is None else (held.kind, held.decision)
