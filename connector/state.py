"""State: what is committed beside the events, as frozen values.

Pure. One `EntityState` for every entity remembered, one `StreamHead` for every stream, one `Position` for
every shard. Sealing and encoding are the edge's; so is keeping a resource's entities packed while nothing about them
moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

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


HeldKind = Literal["mass_removal", "mass_creation", "emptiness", "unlisted", "gone"]
"""Why something that a read shows is not believed yet. `unlisted`: the profile no longer lists what the resource is
of; `gone`: that was believed, and nothing is held any more."""

Decision = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Held:
    """What is not believed yet: since when (the first read that showed it), and how many entries it concerns.

    `decision` is a person's: what was accepted is believed, up to as many entries as it was said of; what was rejected
    stays held, and is not asked about again.
    """

    kind: HeldKind
    since: datetime
    count: int
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class ResourceMeta:
    """What is remembered of a resource beside its entities; part of the stream's head.

    `floor` is the booking key of the newest entity ever forgotten. While backfilling, `bound` is the booking key of
    the oldest entry committed: a resumed backfill takes up what is below it. Up to `joined_to` everything was told
    without a gap; it only ever rises. `hole_since` is set while a read that stopped short leaves a gap above it.

    The digests are of what the entities committed beside them were compared with: `head_digest` of the page that a head
    read began with, `sweep_digest` of a complete read. A commit that moves an entity, made by another read, takes them
    away, so that a page of the same digest always shows what is committed. `quarantined_count` counts the entities
    that the bank shows in a form that cannot be understood.
    """

    floor: BookingKey | None = None
    backfilled: bool = False
    bound: BookingKey | None = None
    joined_to: BookingKey | None = None
    hole_since: datetime | None = None
    head_digest: bytes | None = None
    sweep_digest: bytes | None = None
    swept_at: datetime | None = None
    held: Held | None = None
    quarantined_count: int = 0

    @property
    def holds(self) -> bool:
        """True while something that the bank shows waits to be believed."""
        return self.held is not None and self.held.kind != "gone"

    @property
    def accepted_count(self) -> int:
        """How many entries that vanish or appear at once a person believes."""
        return self.held.count if self.held is not None and self.held.decision == "accepted" else 0

    def due_again(self) -> ResourceMeta:
        """What comes back begins with a complete read, and shows that it is back even where nothing moved."""
        swept_at = EPOCH if self.swept_at is not None else None
        return replace(self, head_digest=None, sweep_digest=None, swept_at=swept_at)


StreamStatus = Literal["new", "backfilling", "live", "closed"]


@dataclass(frozen=True, slots=True)
class StreamHead:
    """The head of one stream: written by every commit that touches it. `epoch` is the branch of its last event.

    In an account's lifecycle stream, `refresh_generation` is that of the bank session that was last about to be
    replaced, within `refresh_deadline_seconds`, and `holder_token` that by what the holder is known since the first
    profile. In a shard's own, `confirmed_at` is the latest instant of which two clocks agreed that it had come.
    """

    sequence: int = 0
    commit_number: int = 0
    stream_version: int = 0
    status: StreamStatus = "new"
    resources: Mapping[str, ResourceMeta] = field(default_factory=dict)
    refresh_generation: int | None = None
    refresh_deadline_seconds: int | None = None
    confirmed_at: datetime | None = None
    holder_token: str | None = None
    epoch: str = ""


SUM_BYTES: Final = 32
"""Of a tip of the chain, and of the sum over live rows."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a shard stands: committed with every commit, sealed, beside what it vouches for.

    `epoch` is the branch that the commit belongs to, `tip` that of the chain after it (`connector.chain`). `live` is
    the sum over the live rows, None while some of them cannot be opened. `vault_id` and `vault_counter` say which vault
    was open then, and how far it had come.
    """

    number: int = 0
    epoch: str = ""
    tip: bytes = bytes(SUM_BYTES)
    live: int | None = 0
    vault_id: str = ""
    vault_counter: int = 0
