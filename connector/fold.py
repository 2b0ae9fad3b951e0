"""Fold: what the events of a stream add up to, and everything about them that no connector can have told.

Pure. Of a history that is whole the fold is what the connector remembers of the bank, but for what no event tells:
where reads stand, and what was let go. It is what a lost state is made anew from, and what a kept one is held against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from connector.branches import EPOCH_BEGAN
from connector.domains.model import BookingKey, Record
from connector.events import Event, Sighting, event_id
from connector.identity import replaced_id
from connector.state import StreamStatus

EntityName = tuple[str, str]
"""Resource and entity id."""


@dataclass(slots=True)
class FoldedEntity:
    """One entity, as told last.

    `record` is None where it is not there; `key` is that of the last record told, None where there was none.
    `unreadable` while the bank shows it in a form that was quarantined. `sequence` is that of its last event.
    """

    version: int = 0
    record: Record | None = None
    key: BookingKey | None = None
    aliases: tuple[str, ...] = ()
    unreadable: bool = False
    sequence: int = 0


@dataclass(slots=True)
class StreamFold:
    """One stream, event by event.

    `first` is the sequence of the oldest event that holds and is still there (0: none). `complaints` are complete
    sentences without any value of a record.
    """

    account_id: str
    domain: str
    first: int = 0
    sequence: int = 0
    epoch: str = ""
    stream_version: int = 0
    commit_number: int = 0
    status: StreamStatus = "new"
    backfilled: bool = False
    entities: dict[EntityName, FoldedEntity] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    gaps: int = 0
    _alias_of: dict[EntityName, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Is everything there, from the first event on?"""
        return self.first == 1 and not self.gaps

    @property
    def resources(self) -> frozenset[str]:
        """The resources that anything was told of."""
        return frozenset(resource for resource, _ in self.entities)

    def of_resource(self, resource: str) -> Iterator[tuple[str, FoldedEntity]]:
        """The entities of a resource, by id."""
        return ((name, entity) for (of, name), entity in self.entities.items() if of == resource)

    def take(self, event: Event, commit_number: int) -> None:
        """One more event that holds, in the order of its topic."""
        if not self._follows(event):
            return
        self._require_own(event, commit_number)
        self.sequence, self.epoch, self.commit_number = event.sequence, event.epoch, commit_number
        if event.op == "s":
            self._take_stream_event(event)
        elif event.op in {"c", "u", "d"}:
            self._take_change(event)
        else:
            self._complain(event, f"has op {event.op}, which is none of this release's")

    def _complain(self, event: Event, what: str) -> None:
        self.complaints.append(f"sequence {event.sequence} {what}")

    def _follows(self, event: Event) -> bool:
        if self.first == 0:
            self.first = event.sequence
        elif event.sequence <= self.sequence:
            self._complain(event, f"stands again, after {self.sequence}: somebody else wrote there")
            return False
        elif event.sequence != self.sequence + 1:
            self.gaps += 1
            self._complain(event, f"follows {self.sequence}: those between are missing")
        return True

    def _require_own(self, event: Event, commit_number: int) -> None:
        """What identifies the event follows from what it says."""
        sighting = Sighting(
            event.account_id,
            self.domain,
            event.resource,
            event.observed_at,
            event.consent_id,
            event.source,
            epoch=event.epoch,
        )
        which = (event.event_type,) if event.op == "s" else ()
        if event.event_id != event_id(sighting, event.entity_id, *which, str(event.entity_version)):
            self._complain(event, "bears an id that does not follow from what it says")
        if event.epoch == self.epoch and commit_number < self.commit_number:
            self._complain(event, f"is of commit {commit_number}, after one of commit {self.commit_number}")
        if event.event_type == EPOCH_BEGAN and self.sequence and event.reason != self.epoch:
            self._complain(event, "names another parent than the epoch before it")

    def _take_stream_event(self, event: Event) -> None:
        if self.stream_version and event.entity_version != self.stream_version + 1:
            self._complain(event, f"counts {event.entity_version} where {self.stream_version + 1} should stand")
        self.stream_version = event.entity_version
        if event.event_type == "StreamOpened":
            # One that was backfilled before goes on where it stopped.
            self.status = "live" if self.backfilled else "backfilling"
        elif event.event_type == "BackfillCompleted":
            self.status, self.backfilled = "live", True
        elif event.event_type == "StreamClosed":
            self.status = "closed"
        elif event.event_type in {"EntryQuarantined", "EntryReadable"}:
            entity = self.entities.setdefault((event.resource, event.entity_id), FoldedEntity())
            entity.unreadable = event.event_type == "EntryQuarantined"
            entity.sequence = event.sequence

    def _take_change(self, event: Event) -> None:
        name = (event.resource, event.entity_id)
        entity = self.entities.get(name)
        if self.whole or (entity is not None and entity.version):
            self._require_next(event, entity or FoldedEntity())
        entity = self.entities.setdefault(name, FoldedEntity())
        entity.version, entity.sequence = event.entity_version, event.sequence
        told = event.after or event.before
        entity.key = told.booking_key if told is not None else entity.key
        entity.record = event.after if event.op != "d" else None
        self._name(event, entity)

    def _require_next(self, event: Event, entity: FoldedEntity) -> None:
        if event.entity_version != entity.version + 1:
            self._complain(event, f"is version {event.entity_version} of its entity, after {entity.version}")
        if (event.op == "c") == (entity.record is not None) or (event.op == "d") != (event.after is None):
            self._complain(event, f"has op {event.op}, which its entity is not ready for")
        elif event.before != entity.record:
            self._complain(event, "has another `before` than the last event of its entity left")

    def _name(self, event: Event, entity: FoldedEntity) -> None:
        """Under which other ids the bank has shown the entity, as far as events tell."""
        resource = event.resource
        other = self._alias_of.pop((resource, event.entity_id), None)
        if other is not None:
            # It speaks for itself now.
            owner = self.entities[resource, other]
            owner.aliases = tuple(alias for alias in owner.aliases if alias != event.entity_id)
        if event.after is None:
            return
        shown, replaced = event.after.entity_id, replaced_id(event.after)
        if shown != event.entity_id and self._alias_of.get((resource, shown), event.entity_id) != event.entity_id:
            return  # an id that was given away a second time
        earlier = [replaced] if replaced is not None and (resource, replaced) not in self.entities else []
        for alias in (shown, *earlier):
            free = self._alias_of.get((resource, alias), event.entity_id) == event.entity_id
            if alias != event.entity_id and alias not in entity.aliases and free:
                entity.aliases = (*entity.aliases, alias)
                self._alias_of[resource, alias] = event.entity_id
