"""The words that every domain is written in: booking keys, records, entries, resources, domains.

Pure: no I/O, no clock, no randomness. A domain module (`transactions`, `lending`, `loyalty`) fills these in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from connector.parties import PartyNaming

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS_PER_SECOND = 1_000_000
SECONDS_PER_DAY = 86_400
KARACHI = timezone(timedelta(hours=5), "Asia/Karachi")
"""The bank's calendar; no daylight saving time since 2009."""

UNKNOWN = "UNKNOWN"
"""The code of a value that the bank stated and we do not know: kept beside its source form, never guessed."""


def micros(instant: datetime) -> int:
    """An aware instant as whole microseconds since the epoch (exact, no float in between)."""
    delta = instant - EPOCH
    return (delta.days * SECONDS_PER_DAY + delta.seconds) * MICROS_PER_SECOND + delta.microseconds


def midnight_micros(day: date) -> int:
    """A calendar day as microseconds since the epoch, for ordering only: a date has no instant."""
    return (day - EPOCH.date()).days * SECONDS_PER_DAY * MICROS_PER_SECOND


class BookingKey(NamedTuple):
    """What a feed is ordered by.

    `order` is microseconds since the epoch for feeds ordered by time, the id itself for ascending feeds; `tie` breaks
    ties between entries of the same order.
    """

    order: int
    tie: str


OWN = ":"
"""Begins the entity ids that are ours: of what we derive from a feed, beside what stands in it."""


def bank_entity(bank_id: str) -> str:
    """The entity id of a bank's id; one that begins as ours do is told apart from them."""
    return OWN + bank_id if bank_id.startswith(OWN) else bank_id


class Record(Protocol):
    """A canonical, validated, frozen value read from the bank.

    Implementers are frozen dataclasses whose field names are those of the Avro type named by `KIND`. Equality is the
    question "did the bank change it?": a field that moves without the entity changing has `compare=False`.
    """

    KIND: ClassVar[str]
    """The field of `before` and `after` that carries this type."""

    @property
    def entity_id(self) -> str:
        """Names the entity within its resource: the bank's id, prefixed where one resource holds several types."""

    @property
    def booking_key(self) -> BookingKey:
        """The place of the entity in its feed."""

    @property
    def settled(self) -> bool:
        """True once the bank is not expected to change the entity by itself."""

    @property
    def effective(self) -> datetime | date | None:
        """When it took effect, as the bank states it; a date stays a date."""


@runtime_checkable
class Replacing(Protocol):
    """A record whose bank id may take over from an earlier one."""

    @property
    def replaces(self) -> str | None:
        """The entity id, in this resource, that this record's id took over from, as the bank states it."""


@dataclass(frozen=True, slots=True)
class Related:
    """A reference to another entity of the account, as the bank states it and never guessed.

    `entity_id` is the bank's id of it in `domain`, as that domain's records name their entities.
    """

    relation: str
    domain: str
    entity_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One understood entry of a page. `raw_digest` is a digest of the entry as the bank sent it.

    `name` and `key` are the record's entity id and booking key, worked out once.
    """

    record: Record
    raw_digest: bytes
    name: str = field(init=False, repr=False, compare=False)
    key: BookingKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.record.entity_id)
        object.__setattr__(self, "key", self.record.booking_key)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One entry of a page that cannot be understood.

    `entity_id` and `key` are given where they could be read; `reason` names field and fault, never a value. `content`
    is what the bank showed, as text, where it is not too long to be kept.
    """

    raw_digest: bytes
    reason: str
    entity_id: str | None = None
    key: BookingKey | None = None
    content: str | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its entity id; one made of its digest where not even the id is readable."""
        return self.entity_id if self.entity_id is not None else f"?{self.raw_digest.hex()}"


class Feed(Enum):
    """How a resource hands out its entries."""

    NEWEST_FIRST = "newest_first"
    ASCENDING = "ascending"
    WHOLE = "whole"


Surface = Literal["wallet", "bills", "cards", "card-activity", "brokerage", "credit", "points", "marketplace"]
"""What a customer may hold, by tier: see `tiers`."""


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a ledger is remembered, measured from its newest entry's own time.

    `days` is None where the booking key is not a time. Whatever is unsettled is remembered whatever its age, up to the
    bank's own retention.
    """

    days: int | None = 35
    minimum_entries: int = 50
    maximum_entries: int = 500
    retention_days: int | None = 400


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What one paged read covers, as a kind: `transactions` is read once for every IBAN.

    `surface` is what the holder's tier must allow for it to be asked at all. One with `parts_of` is read once for every
    part that `part_named_by` finds in the records of that other resource of the domain: authorisations once a card.
    What a `steering` resource shows decides what may be read: when it changes, the profile is asked again at once.
    """

    name: str
    backend: str
    surface: Surface
    feed: Feed
    window: Window | None
    head_interval_seconds: float
    reconcile_interval_seconds: float
    per_bank_account: bool = False
    balance_chain: bool = False
    parts_of: str | None = None
    part_named_by: Callable[[Record], str | None] | None = None
    steering: bool = False


@dataclass(frozen=True, slots=True)
class BankAccount:
    """One IBAN of the holder, with the bank's status of it."""

    iban: str
    status: str


