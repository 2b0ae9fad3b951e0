"""How cards are kept and used: issued, lost, blocked, given other limits; shops, fuel, hotels and sites abroad."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.cards import purchases
from connector.sandbox.cards.books import (
    Authorization,
    Card,
    Foreign,
    Kind,
    Limits,
    Merchant,
    Status,
    authorization_entity,
    card_entity,
)
from connector.sandbox.life import WAYS
from connector.sandbox.routines import Routine, Routines
from connector.sandbox.transactions.books import Transaction
from connector.sandbox.wire import local_date

if TYPE_CHECKING:
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand

_IN_HAND: tuple[Status, ...] = ("ACTIVE", "BLOCKED")
_FUEL = Merchant("Attock Fuel Stop 12", "5541", "Rawalpindi")
_HOTEL = Merchant("Hunza Orchard Hotel", "7011", "Karimabad")
_ONLINE = Merchant("Tara Electronics", "5732", "Lahore")
_ABROAD = Merchant("Nimbus Hosting", "7372", "Dublin", "IE")
_PAISA_PER_CENT = 279


def new_card(life: Life, hand: Hand, at: datetime, kind: Kind = "DEBIT") -> Card:
    """Issue a card: a reduced one to a minor."""
    number, day = hand.rng.randint(0, 9_999), local_date(at)
    plain = Card(
        id=hand.id("C"),
        product="Zindigi Debit" if kind == "DEBIT" else "Zindigi Virtual",
        kind=kind,
        last4=f"{number:04d}",
        iban=life.ibans[0],
        issued_at=at,
        expires=f"{day.year + (5 if kind == 'DEBIT' else 1)}-{day.month:02d}",
        limits=Limits(50_000, 100_000, 75_000) if kind == "DEBIT" else Limits(0, 0, 50_000),
        international=kind == "VIRTUAL",
        updated_at=at,
        scheme="PAYPAK" if kind == "DEBIT" else "MASTERCARD",
    )
    if life.account.minor:
        plain = replace(plain, product="Zindigi Junior", limits=Limits(5_000, 10_000, None), international=False)
    life.cards.issue(plain)
    return plain


def keep_cards(life: Life, hand: Hand, at: datetime) -> None:
    """The first card; later a lost one is replaced, or a virtual one taken or let go."""
    choice, reason = hand.rng.random(), hand.rng.choice(("LOST", "STOLEN", "DAMAGED"))
    if life.account.tier == "L0":
        return
    debit, virtual = _in_hand(life, "DEBIT"), _in_hand(life, "VIRTUAL")
    if debit is None:
        new_card(life, hand, at)
    elif choice < 0.4 and not life.account.minor and virtual is None:
        new_card(life, hand, at, "VIRTUAL")
    elif virtual is not None and choice < 0.6:
        if _untouched(life, virtual):
            life.cards.change(replace(virtual, status="EXPIRED", block_reason=None), at)
    elif _untouched(life, debit):
        replace_card(life, hand, debit, reason, at)


def replace_card(life: Life, hand: Hand, card: Card, reason: str, at: datetime) -> None:
    """The card is hotlisted for good, and another one of its kind issued."""
    life.cards.change(replace(card, status="HOTLISTED", block_reason=reason), at)
    new_card(life, hand, at, card.kind)


def block_card(life: Life, hand: Hand, at: datetime) -> None:
    """A card is blocked for a while, by its holder or by the bank."""
    reason = "HOLDER_REQUEST" if hand.rng.random() < 0.7 else "SUSPECTED_FRAUD"
    hours, card = hand.rng.uniform(2, 20), _in_hand(life, "DEBIT")
    if card is None or card.status != "ACTIVE" or not _untouched(life, card):
        return
    life.cards.change(replace(card, status="BLOCKED", block_reason=reason), at)

    def unblock(now: datetime) -> None:
        standing = life.cards.cards.get(card.id)
        if standing is not None and standing.status == "BLOCKED":
            life.cards.change(replace(standing, status="ACTIVE", block_reason=None), now)

    life.plan(at + timedelta(hours=hours), unblock, card_entity(card.id))


def set_card(life: Life, hand: Hand, at: datetime) -> None:
    """A holder sets other limits, or whether the card may be used abroad."""
    limit, abroad = hand.rng.randint(2, 30) * 5_000, hand.rng.random() < 0.3
    card = _in_hand(life, "DEBIT")
    if card is None or not _untouched(life, card):
        return
    if abroad and not life.account.minor:
        life.cards.change(replace(card, international=not card.international), at)
        return
    pos = limit // 10 if life.account.minor else limit
    if pos != card.limits.pos:
        life.cards.change(replace(card, limits=replace(card.limits, pos=pos)), at)


def shop(life: Life, hand: Hand, at: datetime) -> None:
    """Buy something with the card that fits; once in a while it is refunded later."""
    sale, card = _wish(life, hand)
    refunded, hours = hand.rng.random() < 0.03, hand.rng.uniform(44, 160)
    receipt = hand.id("T")
    if card is None:
        return
    bought = purchases.authorize(life, hand, card, sale, at)
    if bought.entry is None:
        return
    _plan_course(life, hand, bought, at)
    if refunded:
        refund = Transaction(receipt, card.iban, "REVERSAL", sale.amount_paisa, at)

        def give_back(now: datetime) -> None:
            life.pay(hand, replace(refund, initiated_at=now), now)

        life.plan(at + timedelta(hours=hours), give_back)


def _wish(life: Life, hand: Hand) -> tuple[purchases.Sale, Card | None]:
    """What is bought, and the card for it. Everything is drawn, whatever is used."""
    choice, everyday = hand.rng.random(), hand.rng.choice(life.contacts.shops)
    small, large, cents = hand.rupees(150, 4_500), hand.rupees(6_000, 24_000), hand.rng.randint(300, 4_000)
    debit, virtual = _in_hand(life, "DEBIT"), _in_hand(life, "VIRTUAL")
    if choice < 0.12:
        # The pump asks for a round sum before it knows how much will be filled.
        return purchases.Sale(_FUEL, 500_000), debit
    if choice < 0.15:
        return purchases.Sale(_HOTEL, large), debit
    if choice < 0.25:
        return purchases.Sale(_ONLINE, small, "ONLINE"), virtual or debit
    if choice < 0.32:
        foreign = Foreign(-cents, "USD")
        return purchases.Sale(_ABROAD, cents * _PAISA_PER_CENT, "ONLINE", foreign), virtual or debit
    merchant = Merchant(everyday.name or "", "5999", "Karachi")
    return purchases.Sale(merchant, small, "CONTACTLESS" if choice < 0.6 else "POS"), debit


def _plan_course(life: Life, hand: Hand, bought: Authorization, at: datetime) -> None:
    fate, share = hand.rng.random(), hand.rng.uniform(0.3, 0.95)
    adjusts = bought.merchant in {_FUEL, _HOTEL}
    adjust_hours, settle_hours = hand.rng.uniform(0.1, 2.5), hand.rng.uniform(3.0, 40.0)
    fate_hours, days = hand.rng.uniform(41.0, 240.0), hand.rng.uniform(5, 8)
    way = hand.rng.choices(list(WAYS), list(WAYS.values()))[0]
    posting_id, receipt = hand.id("T"), hand.id("R")
    entry = bought.entry or ""
    claims = (authorization_entity(bought.id), entry)
    if adjusts:
        final = max(int(-bought.amount_paisa * share), 100)
        moment = at + timedelta(hours=adjust_hours)
        life.plan(moment, lambda now: purchases.adjust(life, bought.id, final, now), *claims)
    lapse = life.rates.lapse
    if fate > 1 - lapse / 2:
        moment = at + timedelta(hours=settle_hours)
        life.plan(moment, lambda now: purchases.release(life, bought.id, "reversed", now), *claims)
    elif fate > 1 - lapse:
        life.plan(at + timedelta(days=days), lambda now: purchases.release(life, bought.id, "expired", now), *claims)
    else:
        moment = at + timedelta(hours=settle_hours)
        life.plan(moment, lambda now: purchases.clear(life, bought.id, way, posting_id, now), *claims)
        life.plan_fate(entry, fate, at + timedelta(hours=fate_hours), receipt)


def _in_hand(life: Life, kind: Kind) -> Card | None:
    """The newest card of a kind that is not given up."""
    return next((card for card in reversed(life.cards.listed(_IN_HAND)) if card.kind == kind), None)


def _untouched(life: Life, card: Card) -> bool:
    return card_entity(card.id) not in life.touched


def _cards(shop_hours: float) -> tuple[Routine, ...]:
    return (
        Routine("cards", 600, keep_cards),
        Routine("block-card", 200, block_card),
        Routine("set-card", 220, set_card),
        Routine("shop", shop_hours, shop),
    )


ROUTINES: Routines = {
    "salaried": _cards(13),
    "freelancer": _cards(16),
    "borrower": _cards(30),
    "teen": _cards(50),
}
