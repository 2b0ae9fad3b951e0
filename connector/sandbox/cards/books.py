"""The card desk's books: cards with their limits, and the activity of each in the order in which the bank shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, local_instant, micros, money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from connector.sandbox.ledger import Ledger

Kind = Literal["DEBIT", "VIRTUAL"]
Status = Literal["ACTIVE", "BLOCKED", "HOTLISTED", "EXPIRED"]
Channel = Literal["POS", "CONTACTLESS", "ONLINE", "ATM"]
State = Literal["authorized", "adjusted", "cleared", "reversed", "expired", "declined"]
_OPEN: frozenset[State] = frozenset({"authorized", "adjusted"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Rupees a day; `online` is None where the card cannot be used online."""

    atm: int
    pos: int
    online: int | None

    def body(self) -> Body:
        """The wire form."""
        return {
            "atm_daily": money(self.atm * 100),
            "pos_daily": money(self.pos * 100),
            "online_daily": None if self.online is None else money(self.online * 100),
            "ccy": "PKR",
        }


@dataclass(frozen=True, slots=True)
class Card:
    """A card. `expires` is its last month, `YYYY-MM`."""

    id: str
    product: str
    kind: Kind
    last4: str
    iban: str
    issued_at: datetime
    expires: str
    limits: Limits
    international: bool
    updated_at: datetime
    scheme: str = "PAYPAK"
    status: Status = "ACTIVE"
    block_reason: str | None = None

    def body(self) -> Body:
        """The wire form."""
        return {
            "id": self.id,
            "product": self.product,
            "scheme": self.scheme,
            "kind": self.kind,
            "last4": self.last4,
            "status": self.status,
            "block_reason": self.block_reason,
            "iban": self.iban,
            "issued_at": local_instant(self.issued_at),
            "expires": self.expires,
            "limits": self.limits.body(),
            "international": self.international,
            "updated_at": local_instant(self.updated_at),
        }


@dataclass(frozen=True, slots=True)
class Merchant:
    """Where a card is used."""

    name: str
    mcc: str
    city: str
    country: str = "PK"

    def body(self) -> Body:
        """The wire form."""
        return {"name": self.name, "mcc": self.mcc, "city": self.city, "country": self.country}


@dataclass(frozen=True, slots=True)
class Foreign:
    """An amount in the merchant's currency, in hundredths of it."""

    hundredths: int
    currency: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """One use of a card. `amount_paisa` is negative for a purchase.

    `entry` is the entity of the transaction that the bank entered for it, None where it entered none. One that is not
    `shown` never comes into the card's activity.
    """

    id: str
    card_id: str
    amount_paisa: int
    channel: Channel
    merchant: Merchant
    authorized_at: datetime
    updated_at: datetime
    state: State = "authorized"
    foreign: Foreign | None = None
    decline_reason: str | None = None
    cleared_transaction_id: str | None = None
    entry: str | None = None
    shown: bool = True

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in _OPEN

    def body(self) -> Body:
        """The wire form."""
        foreign = self.foreign
        return {
            "id": self.id,
            "amount": money(self.amount_paisa),
            "ccy": "PKR",
            "original_amount": money(foreign.hundredths) if foreign else None,
            "original_ccy": foreign.currency if foreign else None,
            "merchant": self.merchant.body(),
            "channel": self.channel,
            "state": self.state,
            "decline_reason": self.decline_reason,
            "authorized_at": local_instant(self.authorized_at),
            "updated_at": local_instant(self.updated_at),
            "cleared_transaction_id": self.cleared_transaction_id,
        }


def card_entity(card_id: str) -> str:
    """The entity of a card."""
    return f"card/{card_id}"


def authorization_entity(authorization_id: str) -> str:
    """The entity of an authorisation: ids are never given twice, whatever the card."""
    return f"authorization/{authorization_id}"


def activity_of(card_id: str) -> str:
    """The resource that shows a card's authorisations."""
    return f"authorizations/{card_id}"


class Cards:
    """What the card desk can do; each act is one change of one entity and states when it was."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.cards: dict[str, Card] = {}
        self.authorizations: dict[str, Authorization] = {}

    def listed(self, statuses: Iterable[Status] = ("ACTIVE", "BLOCKED", "HOTLISTED", "EXPIRED")) -> list[Card]:
        """Cards of these statuses, oldest first."""
        wanted = set(statuses)
        return [card for card in self.cards.values() if card.status in wanted]

    def issue(self, card: Card) -> None:
        """A new card."""
        self.cards[card.id] = card
        entity, at = card_entity(card.id), card.issued_at
        self.ledger.create(entity, card.body(), at, resource="cards", booking=0)

    def change(self, card: Card, at: datetime) -> None:
        """The card as it is from now on."""
        changed = replace(card, updated_at=at)
        self.cards[card.id] = changed
        self.ledger.update(card_entity(card.id), changed.body(), at)

    def withdraw(self, card_id: str, at: datetime) -> None:
        """The card is shown no longer, nor is its activity; nothing of that activity changes."""
        del self.cards[card_id]
        self.ledger.delete(card_entity(card_id), at)

    def enter(self, authorization: Authorization) -> None:
        """A card was used."""
        self.authorizations[authorization.id] = authorization
        if authorization.shown:
            self.ledger.create(
                authorization_entity(authorization.id),
                authorization.body(),
                authorization.authorized_at,
                resource=activity_of(authorization.card_id),
                booking=micros(authorization.authorized_at),
            )

    def settle(self, authorization: Authorization, at: datetime) -> None:
        """The authorisation as it is from now on; nothing where its card or the line itself is gone."""
        if authorization.id not in self.authorizations or authorization.card_id not in self.cards:
            return
        changed = replace(authorization, updated_at=at)
        self.authorizations[authorization.id] = changed
        if authorization.shown:
            self.ledger.update(authorization_entity(authorization.id), changed.body(), at)

    def remove(self, authorization_id: str, at: datetime) -> None:
        """A line leaves the card's activity."""
        del self.authorizations[authorization_id]
        self.ledger.delete(authorization_entity(authorization_id), at)