@dataclass(frozen=True, slots=True)
class Holder:
    """By what the holder is known besides the IBANs, in the bank's spelling: it marks own transfers."""

    cnic: str | None
    msisdn: str | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What decides which surfaces a login holds. Of `holder` the runtime keeps no more than tokens.

    `etag` is the bank's entity tag of it, where it has one (RFC 9110); `served_at` is the bank's own clock at that
    answer, where it says. `unreadable_accounts` counts the bank accounts that were listed and could not be read: with
    any, what `bank_accounts` lacks is not proven to be gone.
    """

    tier: str
    minor: bool
    bank_accounts: tuple[BankAccount, ...]
    holder: Holder | None = field(default=None, repr=False)
    etag: str | None = field(default=None, repr=False)
    unreadable_accounts: int = 0
    served_at: datetime | None = field(default=None, compare=False)


def relates_to_nothing(_record: Record) -> tuple[Related, ...]:
    """For domains whose records state no reference."""
    return ()


@dataclass(frozen=True, slots=True)
class EventDoc:
    """What a consumer is told of an event type: `when` it is emitted, and what to do `then`. Plain sentences."""

    when: str
    then: str


EventNamer = Callable[["str", "Record | None", "Record | None"], str]
"""(op, before, after) → event type. Total over the domain's records."""

PartyNamer = Callable[["Record", PartyNaming], "Record"]
"""(record, naming) → the record with whom it names. Touches no field that is compared."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One of the domains behind the login.

    `relate` gives the references that a record's own fields state. `schema_package` is the importable package that
    holds `<name>.avsc`, for a domain from outside this distribution.
    """

    name: str
    resources: tuple[ResourceKind, ...]
    records: Mapping[str, type[Record]]
    event_types: Mapping[str, EventDoc]
    """What `name_event` gives; each says when it comes and what to do with it."""
    name_event: EventNamer
    relate: Callable[[Record], tuple[Related, ...]] = relates_to_nothing
    schema_package: str | None = None
    name_party: PartyNamer | None = None
    """For records with another side."""

    def kind_of(self, resource: str) -> ResourceKind | None:
        """The kind of a resource by its name; None where this release has none."""
        name = resource.split(":", 1)[0]
        return next((kind for kind in self.resources if kind.name == name), None)

    @property
    def per_bank_account(self) -> bool:
        """Whether some of it is read once for every bank account of the login."""
        return any(kind.per_bank_account for kind in self.resources)


def changed_fields(before: Record, after: Record) -> tuple[str, ...]:
    """Names of the fields in which two records of one type differ, in field order; `compare=False` fields left out."""
    return tuple(
        one.name
        for one in fields(before)  # type: ignore[arg-type]  # Record implementers are dataclasses
        if one.compare and getattr(before, one.name) != getattr(after, one.name)
    )
