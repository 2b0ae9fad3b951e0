"""The bank ledger's backend: the cards of a holder, and the activity of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.cards.books import activity_of, authorization_entity, card_entity
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.keyset import QUERY, cursor_after, cut, keyset_visit, position_before
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit, whole_number

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
        raise _forbidden()
    rows = tuple(_row(life, card_entity(card_id)) for card_id in life.cards.cards)
    return Reply(page=Page(_cards_visit(bank, call), rows, None, _cards_envelope), cacheable=True)


def _activity_visit(bank: Bank, call: Call) -> Visit:
    life, card_id = bank.lives[call.holder], call.parts["card_id"]
    if life.account.tier == "L0" or life.account.minor:
        raise _forbidden()
    if card_id not in life.cards.cards:
        raise Refusal(404, "NOT_FOUND", "There is no such card.")
    return keyset_visit(bank, call, "cards", activity_of(card_id))


def _activity(bank: Bank, call: Call) -> Reply:
    visit = _activity_visit(bank, call)
    limit = whole_number(call.query, "limit", 50, (1, 100))
    before = position_before(bank, call, visit)
    life, card_id = bank.lives[call.holder], call.parts["card_id"]
    positions, more = cut(life.cards.activity[card_id], since=visit.since, before=before, limit=limit)
    page = Page(
        visit,
        rows=tuple(_row(life, authorization_entity(line_id)) for _, line_id in positions),
        next_token=cursor_after(visit, positions[-1]) if more else None,
        envelope=_activity_envelope,
        arrival=Mutation(holder=call.holder, domain="cards", op="authorize", entity=card_entity(card_id)),
        amendment=Mutation(holder=call.holder, domain="cards", op="amend"),
        shown_again=lambda entity: _shown_again(life, entity),
    )
    return Reply(page=page, cacheable=True)


def _row(life: Life, entity: str) -> Row:
    change = life.ledgers["cards"].present[entity]
    return Row(change.body or {}, ((entity, change.version),))


def _shown_again(life: Life, entity: str) -> Row | None:
    return _row(life, entity) if entity in life.ledgers["cards"].present else None


def _forbidden() -> Refusal:
    return Refusal(403, "SURFACE_FORBIDDEN", "This service is not available for the account.")


def _cards_envelope(cards: list[Json], _: str | None) -> Body:
    return {"cards": cards}


def _activity_envelope(items: list[Json], next_token: str | None) -> Body:
    return {"items": items, "next_cursor": next_token}


ENDPOINTS = (
    Endpoint("GET", "/cards", "bank", _cards, visit=_cards_visit),
    Endpoint("GET", "/cards/{card_id}/authorizations", "bank", _activity, visit=_activity_visit, query=QUERY),
)
