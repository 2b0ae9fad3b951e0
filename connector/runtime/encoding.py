"""Encoding: a write becomes numbered events and sealed state.

Pure but for sealing's nonces. Sequence numbers are given here, in the commit loop and nowhere else, so that a write
that never commits leaves no gap. Letting go of what left the window comes last, when it is known what could be told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from connector.avro import encode_entity, encode_event, encode_record
from connector.chain import Chain
from connector.diff import Change, Entities, apply
from connector.domains.model import Record, Related, Unreadable
from connector.domains.registry import DOMAINS
from connector.errors import DataError
from connector.events import STREAM_ENTITY, Event, change_event, cloud_event_headers, stream_event
from connector.ports import EventRecord, QuarantineRecord, StateRecord
from connector.runtime.sealed_state import head_key
from connector.runtime.writes import Write
from connector.state import EntityState, ResourceMeta, StreamHead
from connector.window import Kept, let_go


@dataclass(frozen=True, slots=True)
class Encoded:
    """A write, turned into what the journal takes, and the head and entities that it leaves.

    `values` are the entities, encoded; `live` is by how much the sum over the shard's live rows changes.
    """

    write: Write
    head: StreamHead
    meta: ResourceMeta
    entities: Entities
    values: Mapping[str, bytes]
    events: tuple[EventRecord, ...]
    state: tuple[StateRecord, ...]
    quarantine: tuple[QuarantineRecord, ...]
    live: int


def encode(
    write: Write, head: StreamHead, *, commit_number: int, maximum_record_bytes: int, epoch: str, chain: Chain
) -> Encoded:
    """Number, name, encode and seal a write on top of its stream's head, in the branch `epoch` of the journal.

    A change whose event does not fit its schema or the journal's record limit is set aside: its digest and reason go to
    quarantine and its entity keeps the last version that could be told; the rest of the write goes on.
    """
    encoding = _Encoding(write, head, maximum_record_bytes, commit_number, epoch)
    encoding.begin_epoch()
    encoding.open_stream()
    encoding.tell_changes()
    encoding.tell_below_floor()
    kept = encoding.let_go()
    encoding.tell_milestones(kept)
    return encoding.sealed(kept, chain)


class _Encoding:
    """One write on its way to the journal."""

    def __init__(
        self, write: Write, head: StreamHead, maximum_record_bytes: int, commit_number: int, epoch: str
    ) -> None:
        self.write = write
        self.head = head
        self.maximum_record_bytes = maximum_record_bytes
        self.commit_number = commit_number
        self.sighting = replace(write.sighting, epoch=epoch)
        self.sequence = head.sequence
        self.stream_version = head.stream_version
        self.status = head.status
        self.resources = dict(head.resources)
        self.changes: list[Change] = []
        self.records: list[EventRecord] = []
        self.bodies: dict[str, bytes] = {}
        """Records that were told, encoded: they stand in the event and in the state alike."""
        self.unreadable = {entry.raw_digest: entry for entry in write.quarantined}
        self.quarantine: list[QuarantineRecord] = []

    def begin_epoch(self) -> None:
        """A stream that another branch has told before says first where this one begins."""
        if self.head.epoch != self.sighting.epoch and self.sequence > 0:
            self._tell_stream("EpochBegan", self.head.epoch)

    def open_stream(self) -> None:
        if not self.write.opens or self.status not in {"new", "closed"}:
            return
        self._tell_stream("StreamOpened")
        # A stream that was backfilled before goes on where it stopped: its first read is a reconcile.
        was_whole = self.status == "closed" and self._all_backfilled()
        self.status = "live" if was_whole else "backfilling"

    def tell_changes(self) -> None:
        for change in self.write.changes:
            if change.op is None:
                self._take(change)
                continue
            record, reason = self._change_record(change, change.op)
            if record is not None:
                self.sequence += 1
                self.records.append(record)
                self._take(change)
            else:
                self._set_aside(change, reason)

    def tell_below_floor(self) -> None:
        for entity_id in self.write.below_floor:
            self._tell("EntryBelowFloor", entity_id)

    def let_go(self) -> Kept:
        """What the resource remembers from here on. What was set aside is still owed, and stays."""
        after = apply(self.write.opened.entities, self.changes)
        if self.write.kind is None:
            return Kept(floor=None, entities=after, rewritten=(), dropped=())
        kept = let_go(self.write.kind, self.write.meta.floor, after, self.write.suspicion.absent, self.write.reach)
        for entity_id, entity in after.items():
            left = kept.entities.get(entity_id)
            if entity.unreadable_digest is not None and (left is None or left.unreadable_digest is None):
                self._tell("EntryReadable", entity_id, "forgotten")
        return kept

    def _take(self, change: Change) -> None:
        """The change is part of the commit; consumers see whether its entry is one that cannot be understood."""
        self.changes.append(change)
        before = change.before.unreadable_digest if change.before is not None else None
        after = change.after.unreadable_digest
        if after == before:
            return
        entity_id = change.after.entity_id
        if after is None:
            self._tell("EntryReadable", entity_id, "removed" if change.after.status == "removed" else None)
            return
        entry = self.unreadable.get(after) or Unreadable(after, "it cannot be understood")
        self.quarantine.append(_quarantine_record(self.write, entity_id, entry))
        self._tell("EntryQuarantined", entity_id, entry.reason, field=field_of(entry.reason))

    def tell_milestones(self, kept: Kept) -> None:
        if self.write.resource:
            count = sum(entity.unreadable_digest is not None for entity in kept.entities.values())
            self.resources[self.write.resource] = replace(self.write.meta, floor=kept.floor, quarantined_count=count)
        if self.status == "backfilling" and self._all_backfilled():
            self._tell_stream("BackfillCompleted")
            self.status = "live"
        if self.write.closes is not None and self.status != "closed":
            self._tell_stream("StreamClosed", self.write.closes)
            self.status = "closed"
            self.resources = {name: meta.due_again() for name, meta in self.resources.items()}

    def sealed(self, kept: Kept, chain: Chain) -> Encoded:
        write, subject = self.write, self.write.account.subject
        touched = {change.after.entity_id for change in self.changes} | {entity.entity_id for entity in kept.rewritten}
        dropped = [entity_id for entity_id in kept.dropped if entity_id in write.opened.entities]
        keys = {
            entity_id: subject.entity_key(write.domain, write.resource, entity_id)
            for entity_id in (*sorted(touched & kept.entities.keys()), *dropped)
        }
        refresh = write.refresh
        head = replace(
            self.head,
            sequence=self.sequence,
            commit_number=self.commit_number,
            stream_version=self.stream_version,
            status=self.status,
            holder_token=write.holder_token or self.head.holder_token,
            resources=self.resources,
            refresh_generation=refresh.generation if refresh else self.head.refresh_generation,
            refresh_deadline_seconds=refresh.deadline_seconds if refresh else self.head.refresh_deadline_seconds,
            confirmed_at=write.confirmed_at or self.head.confirmed_at,
            epoch=self.sighting.epoch,
        )
        values = {
            entity_id: self._value(entity) if entity_id in touched else write.opened.values[entity_id]
            for entity_id, entity in kept.entities.items()
        }
        state = [
            subject.entity_record(key, values[entity_id]) if entity_id in values else StateRecord(key, None)
            for entity_id, key in keys.items()
        ]
        state.append(subject.head_record(write.domain, head))
        meta = self.resources.get(write.resource, write.meta)
        return Encoded(
            write=write,
            head=head,
            meta=meta,
            entities=kept.entities,
            values=values,
            events=tuple(self.records),
            state=tuple(state),
            quarantine=tuple(self.quarantine),
            live=self._live(keys, values, head, chain),
        )

    def _live(self, keys: Mapping[str, str], values: Mapping[str, bytes], head: StreamHead, chain: Chain) -> int:
        """By how much the sum over the shard's live rows changes; `keys` are those of what is written, by entity."""
        write = self.write
        key = head_key(write.account.account_id, write.domain)
        change = chain.of_head(key, head.commit_number)
        if self.head.commit_number:
            change -= chain.of_head(key, self.head.commit_number)
        touched = {*values, *write.opened.values}
        for entity_id in touched:
            before, after = write.opened.values.get(entity_id), values.get(entity_id)
            if before == after:
                continue
            row = keys.get(entity_id)
            if row is None:
                raise ValueError(f"{write.domain}: an entity changed in memory and is not committed")
            change -= chain.of_row(row, before) if before is not None else 0
            change += chain.of_row(row, after) if after is not None else 0
        return change

    def _value(self, entity: EntityState) -> bytes:
        return encode_entity(self.write.domain, entity, record=self.bodies.get(entity.entity_id))

    def _change_record(self, change: Change, op: str) -> tuple[EventRecord | None, str]:
        """The change as an event; None, and why, when it cannot be told."""
        write, entity_id = self.write, change.after.entity_id
        digest = write.raw_digests.get(entity_id) if op != "d" else None
        try:
            event = change_event(
                self.sighting,
                change,
                sequence=self.sequence + 1,
                event_type=write.name_event(op, change.record_before, change.record_after),
                source=write.source.of_entry(digest.hex() if digest else None),
                supersedes=write.supersedes.get(entity_id) if op != "d" else None,
                related=_related(write, change.record_after or change.record_before),
            )
            body = encode_record(write.domain, event.after) if event.after is not None else None
            record = _record(write.domain, event, self.commit_number, after=body)
        except DataError as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one entry, the others of the page go on
            return None, f"it cannot be told ({type(error).__name__})"
        if len(record.value) > self.maximum_record_bytes:
            return None, f"the event has {len(record.value)} bytes, the journal takes {self.maximum_record_bytes}"
        if body is not None:
            self.bodies[entity_id] = body
        return record, ""

    def _set_aside(self, change: Change, reason: str) -> None:
        digest = self.write.raw_digests.get(change.after.entity_id, b"")
        if change.before is not None:
            aside = replace(change.before, unreadable_digest=digest)
        else:
            aside = replace(change.after, version=0, record=None, unreadable_digest=digest)
        # The same entry comes up with every later read: its digest tells that it was quarantined.
        self.unreadable[digest] = Unreadable(digest, reason)
        self._take(Change(None, change.before, aside))

    def _tell_stream(self, event_type: str, reason: str | None = None) -> None:
        self._tell(event_type, STREAM_ENTITY, reason, resource=STREAM_ENTITY)

    def _tell(
        self,
        event_type: str,
        entity_id: str,
        reason: str | None = None,
        *,
        field: str | None = None,
        resource: str | None = None,
    ) -> None:
        """An event about the stream. A counter of the stream's own tells each from the others."""
        self.sequence += 1
        self.stream_version += 1
        sighting = self.sighting
        event = stream_event(
            sighting if resource is None else replace(sighting, resource=resource),
            event_type,
            sequence=self.sequence,
            entity_id=entity_id,
            entity_version=self.stream_version,
            reason=reason,
            field=field,
        )
        self.records.append(_record(self.write.domain, event, self.commit_number))

    def _all_backfilled(self) -> bool:
        expected = self.write.resources_expected
        return bool(expected) and all(name in self.resources and self.resources[name].backfilled for name in expected)


def _related(write: Write, record: Record | None) -> tuple[Related, ...]:
    domain = DOMAINS.get(write.domain)
    return domain.relate(record) if domain is not None and record is not None else ()


def _record(domain: str, event: Event, commit_number: int, *, after: bytes | None = None) -> EventRecord:
    value = encode_event(domain, event, after=after)
    return EventRecord(domain, event.account_id, value, cloud_event_headers(event, domain, commit_number))


def field_of(reason: str) -> str | None:
    """The field that a reason names first (`party.name: too long; …`); None where it is about the whole entry."""
    name, colon, _ = reason.partition(": ")
    return name if colon and " " not in name else None


def _quarantine_record(write: Write, entity_id: str, entry: Unreadable) -> QuarantineRecord:
    facts = {
        "format": 1,
        "domain": write.domain,
        "resource": write.resource,
        "entity_id": entity_id,
        "raw_digest": entry.raw_digest.hex(),
        "observed_at": write.observed_at.isoformat(),
        "reason": entry.reason,
        "field": field_of(entry.reason),
        "content": entry.content,
    }
    value = write.account.subject.seal("quarantine", json.dumps(facts).encode())
    return QuarantineRecord(write.account.account_id, value)
