"""Account: the holder with their tier, their bank accounts with what stands on them, each read whole each time.

A login has one holder and one or more bank accounts. Of each bank account what it is and what stands on it are two
entities: the one hardly changes, the other with every transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from connector.domains.model import BookingKey, Domain, EventDoc, Feed, Record, ResourceKind

TIERS = frozenset({"L0", "L1", "ULTRA"})
ACCOUNT_STATUSES = frozenset({"ACTIVE", "DORMANT", "BLOCKED", "CLOSED"})
_TIER_FIELDS = ("tier", "tier_source", "minor")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose login it is, and what class of customer that makes them."""

    KIND: ClassVar[str] = "holder"
    ENTITY_ID: ClassVar[str] = "holder"

    tier: str
    tier_source: str
    minor: bool
    segment: str
    name: str
    cnic: str
    msisdn: str
    email: str | None

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(0, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        return False

    @property
    def effective(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class BankAccountRecord:
    """One bank account, without what stands on it."""

    KIND: ClassVar[str] = "bank_account"
    ENTITY_ID: ClassVar[str] = "bank-account"
    """The same for each: its resource tells which, and an IBAN has no place in an id."""

    iban: str
    title: str
    status: str
    status_source: str
    tier: str
    tier_source: str
    currency: str

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(0, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        return self.status == "CLOSED"

    @property
    def effective(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Balance:
    """What stands on a bank account; `available` has pending entries taken off."""

    KIND: ClassVar[str] = "balance"
    ENTITY_ID: ClassVar[str] = "balance"

    iban: str
    balance: Decimal
    available: Decimal
    currency: str

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        # After its account, where both are told at once.
        return BookingKey(1, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        return False

    @property
    def effective(self) -> None:
        return None


def _name_event(op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after or before, Balance):
        return "BalanceChanged"
    if after is None:
        return "AccountClosed"
    if op == "c":
        return "AccountLinked"
    if isinstance(after, BankAccountRecord) and after.status == "CLOSED" and _moved(before, after, ("status",)):
        return "AccountClosed"
    return "TierChanged" if before is not None and _moved(before, after, _TIER_FIELDS) else "AccountUpdated"


def _moved(before: Record | None, after: Record, names: tuple[str, ...]) -> bool:
    return any(getattr(before, name, None) != getattr(after, name, None) for name in names)


ACCOUNT = Domain(
    name="account",
    resources=(
        ResourceKind(
            name="holder",
            backend="bank",
            surface="wallet",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=600.0,
            reconcile_interval_seconds=600.0,
            steering=True,
        ),
        ResourceKind(
            name="bank_account",
            backend="bank",
            surface="wallet",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=60.0,
            reconcile_interval_seconds=60.0,
            per_bank_account=True,
        ),
    ),
    records={"holder": Holder, "bank_account": BankAccountRecord, "balance": Balance},
    event_types={
        "AccountLinked": EventDoc(
            when="The holder of a login, or one of their bank accounts, is first seen.",
            then="Upsert `after`: `holder` is the person, `bank_account` one of their accounts.",
        ),
        "AccountUpdated": EventDoc(
            when=(
                "The holder's own data or segment changed, or the title or status of a bank account, without a change "
                "of tier and without its being closed."
            ),
            then="Upsert `after`; `changed` names the fields.",
        ),
        "TierChanged": EventDoc(
            when=(
                "The bank put the holder or a bank account into another tier, or the holder came of age (`minor` "
                "became false)."
            ),
            then=(
                "Upsert `after`. Expect streams to open or to close: what a tier may not hold is not read any more, "
                "and each stream says so itself."
            ),
        ),
        "BalanceChanged": EventDoc(
            when="What stands on a bank account is first seen (op `c`), or moved.",
            then=(
                "Take `after` as what stands on the account now. It moves with the transactions, which are told in a "
                "stream of their own, before or after this: do not add the two up."
            ),
        ),
        "AccountClosed": EventDoc(
            when="A bank account was closed, or it or the holder is proven gone (op `d`).",
            then=(
                "With op `u` upsert `after`: its history stays and can still be read. With op `d` delete the entity."
            ),
        ),
    },
    name_event=_name_event,
)
