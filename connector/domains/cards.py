"""Cards: what was issued and what it may do, read whole, and the authorisations of each card, newest first.

An authorisation has a life: authorised, perhaps adjusted, then cleared, reversed or expired. Amounts are signed from
the holder's view. The number of a card is never stated; its last four digits are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from connector.domains.model import (
    BookingKey,
    Domain,
    EventDoc,
    Feed,
    Record,
    Related,
    ResourceKind,
    Window,
    changed_fields,
    micros,
)

CARD_KINDS = frozenset({"DEBIT", "VIRTUAL"})
CARD_STATUSES = frozenset({"ACTIVE", "BLOCKED", "HOTLISTED", "EXPIRED"})
CHANNELS = frozenset({"POS", "CONTACTLESS", "ONLINE", "ATM"})
STATES = {
    "authorized": "AUTHORIZED",
    "adjusted": "ADJUSTED",
    "cleared": "CLEARED",
    "reversed": "REVERSED",
    "expired": "EXPIRED",
    "declined": "DECLINED",
}
_UNSETTLED = frozenset({"AUTHORIZED", "ADJUSTED"})
_LIMITS = frozenset({"atm_daily_limit", "pos_daily_limit", "online_daily_limit", "limit_currency"})
_BY_STATE = {
    "AUTHORIZED": "CardAuthorized",
    "ADJUSTED": "AuthorizationAdjusted",
    "CLEARED": "AuthorizationCleared",
    "REVERSED": "AuthorizationReversed",
    "EXPIRED": "AuthorizationExpired",
    "DECLINED": "AuthorizationDeclined",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A card with its limits; one that has no online limit cannot be used online."""

    KIND: ClassVar[str] = "card"

    card_id: str
    product: str
    scheme: str
    kind: str
    kind_source: str
    last4: str
    status: str
    status_source: str
    block_reason: str | None
    iban: str
    issued_at: datetime
    issued_at_source: str
    expires: str
    atm_daily_limit: Decimal
    pos_daily_limit: Decimal
    online_daily_limit: Decimal | None
    limit_currency: str
    international: bool
    updated_at: datetime
    updated_at_source: str

    @property
    def entity_id(self) -> str:
        return f"card/{self.card_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.issued_at), self.card_id)

    @property
    def settled(self) -> bool:
        return self.status in {"HOTLISTED", "EXPIRED"}

    @property
    def effective(self) -> datetime:
        return self.updated_at


@dataclass(frozen=True, slots=True)
class CardAuthorization:
    """One use of a card, as the bank answered the merchant, and what became of it."""

    KIND: ClassVar[str] = "card_authorization"

    card_id: str
    authorization_id: str
    amount: Decimal
    currency: str
    original_amount: Decimal | None
    original_currency: str | None
    merchant_name: str | None
    merchant_category_code: str | None
    merchant_city: str | None
    merchant_country: str | None
    channel: str
    channel_source: str
    state: str
    state_source: str
    decline_reason: str | None
    authorized_at: datetime
    authorized_at_source: str
    updated_at: datetime
    updated_at_source: str
    cleared_transaction_id: str | None

    @property
    def entity_id(self) -> str:
        return f"authorization/{self.authorization_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.authorized_at), self.authorization_id)

    @property
    def settled(self) -> bool:
        return self.state in {"CLEARED", "REVERSED", "EXPIRED", "DECLINED"}

    @property
    def effective(self) -> datetime:
        return self.updated_at


def _name_card(before: Record | None, after: Card) -> str:
    if not isinstance(before, Card):
        return "CardIssued"
    if before.status != after.status:
        return "CardStatusChanged"
    return "CardAmended" if _LIMITS.isdisjoint(changed_fields(before, after)) else "CardLimitChanged"


