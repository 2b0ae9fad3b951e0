"""Lifecycle: the stream about the connection itself: links, consents, and the checkpoints of a shard.

Nothing here is read from the bank; the records obey the same laws all the same, so that identity, sequence and fold
are one mechanism. Not a registered domain: it has no resources and no consent covers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from connector.domains.model import BookingKey, EventDoc, Record
from connector.domains.stream_events import EPOCH_BEGAN

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
class DomainUntil:
    """Up to when a shard has seen one domain: the streams of it that are not behind.

    Of `quarantined` entries the bank's present form is not told; an `EntryQuarantined` names each.
    """

    domain: str
    polled_until: datetime | None
    reconciled_until: datetime | None
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to when a shard has seen the bank: new entries by `polled_until`, everything by `reconciled_until`.

    Both are those of the slowest domain, None where something was not read in this life of the connector; `domains` has
    each domain's own. Streams with a gap (`holes`), with something that is not believed yet (`held`), or set aside
    (`isolated`) are among those that are `behind`, and so are those of accounts that cannot be opened (`set_aside`).
    `epoch` is the branch of the journal, and `chain_tip` the tip of the shard's chain after the commit before this one,
    in hex.
    """

    KIND: ClassVar[str] = "checkpoint"
    ENTITY_ID: ClassVar[str] = "checkpoint"

    shard: int
    polled_until: datetime | None
    reconciled_until: datetime | None
    streams: int
    behind_count: int
    behind: tuple[StreamBehind, ...]
    domains: tuple[DomainUntil, ...]
    holes: int = 0
    held: int = 0
    isolated: int = 0
    quarantined: int = 0
    set_aside: int = 0
    epoch: str | None = None
    chain_tip: str | None = None

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
    def effective(self) -> datetime | None:
        return self.polled_until


RECORDS: dict[str, type[Record]] = {"link": LinkStatus, "consent": ConsentRecord, "checkpoint": Checkpoint}

CHECKPOINT_TYPE: Final = "Checkpoint"
EVENT_TYPES: dict[str, EventDoc] = {
    "LinkActivated": EventDoc(
        when="A link was made, or was closed and connected again.",
        then="Upsert the link. Its streams open by themselves, each with a `StreamOpened`.",
    ),
    "LinkDegraded": EventDoc(
        when="Some of an account's resources have not been readable for long.",
        then=(
            "Treat what is known of the account as old: the checkpoints name the streams that are behind. Nothing was "
            "removed."
        ),
    ),
    "LinkActionRequired": EventDoc(
        when="The bank wants something that only the holder can do.",
        then="Ask the holder for what `action` names. Until then nothing is read, and nothing is removed.",
    ),
    "LinkRecovered": EventDoc(
        when="A link that was degraded or waited for its holder reads again.",
        then="Upsert the link. What happened meanwhile follows in the domains' own streams.",
    ),
    "LinkPaused": EventDoc(
        when="An operator paused the link.",
        then="Expect no events of the account's domains until `LinkResumed`.",
    ),
    "LinkResumed": EventDoc(
        when="A paused link reads again.",
        then="Upsert the link. What happened meanwhile follows in the domains' own streams.",
    ),
    "LinkClosed": EventDoc(
        when="The link was removed, or its consent ended.",
        then="Expect no further events of the account, unless it is connected again.",
    ),
    "ConsentGranted": EventDoc(
        when="The holder consented, or consented anew.",
        then="Upsert the consent: data of `domains` may be kept from `valid_from` to `valid_until`.",
    ),
    "ConsentExpired": EventDoc(
        when="A consent ran out.",
        then=(
            "No event was observed after `valid_until`. Stop processing what came under this `consent_id`, and erase "
            "what your own basis for keeping it does not cover."
        ),
    ),
    "ConsentRevoked": EventDoc(
        when="The holder revoked a consent, or the link was removed.",
        then=(
            "Stop processing what came under this `consent_id`, and erase what your own basis for keeping it does not "
            "cover."
        ),
    ),
    CHECKPOINT_TYPE: EventDoc(
        when="Every `checkpoint_seconds`, for each shard.",
        then=(
            "Take quiet streams of the shard as complete up to the `polled_until` of their domain in `domains`, "
            "except those listed as behind; the one of the checkpoint itself is that of the slowest domain, and "
            "holds for all. Null claims nothing: something was not read since the connector started. `quarantined` "
            "entries are told as they last could be understood. The key is `shard/<number>`, not an account."
        ),
    ),
    "EpochBegan": EPOCH_BEGAN,
}


def name_event(_op: str, before: Record | None, after: Record | None) -> str:
    """The event type of a change in the lifecycle stream."""
    if isinstance(after, Checkpoint):
        return CHECKPOINT_TYPE
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
