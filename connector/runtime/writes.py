"""Writes: what one read, or one command, wants committed in one stream; and how it becomes events and state.

Pure but for sealing's nonces. Sequence numbers are given here, in the commit loop and nowhere else, so that a write
that never commits leaves no gap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.avro import encode_event
from connector.diff import Change, Entities, apply, diff
from connector.domains.model import EPOCH, Entry, Feed, Record, Unreadable
from connector.errors import DataError
from connector.events import (
    STREAM_ENTITY,
    Event,
    Provenance,
    Sighting,
    change_event,
    cloud_event_headers,
    stream_event,
)
from connector.links import Link
from connector.observe import Depth, Observation, Suspicion
from connector.ports import EventRecord, QuarantineRecord, Resource, StateRecord
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.packing import Opened
from connector.runtime.poller import Reading
from connector.state import EntityState, ResourceMeta, StreamHead
from connector.window import Kept, let_go


@dataclass(frozen=True, slots=True)
class Write:
    """One resource's part of a commit.

    `entities` and `meta` are what the resource will be once committed, `opened` what it was; `written` and `dropped`
    are the entities whose state must be written or tombstoned. A write that `opens` opens a stream that is new or
    closed. `resources_expected` are the names that must all be backfilled before the stream is live. `closes` is the
    reason for which the stream ends. `gated` writes pass the consent gate again before they are committed.
    """

    account: AccountMemory
    domain: str
    resource: str
    observed_at: datetime
    consent_id: str
    source: Provenance
    name_event: Callable[[str, Record | None, Record | None], str]
    meta: ResourceMeta
    entities: Entities
    opened: Opened = field(default_factory=Opened)
    changes: tuple[Change, ...] = ()
    written: tuple[EntityState, ...] = ()
    dropped: tuple[str, ...] = ()
    suspicion: Suspicion = field(default_factory=Suspicion)
    supersedes: Mapping[str, str] = field(default_factory=dict)
    raw_digests: Mapping[str, bytes] = field(default_factory=dict)
    below_floor: tuple[str, ...] = ()
    quarantined: tuple[Unreadable, ...] = ()
    resources_expected: frozenset[str] = frozenset()
    opens: bool = False
    closes: str | None = None
    links: tuple[Link, ...] = ()
    commands_applied: tuple[str, ...] = ()
    gated: bool = True

    @property
    def sighting(self) -> Sighting:
        """What all events of this write have in common."""
        return Sighting(
            self.account.account_id, self.domain, self.resource, self.observed_at, self.consent_id, self.source
        )


@dataclass(frozen=True, slots=True)
class Encoded:
    """A write, turned into what the journal takes, and the head and entities that it leaves."""

    write: Write
    head: StreamHead
    entities: Entities
    events: tuple[EventRecord, ...]
    state: tuple[StateRecord, ...]
    quarantine: tuple[QuarantineRecord, ...]


def prepare(
    account: AccountMemory,
    resource: Resource,
    memory: ResourceMemory,
    reading: Reading,
    observation: Observation,
    *,
    opened: Opened,
    source: Provenance,
    name_event: Callable[[str, Record | None, Record | None], str],
    expected: frozenset[str],
) -> Write | None:
    """What a read wants committed; None when there is nothing to tell and nothing that must survive a restart."""
    known = opened.entities
    changes = diff(known, observation.believed)
    meta = _meta_after(resource, memory.meta, reading, observation)
    reopening = account.stream(resource.domain).head.status == "closed"
    milestone = (
        reopening
        or meta.backfilled != memory.meta.backfilled
        or (meta.swept_at is not None and memory.meta.swept_at is None)
    )
    if not changes and not milestone and meta.bound == memory.meta.bound:
        return None
    kept = let_go(resource.kind, meta.floor, apply(known, changes))
    touched = {change.after.entity_id for change in changes} | {entity.entity_id for entity in kept.rewritten}
    return Write(
        account=account,
        domain=resource.domain,
        resource=resource.name,
        observed_at=reading.fetched_at,
        consent_id=reading.consent_id,
        source=source,
        name_event=name_event,
        meta=replace(meta, floor=kept.floor),
        entities=kept.entities,
        opened=opened,
        changes=changes,
        written=tuple(kept.entities[entity_id] for entity_id in sorted(touched) if entity_id in kept.entities),
        dropped=_tombstones(known, kept),
        suspicion=observation.suspicion,
        supersedes=observation.supersedes,
        raw_digests=observation.raw_digests,
        below_floor=observation.below_floor,
        quarantined=observation.quarantined,
        resources_expected=expected,
        opens=True,
    )


def _tombstones(known: Entities, kept: Kept) -> tuple[str, ...]:
    return tuple(entity_id for entity_id in kept.dropped if entity_id in known)


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
    return replace(meta, sweep_digest=reading.digest, swept_at=swept_at)


class _Numbering:
    """Gives sequence and stream versions, in order."""

    def __init__(self, write: Write, head: StreamHead) -> None:
        self.write = write
        self.sequence = head.sequence
        self.stream_version = head.stream_version
        self.status = head.status
        self.events: list[Event] = []

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence

    def tell_stream(self, event_type: str, reason: str | None = None) -> None:
        self.stream_version += 1
        sighting = replace(self.write.sighting, resource=STREAM_ENTITY)
        self.events.append(
            stream_event(
                sighting,
                event_type,
                sequence=self.next_sequence(),
                entity_id=STREAM_ENTITY,
                entity_version=self.stream_version,
                reason=reason,
            )
        )


def encode(write: Write, head: StreamHead, *, commit_number: int, maximum_record_bytes: int) -> Encoded:
    """Number, name, encode and seal a write on top of its stream's head.

    A change whose event does not fit its schema or the journal's record limit is set aside: its digest and reason go to
    quarantine and its entity keeps the last version that could be told; the rest of the write goes on.
    """
    subject = write.account.subject
    numbering = _Numbering(write, head)
    quarantine = [
        _quarantine_record(write, entry.entity_id, entry.raw_digest, entry.reason) for entry in write.quarantined
    ]
    written = {entity.entity_id: entity for entity in write.written}
    entities = dict(write.entities)
    records: list[EventRecord] = []

    def flush() -> None:
        records.extend(_record(write.domain, event) for event in numbering.events)
        numbering.events.clear()

    if write.opens and numbering.status in {"new", "closed"}:
        # A stream that was backfilled before goes on where it stopped: its first read is a reconcile.
        numbering.tell_stream("StreamOpened")
        numbering.status = "live" if head.status == "closed" and _all_backfilled(write, head) else "backfilling"
        flush()
    for change in write.changes:
        if change.op is None:
            continue
        record, reason = _change_record(write, change, change.op, numbering.sequence + 1, maximum_record_bytes)
        if record is not None:
            numbering.next_sequence()
            records.append(record)
            continue
        digest = write.raw_digests.get(change.after.entity_id, b"")
        aside = _set_aside(change, digest)
        if aside != change.before:
            # Told apart by its digest: the same entry is set aside with every commit, and quarantined once.
            quarantine.append(_quarantine_record(write, change.after.entity_id, digest, reason))
        entities[aside.entity_id] = aside
        written[aside.entity_id] = aside
    for entity_id in write.below_floor:
        event = stream_event(
            write.sighting, "EntryBelowFloor", sequence=numbering.next_sequence(), entity_id=entity_id, entity_version=0
        )
        numbering.events.append(event)
        flush()
    resources = {**head.resources, write.resource: write.meta} if write.resource else dict(head.resources)
    if numbering.status == "backfilling" and _all_backfilled(write, replace(head, resources=resources)):
        numbering.tell_stream("BackfillCompleted")
        numbering.status = "live"
    if write.closes is not None and numbering.status != "closed":
        numbering.tell_stream("StreamClosed", write.closes)
        numbering.status = "closed"
        resources = {name: _due_again(meta) for name, meta in resources.items()}
    flush()
    after = StreamHead(
        sequence=numbering.sequence,
        commit_number=commit_number,
        stream_version=numbering.stream_version,
        status=numbering.status,
        resources=resources,
    )
    state = [subject.entity_record(write.domain, write.resource, entity) for entity in written.values()]
    # What was set aside is still owed: it outlives the window that its telling would have let it leave.
    dropped = [entity_id for entity_id in write.dropped if entity_id not in written]
    state += [subject.entity_tombstone(write.domain, write.resource, entity_id) for entity_id in dropped]
    state.append(subject.head_record(write.domain, after))
    return Encoded(write, after, entities, tuple(records), tuple(state), tuple(quarantine))


def _due_again(meta: ResourceMeta) -> ResourceMeta:
    """A stream that comes back begins with complete reads, and shows that it is back even where nothing moved."""
    swept_at = EPOCH if meta.swept_at is not None else None
    return replace(meta, head_digest=None, sweep_digest=None, swept_at=swept_at)


def _all_backfilled(write: Write, head: StreamHead) -> bool:
    if not write.resources_expected:
        return False
    return all(name in head.resources and head.resources[name].backfilled for name in write.resources_expected)


def _record(domain: str, event: Event) -> EventRecord:
    return EventRecord(domain, event.account_id, encode_event(domain, event), cloud_event_headers(event, domain))


def _change_record(
    write: Write, change: Change, op: str, sequence: int, maximum_record_bytes: int
) -> tuple[EventRecord | None, str]:
    digest = write.raw_digests.get(change.after.entity_id) if op != "d" else None
    event = change_event(
        write.sighting,
        change,
        sequence=sequence,
        event_type=write.name_event(op, change.record_before, change.record_after),
        source=replace(write.source, raw_digest=digest.hex() if digest else None),
        supersedes=write.supersedes.get(change.after.entity_id) if op != "d" else None,
    )
    try:
        record = _record(write.domain, event)
    except DataError as error:
        return None, str(error)
    if len(record.value) > maximum_record_bytes:
        return None, f"the event has {len(record.value)} bytes, the journal takes {maximum_record_bytes}"
    return record, ""


def _set_aside(change: Change, digest: bytes) -> EntityState:
    before = change.before
    if before is not None:
        return replace(before, unreadable_digest=digest)
    return replace(change.after, version=0, record=None, unreadable_digest=digest)


def _quarantine_record(write: Write, entity_id: str | None, digest: bytes, reason: str) -> QuarantineRecord:
    facts = {
        "format": 1,
        "domain": write.domain,
        "resource": write.resource,
        "entity_id": entity_id,
        "raw_digest": digest.hex(),
        "observed_at": write.observed_at.isoformat(),
        "reason": reason,
    }
    value = write.account.subject.seal("quarantine", json.dumps(facts).encode())
    return QuarantineRecord(write.account.account_id, value)
