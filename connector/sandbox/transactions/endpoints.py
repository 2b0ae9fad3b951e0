"""The bank ledger's backend: the feed of each account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.feed import feed_envelope
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.keyset import QUERY, cursor_after, keyset_visit, position_before
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit, whole_number
from connector.sandbox.transactions.books import with_balance

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.ledger import Change
    from connector.sandbox.life import Life


def _visit(bank: Bank, call: Call) -> Visit:
    iban = call.parts["iban"]
    if iban not in bank.lives[call.holder].ibans:
        raise Refusal(404, "NOT_FOUND", "There is no such account.")
    return keyset_visit(bank, call, "transactions", f"transactions/{iban}")


def _transactions(bank: Bank, call: Call) -> Reply:
    iban = call.parts["iban"]
    visit = _visit(bank, call)
    limit = whole_number(call.query, "limit", 50, (1, 100))
    before = position_before(bank, call, visit)
    life = bank.lives[call.holder]
    entries, more = life.transactions.feeds[iban].page(since=visit.since, before=before, limit=limit)
    present = life.ledgers["transactions"].present
    page = Page(
        visit,
        rows=tuple(_row(present[entry.entity], entry.balance_paisa) for entry in entries),
        next_token=cursor_after(visit, entries[-1].transaction.position) if more else None,
        envelope=feed_envelope,
        arrival=Mutation(holder=call.holder, domain="transactions", op="add", iban=iban),
        amendment=Mutation(holder=call.holder, domain="transactions", op="amend"),
        shown_again=lambda entity: _shown_again(life, iban, entity),
    )
    return Reply(page=page, cacheable=True)


def _row(change: Change, balance_paisa: int | None) -> Row:
    return Row(with_balance(change.body or {}, balance_paisa), ((change.entity, change.version),))


def _shown_again(life: Life, iban: str, entity: str) -> Row | None:
    feed = life.transactions.feeds[iban].newest_first()
    shown = next((entry for entry in feed if entry.entity == entity), None)
    if shown is None:
        return None
    return Row(shown.body(), ((entity, life.ledgers["transactions"].present[entity].version),))


ENDPOINTS = (Endpoint("GET", "/accounts/{iban}/transactions", "bank", _transactions, visit=_visit, query=QUERY),)
