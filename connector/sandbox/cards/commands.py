"""What can be done to cards and authorisations on command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.sandbox.cards import purchases
from connector.sandbox.cards.books import Foreign, Merchant, authorization_entity, card_entity
from connector.sandbox.cards.routines import new_card, replace_card
from connector.sandbox.mutations import Mutation, MutationError

if TYPE_CHECKING:
    from datetime import datetime

    from connector.sandbox.cards.books import Authorization, Card, Status
    from connector.sandbox.orders import Orders

_CARD_OPS: dict[str, tuple[Status, ...]] = {
    "block": ("ACTIVE",),
    "unblock": ("BLOCKED",),
    "limits": ("ACTIVE", "BLOCKED"),
    "international": ("ACTIVE", "BLOCKED"),
    "replace": ("ACTIVE", "BLOCKED"),
    "expire_card": ("ACTIVE", "BLOCKED"),
    "withdraw": ("ACTIVE", "BLOCKED", "HOTLISTED", "EXPIRED"),
    "authorize": ("ACTIVE",),
    "authorize_abroad": ("ACTIVE",),
    "decline": ("ACTIVE", "BLOCKED"),
}
_OPEN_OPS = frozenset({"adjust", "clear", "reverse", "expire"})


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    for _ in range(mutation.count):
        if mutation.op == "issue":
            new_card(orders.life, orders.hand, now)
        elif mutation.op in {"authorize", "authorize_abroad", "decline"}:
            _use(orders, mutation, now)
        elif mutation.op in _CARD_OPS:
            _change_card(orders, mutation, now)
        else:
            _change_authorization(orders, mutation, now)


def _use(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """A card is used; the bank declines where it must, or is told to."""
    sale = purchases.Sale(
        Merchant(f"On command {orders.serial()}", "5999", "Karachi"), abs(mutation.amount or 100) * 100
    )
    if mutation.op == "authorize_abroad":
        foreign = Foreign(-max(sale.amount_paisa // 280, 1), "USD")
        sale = replace(sale, merchant=replace(sale.merchant, city="Dublin", country="IE"), foreign=foreign)
    refused = "DO_NOT_HONOUR" if mutation.op == "decline" else None
    purchases.authorize(orders.life, orders.hand, _card(orders, mutation), sale, now, refused=refused)


def _change_card(orders: Orders, mutation: Mutation, now: datetime) -> None:
    card, cards = _card(orders, mutation), orders.life.cards
    if mutation.op == "withdraw":
        cards.withdraw(card.id, now)
    elif mutation.op == "replace":
        replace_card(orders.life, orders.hand, card, "LOST", now)
    elif mutation.op == "block":
        cards.change(replace(card, status="BLOCKED", block_reason="HOLDER_REQUEST"), now)
    elif mutation.op == "unblock":
        cards.change(replace(card, status="ACTIVE", block_reason=None), now)
    elif mutation.op == "expire_card":
        cards.change(replace(card, status="EXPIRED", block_reason=None), now)
    elif mutation.op == "international":
        cards.change(replace(card, international=not card.international), now)
    else:
        pos = mutation.amount or card.limits.pos + orders.serial()
        cards.change(replace(card, limits=replace(card.limits, pos=pos)), now)


def _change_authorization(orders: Orders, mutation: Mutation, now: datetime) -> None:
    life, target = orders.life, _authorization(orders, mutation)
    if mutation.op == "adjust":
        paisa = mutation.amount * 100 if mutation.amount else 100 * orders.serial() - target.amount_paisa
        purchases.adjust(life, target.id, abs(paisa), now)
    elif mutation.op == "clear":
        purchases.clear(life, target.id, mutation.way, orders.hand.id("T"), now)
    elif mutation.op in {"reverse", "expire"}:
        purchases.release(life, target.id, "reversed" if mutation.op == "reverse" else "expired", now)
    elif mutation.op == "remove":
        life.cards.remove(target.id, now)
    else:
        merchant = replace(target.merchant, city=f"City {orders.serial()}")
        life.cards.settle(replace(target, merchant=merchant), now)


def _card(orders: Orders, mutation: Mutation) -> Card:
    """The card named, else the newest that it can be done to."""
    statuses = _CARD_OPS[mutation.op]
    for card in reversed(orders.life.cards.listed()):
        if mutation.entity == card_entity(card.id) or (mutation.entity is None and card.status in statuses):
            return card
    raise MutationError("there is no card to do it to")


def _authorization(orders: Orders, mutation: Mutation) -> Authorization:
    """The authorisation named, else the newest that it can be done to."""
    if mutation.op not in _OPEN_OPS | {"amend", "remove"}:
        raise MutationError(f"{mutation.op} is nothing that happens to cards")
    cards = orders.life.cards
    for line in reversed(cards.authorizations.values()):
        fits = line.shown and line.card_id in cards.cards and (line.open or mutation.op not in _OPEN_OPS)
        if fits and mutation.entity in {None, authorization_entity(line.id)}:
            return line
    raise MutationError("there is no authorisation to do it to")
