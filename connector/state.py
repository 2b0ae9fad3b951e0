"""State: what is committed beside the events, as frozen values.

Pure. One `EntityState` for every entity remembered, one `StreamHead` for every stream. Sealing and encoding are the
edge's; so is keeping a resource's entities packed while nothing about them moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from connector.domains.model import EPOCH, BookingKey, Record

EntityStatus = Literal["live", "removed", "forgotten"]
"""`removed`: gone from the bank, but its version must be remembered, lest it return. `forgotten`: aged out of the
window while reads may still show it."""


@dataclass(frozen=True, slots=True)
class EntityState:
    """One entity, as last committed.

    `version` counts its changes from 1; 0 means that it was never readable. `aliases` are other ids under which the
    bank showed it. `unreadable_digest` is set while the bank shows it in a form that was quarantined.
    """

    entity_id: str
    version: int
    key: BookingKey
    record: Record | None
    status: EntityStatus = "live"
    aliases: tuple[str, ...] = ()
    unreadable_digest: bytes | None = None

    @property
    def settled(self) -> bool:
        """False while the bank may still be expected to change it."""
        return self.record is not None and self.record.settled and self.unreadable_digest is None

    def at(self, version: int, record: Record | None) -> EntityState:
        """The same entity at another version, with another record."""
        return EntityState(self.entity_id, version, self.key, record, self.status, self.aliases, self.unreadable_digest)


@dataclass(frozen=True, slots=True)
class ResourceMeta:
    """What is remembered of a resource beside its entities; part of the stream's head.

    `floor` is the booking key of the newest entity ever forgotten. While backfilling, `bound` is the booking key of
    the oldest entry committed: a resumed backfill takes up what is below it. `sweep_digest` is of the last complete
    read, None where that left something to confirm.
    """

    floor: BookingKey | None = None
    backfilled: bool = False
    bound: BookingKey | None = None
    head_digest: bytes | None = None
    sweep_digest: bytes | None = None
    swept_at: datetime | None = None

    def due_again(self) -> ResourceMeta:
        """What comes back begins with a complete read, and shows that it is back even where nothing moved."""
        swept_at = EPOCH if self.swept_at is not None else None
        return replace(self, head_digest=None, sweep_digest=None, swept_at=swept_at)


StreamStatus = Literal["new", "backfilling", "live", "closed"]


@dataclass(frozen=True, slots=True)
class StreamHead:
    """The head of one stream: written by every commit that touches it. `epoch` is the branch of its last event."""

    sequence: int = 0
    commit_number: int = 0
    stream_version: int = 0
    status: StreamStatus = "new"
    resources: Mapping[str, ResourceMeta] = field(default_factory=dict)
    epoch: str = ""
