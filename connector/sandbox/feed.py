"""A page of a newest-first feed that is its ledger and nothing else: bills, bookings, the activity of a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.keyset import Position, cursor_after, cut, position_before
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Reply, Row, Visit, whole_number

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.gateway import Call
    from connector.sandbox.ledger import Change
    from connector.sandbox.wire import Body, Json


def keyset_page(bank: Bank, call: Call, visit: Visit, arrival: Mutation | None = None) -> Reply:
    """A page of a feed whose entries are ordered as their ledger books them, and whose items have their id in `id`.

    Its domain obeys `amend`, and `add` where no other `arrival` is given.

    Raises:
        Refusal: `limit` has no meaning, or a fault has made the cursor invalid.
    """
    limit = whole_number(call.query, "limit", 50, (1, 100))
    before = position_before(bank, call, visit)
    ledger = bank.lives[call.holder].ledgers[visit.domain]
    shown = {_position(change): change for change in ledger.present.values() if change.resource == visit.resource}
    positions, more = cut(sorted(shown), since=visit.since, before=before, limit=limit)
    page = Page(
        visit,
        rows=tuple(_row(shown[position]) for position in positions),
        next_token=cursor_after(visit, positions[-1]) if more else None,
        envelope=feed_envelope,
        arrival=arrival or Mutation(holder=call.holder, domain=visit.domain, op="add"),
        amendment=Mutation(holder=call.holder, domain=visit.domain, op="amend"),
        shown_again=lambda entity: _row(ledger.present[entity]) if entity in ledger.present else None,
    )
    return Reply(page=page, cacheable=True)


def feed_envelope(items: list[Json], next_token: str | None) -> Body:
    """The body of a page."""
    return {"items": items, "next_cursor": next_token}


def _position(change: Change) -> Position:
    return change.booking, str((change.body or {})["id"])


def _row(change: Change) -> Row:
    return Row(change.body or {}, ((change.entity, change.version),))
