"""Lifecycle: the stream about the connection itself: links, consents, and the checkpoints of a shard.

Nothing here is read from the bank; the records obey the same laws all the same, so that identity, sequence and fold
are one mechanism. Not a registered domain: it has no resources and no consent covers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from connector.domains.model import BookingKey, Record

NAME = "lifecycle"


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How the connection of an account stands."""

    KIND: ClassVar[str] = "link"
    ENTITY_ID: ClassVar[str] = "link"

    status: str
    action: str | None
    route: str
    domains: tuple[str, ...]
    generation: int
    act_by: datetime | None

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(1, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        return False

    @property
    def effective(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """The consent that reading rests on."""

    KIND: ClassVar[str] = "consent"

    consent_id: str
    status: str
    domains: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    text_sha256: str
    language: str

    @property
    def entity_id(self) -> str:
        return self.consent_id

    @property
    def booking_key(self) -> BookingKey:
        # Before the link in a commit that holds both: reading follows consent.
        return BookingKey(0, self.consent_id)

    @property
    def settled(self) -> bool:
        return self.status != "AUTH"

    @property
    def effective(self) -> datetime:
        return self.valid_until if self.status == "EXPD" else self.valid_from


@dataclass(frozen=True, slots=True)
class StreamBehind:
    """A stream that a checkpoint does not vouch for."""

    account_id: str
    domain: str
    status: str
    polled_until: datetime | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to when a shard has seen the bank: new entries by `polled_until`, everything by `reconciled_until`."""

    KIND: ClassVar[str] = "checkpoint"
    ENTITY_ID: ClassVar[str] = "checkpoint"

    shard: int
    polled_until: datetime
    reconciled_until: datetime | None
    streams: int
    behind_count: int
    behind: tuple[StreamBehind, ...]

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(2, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        return False

    @property
    def effective(self) -> datetime:
        return self.polled_until


RECORDS: dict[str, type[Record]] = {"link": LinkStatus, "consent": ConsentRecord, "checkpoint": Checkpoint}

EVENT_TYPES = frozenset(
    {
        "LinkActivated",
        "LinkDegraded",
        "LinkActionRequired",
        "LinkRecovered",
        "LinkPaused",
        "LinkResumed",
        "LinkClosed",
        "ConsentGranted",
        "ConsentExpired",
        "ConsentRevoked",
        "Checkpoint",
    }
)


def name_event(_op: str, before: Record | None, after: Record | None) -> str:
    """The event type of a change in the lifecycle stream."""
    if isinstance(after, Checkpoint):
        return "Checkpoint"
    if isinstance(after, ConsentRecord):
        return {"EXPD": "ConsentExpired", "CANC": "ConsentRevoked"}.get(after.status, "ConsentGranted")
    if not isinstance(after, LinkStatus):
        raise TypeError(f"no event names the change of {before!r} to {after!r}")
    if after.status != "ACTIVE":
        return {
            "DEGRADED": "LinkDegraded",
            "ACTION_REQUIRED": "LinkActionRequired",
            "PAUSED": "LinkPaused",
            "CLOSED": "LinkClosed",
        }[after.status]
    was = before.status if isinstance(before, LinkStatus) else None
    recovered = {"PAUSED": "LinkResumed", "DEGRADED": "LinkRecovered", "ACTION_REQUIRED": "LinkRecovered"}
    return recovered.get(was or "", "LinkActivated")