def _name_authorization(before: Record | None, after: CardAuthorization) -> str:
    if isinstance(before, CardAuthorization) and before.state == after.state:
        moved = before.amount != after.amount and after.state in _UNSETTLED
        return "AuthorizationAdjusted" if moved else "AuthorizationAmended"
    return _BY_STATE.get(after.state, "AuthorizationAmended")


def _name_event(_op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after, Card):
        return _name_card(before, after)
    if isinstance(after, CardAuthorization):
        return _name_authorization(before, after)
    return "CardAmended" if isinstance(before, Card) else "AuthorizationAmended"


def _relate(record: Record) -> tuple[Related, ...]:
    if not isinstance(record, CardAuthorization):
        return ()
    card = Related("card", "cards", f"card/{record.card_id}")
    cleared_by = record.cleared_transaction_id
    return (card, Related("clearing_transaction", "transactions", cleared_by)) if cleared_by else (card,)


def _card_id(record: Record) -> str | None:
    return record.card_id if isinstance(record, Card) else None


CARDS = Domain(
    name="cards",
    resources=(
        ResourceKind(
            name="cards",
            backend="bank",
            surface="cards",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=120.0,
            reconcile_interval_seconds=120.0,
        ),
        ResourceKind(
            name="authorizations",
            backend="bank",
            surface="card-activity",
            feed=Feed.NEWEST_FIRST,
            window=Window(),
            head_interval_seconds=60.0,
            reconcile_interval_seconds=1800.0,
            parts_of="cards",
            part_named_by=_card_id,
        ),
    ),
    records={"card": Card, "card_authorization": CardAuthorization},
    event_types={
        "CardIssued": EventDoc(
            when="A card is first seen, whatever its status.",
            then="Upsert `after`. Its authorisations follow, as events of this stream.",
        ),
        "CardStatusChanged": EventDoc(
            when="A card became active, blocked, hotlisted or expired.",
            then="Upsert `after`; `block_reason` says why, where the bank states it. Only an active card can be used.",
        ),
        "CardLimitChanged": EventDoc(
            when="A daily limit of a card changed, and its status did not.",
            then="Upsert `after`. A card whose `online_daily_limit` is null cannot be used online.",
        ),
        "CardAmended": EventDoc(
            when="A card changed in another way, or is proven gone (op `d`).",
            then=(
                "With op `u` upsert `after`: `changed` names the fields. With op `d` delete the card and keep its "
                "authorisations: none of them is told as removed with it."
            ),
        ),
        "CardAuthorized": EventDoc(
            when="A use of a card is first seen authorised, or is so again.",
            then="Upsert `after` and hold the amount; it is not booked yet, and may change or lapse.",
        ),
        "AuthorizationAdjusted": EventDoc(
            when="The amount of an authorisation changed before it was cleared: fuel, hotels, tips.",
            then="Upsert `after` and hold its amount instead of that of `before`.",
        ),
        "AuthorizationCleared": EventDoc(
            when="An authorisation is first seen cleared, or became so.",
            then=(
                "Upsert `after` and release what was held. The booking is told as a transaction; "
                "`cleared_transaction_id` names it, where the bank states it: do not book the amount twice."
            ),
        ),
        "AuthorizationReversed": EventDoc(
            when="An authorisation is first seen reversed, or the merchant took it back.",
            then="Upsert `after` and release what was held; nothing was booked.",
        ),
        "AuthorizationExpired": EventDoc(
            when="An authorisation is first seen expired, or lapsed without being cleared.",
            then="Upsert `after` and release what was held.",
        ),
        "AuthorizationDeclined": EventDoc(
            when="A use of a card is first seen declined, or became so.",
            then="Upsert `after`; nothing is held or booked. `decline_reason` says why, where the bank states it.",
        ),
        "AuthorizationAmended": EventDoc(
            when=(
                "An authorisation changed in another way, its state is one that we do not know, or it is proven gone "
                "(op `d`)."
            ),
            then="With op `d` delete the entity; otherwise upsert `after`: `changed` names the fields.",
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
