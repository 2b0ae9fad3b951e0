"""The bank ledger's backend: the cards of a holder, and the activity of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.cards.books import activity_of, card_entity
from connector.sandbox.feed import keyset_page
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.keyset import QUERY, keyset_visit
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit, surface_forbidden

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.life import Life
    from connector.sandbox.wire import Body, Json


def resources(life: Life) -> list[str]:
    """What the bank shows a holder: nothing at L0, the cards without their activity to a minor."""
    if life.account.tier == "L0":
        return []
    shown = [] if life.account.minor else [activity_of(card_id) for card_id in life.cards.cards]
    return ["cards", *shown]


def _cards_visit(_: Bank, call: Call) -> Visit:
    return Visit(call.holder, "cards", "cards", None, 0, {}, begins=True)


def _cards(bank: Bank, call: Call) -> Reply:
    life = bank.lives[call.holder]
    if life.account.tier == "L0":
        raise surface_forbidden()
    rows = tuple(_row(life, card_entity(card_id)) for card_id in life.cards.cards)
    return Reply(page=Page(_cards_visit(bank, call), rows, None, _cards_envelope), cacheable=True)


def _activity_visit(bank: Bank, call: Call) -> Visit:
    life, card_id = bank.lives[call.holder], call.parts["card_id"]
    if life.account.tier == "L0" or life.account.minor:
        raise surface_forbidden()
    if card_id not in life.cards.cards:
        raise Refusal(404, "NOT_FOUND", "There is no such card.")
    return keyset_visit(bank, call, "cards", activity_of(card_id))


def _activity(bank: Bank, call: Call) -> Reply:
    used = Mutation(holder=call.holder, domain="cards", op="authorize", entity=card_entity(call.parts["card_id"]))
    return keyset_page(bank, call, _activity_visit(bank, call), used)


def _row(life: Life, entity: str) -> Row:
    change = life.ledgers["cards"].present[entity]
    return Row(change.body or {}, ((entity, change.version),))


def _cards_envelope(cards: list[Json], _: str | None) -> Body:
    return {"cards": cards}


ENDPOINTS = (
    Endpoint("GET", "/cards", "bank", _cards, visit=_cards_visit),
    Endpoint("GET", "/cards/{card_id}/authorizations", "bank", _activity, visit=_activity_visit, query=QUERY),
)
