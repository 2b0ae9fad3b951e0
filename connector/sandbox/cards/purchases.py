"""A purchase by card is one thing in two books: an authorisation at the card desk, an entry in the account.

The entry is pending while the authorisation is open, follows its amount, is posted when it clears, and goes when it
lapses. A minor's purchases are entered in the account alone: their card's activity is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connector.sandbox.cards.books import Authorization, Channel, Foreign, Merchant
from connector.sandbox.people import Counterparty
from connector.sandbox.transactions.books import PostingWay, Transaction

if TYPE_CHECKING:
    from datetime import datetime

    from connector.sandbox.cards.books import Card, State
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand


@dataclass(frozen=True, slots=True)
class Sale:
    """What somebody wants to buy; `amount_paisa` is positive."""

    merchant: Merchant
    amount_paisa: int
    channel: Channel = "POS"
    foreign: Foreign | None = None


def refusal_of(life: Life, card: Card, sale: Sale) -> str | None:
    """Why the bank declines; None where it does not."""
    if card.status != "ACTIVE":
        return "CARD_BLOCKED"
    if sale.channel == "ONLINE" and card.limits.online is None:
        return "ONLINE_NOT_ALLOWED"
    if sale.foreign is not None and not card.international:
        return "INTERNATIONAL_NOT_ALLOWED"
    if life.transactions.feeds[card.iban].available_paisa < sale.amount_paisa:
        return "INSUFFICIENT_FUNDS"
    return None


def authorize(
    life: Life, hand: Hand, card: Card, sale: Sale, at: datetime, *, refused: str | None = None
) -> Authorization:
    """The merchant asks, the bank answers; what it allows is entered as pending. `refused` declines in any case.

    Ids are drawn whatever the answer, so that it changes nothing else.
    """
    authorization_id, transaction_id = hand.id("AU"), hand.id("T")
    refused = refused or refusal_of(life, card, sale)
    entry = None
    if refused is None:
        entry = life.transactions.enter(
            Transaction(
                id=transaction_id,
                iban=card.iban,
                rail="CARD",
                amount_paisa=-sale.amount_paisa,
                initiated_at=at,
                status="pending",
                counterparty=Counterparty(name=sale.merchant.name),
            ),
            at,
        )
    authorization = Authorization(
        id=authorization_id,
        card_id=card.id,
        amount_paisa=-sale.amount_paisa,
        channel=sale.channel,
        merchant=sale.merchant,
        authorized_at=at,
        updated_at=at,
        state="authorized" if refused is None else "declined",
        foreign=sale.foreign,
        decline_reason=refused,
        entry=entry,
        shown=not life.account.minor,
    )
    life.cards.enter(authorization)
    return authorization


def adjust(life: Life, authorization_id: str, amount_paisa: int, at: datetime) -> None:
    """The final amount becomes known before clearing; nothing where there is nothing open any more."""
    authorization = life.cards.authorizations.get(authorization_id)
    if authorization is None or not authorization.open:
        return
    pending = life.transactions.get(authorization.entry or "")
    if pending is not None and pending.status == "pending":
        life.transactions.amend(authorization.entry or "", at, replace(pending, amount_paisa=-amount_paisa))
    life.cards.settle(replace(authorization, state="adjusted", amount_paisa=-amount_paisa), at)


def clear(life: Life, authorization_id: str, way: PostingWay, new_id: str, at: datetime) -> None:
    """The merchant claims the money: the entry is posted, and the authorisation names it by the bank's id of it."""
    authorization = life.cards.authorizations.get(authorization_id)
    if authorization is None or not authorization.open:
        return
    entity = authorization.entry or ""
    entry = life.transactions.get(entity)
    if entry is None:
        # What was entered for it is gone from the account: there is nothing left to claim.
        release(life, authorization_id, "reversed", at)
        return
    if entry.status == "pending":
        entity = life.transactions.post(entity, at, way, new_id)
        entry = life.transactions.get(entity) or entry
    life.cards.settle(
        replace(
            authorization,
            state="cleared",
            amount_paisa=entry.amount_paisa,
            cleared_transaction_id=entry.id,
            entry=entity,
        ),
        at,
    )


def release(life: Life, authorization_id: str, state: State, at: datetime) -> None:
    """The money is free again: taken back by the merchant (`reversed`), or never claimed (`expired`)."""
    authorization = life.cards.authorizations.get(authorization_id)
    if authorization is None or not authorization.open:
        return
    pending = life.transactions.get(authorization.entry or "")
    if pending is not None and pending.status == "pending":
        life.transactions.remove(authorization.entry or "", at)
    life.cards.settle(replace(authorization, state=state), at)
