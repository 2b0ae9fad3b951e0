"""Writes: what one read, or one command, wants committed in one stream. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.diff import Change, diff
from connector.domains.model import Domain, Entry, Feed, Record, ResourceKind, Unreadable
from connector.events import Provenance, Sighting
from connector.links import Link
from connector.observe import NOTHING_SUSPECTED, Depth, Observation, Suspicion
from connector.parties import PartyNaming
from connector.ports import Resource
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.packing import Opened
from connector.runtime.poller import Reading
from connector.state import ResourceMeta


@dataclass(frozen=True, slots=True)
class Write:
    """One resource's part of a commit.

    `opened` is the resource's window as committed, `changes` what is different, `meta` what else will be remembered;
    `kind` is None for what is not read from the bank. A write that `opens` opens a stream that is new or closed.
    `closes` is the reason for which the stream ends. `gated` writes pass the consent gate again before they are
    committed.
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
    meta = _meta_after(resource, memory.meta, reading, observation)
    reopening = account.stream(resource.domain).head.status == "closed"
    milestone = (
        reopening
        or meta.backfilled != memory.meta.backfilled
        or (meta.swept_at is not None and memory.meta.swept_at is None)
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


def _meta_after(resource: Resource, meta: ResourceMeta, reading: Reading, observation: Observation) -> ResourceMeta:
    if reading.depth is Depth.HEAD:
        return replace(meta, head_digest=reading.digest)
    if reading.depth is Depth.BACKFILL:
        bound = None
        if resource.kind.feed is Feed.NEWEST_FIRST and not reading.last:
            entries = reading.read.entries if reading.read is not None else ()
            keys = [entry.record.booking_key for entry in entries if isinstance(entry, Entry)]
            bound = min([*keys, meta.bound] if meta.bound is not None else keys, default=None)
        return replace(meta, backfilled=reading.last, bound=bound)
    # A read that could not vouch for everything is no complete one, however far it went.
    swept_at = reading.fetched_at if observation.complete else meta.swept_at
    # What is suspected lives in memory: whoever restores this must look again, even where nothing moves any more.
    digest = None if observation.suspicion else reading.digest
    return replace(meta, sweep_digest=digest, swept_at=swept_at)
