"""The bank ledger's backend: the holder's profile and the feed of each account."""

from __future__ import annotations

import re
from datetime import UTC, date
from typing import TYPE_CHECKING

from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit, bad_request
from connector.sandbox.transactions import with_balance
from connector.sandbox.wire import Body, Json, decode_cursor, encode_cursor, micros, midnight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connector.sandbox.core import Bank
    from connector.sandbox.ledger import Change
    from connector.sandbox.transactions import Position

_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$", re.ASCII)
_FIRST_DATE, _LAST_DATE = date(1900, 1, 1), date(2999, 12, 31)
_WHOLE = re.compile(r"^-?\d{1,18}$", re.ASCII)


def whole_number(query: Mapping[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    """A query parameter that counts.

    Raises:
        Refusal: BAD_REQUEST, where it is no whole number or out of bounds.
    """
    text = query.get(name)
    if text is None:
        return default
    least, most = bounds
    if not _WHOLE.match(text) or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def _me(bank: Bank, call: Call) -> Reply:
    life = bank.lives[call.holder]
    spec = life.spec
    body: Body = {
        "holder": {"name": spec.name, "cnic": spec.cnic, "msisdn": spec.msisdn, "email": spec.email},
        "tier": spec.tier,
        "segment": spec.segment,
        "minor": spec.minor,
        "accounts": [
            {"iban": iban, "title": title, "status": "ACTIVE"}
            for iban, title in zip(life.ibans, ("Zindigi Wallet", "Freelancer Account"), strict=False)
        ],
    }
    return Reply(body=body, cacheable=True)


def _visit(bank: Bank, call: Call) -> Visit:
    iban = call.parts["iban"]
    if iban not in bank.lives[call.holder].ibans:
        raise Refusal(404, "NOT_FOUND", "There is no such account.")
    given = call.query.get("from")
    start = None if given is None else _calendar_date(given)
    cursor = call.query.get("cursor")
    if cursor is not None:
        start = _cursor_parts(cursor, iban, start)[1] or start
    oldest = bank.oldest_booking()
    since = oldest if start is None else max(oldest, micros(midnight(start).astimezone(UTC)))
    asked: Body = {"from": start.isoformat() if start else None}
    return Visit(call.holder, "transactions", f"transactions/{iban}", cursor, since, asked, begins=cursor is None)


def _transactions(bank: Bank, call: Call) -> Reply:
    iban = call.parts["iban"]
    visit = _visit(bank, call)
    limit = whole_number(call.query, "limit", 50, (1, 100))
    before: Position | None = None
    if visit.token is not None:
        if bank.faults.fire("invalid_cursor", call.target):
            raise _cursor_invalid()
        before = _cursor_parts(visit.token, iban, None)[0]
    life = bank.lives[call.holder]
    entries, more = life.transactions.feeds[iban].page(since=visit.since, before=before, limit=limit)
    present = life.ledgers["transactions"].present
    rows = tuple(_row(present[entry.entity], entry.balance_paisa) for entry in entries)
    next_cursor = None
    if more:
        booked, transaction_id = entries[-1].transaction.position
        next_cursor = encode_cursor(iban, str(booked), transaction_id, str(visit.asked["from"] or ""))
    return Reply(page=Page(visit, rows, next_cursor, _envelope), cacheable=True)


def _row(change: Change, balance_paisa: int | None) -> Row:
    return Row(with_balance(change.body or {}, balance_paisa), ((change.entity, change.version),))


def _envelope(items: list[Json], next_token: str | None) -> Body:
    return {"items": items, "next_cursor": next_token}


def _calendar_date(text: str) -> date:
    refusal = bad_request("from must be a calendar date, YYYY-MM-DD.")
    if not _DATE.match(text):
        raise refusal
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise refusal from None
    if not _FIRST_DATE <= day <= _LAST_DATE:
        raise refusal
    return day


def _cursor_parts(cursor: str, iban: str, start: date | None) -> tuple[Position, date | None]:
    """Where a cursor goes on, and the `from` that its read was begun with."""
    parts = decode_cursor(cursor)
    if parts is None or len(parts) != 4 or parts[0] != iban:
        raise _cursor_invalid()
    _, booked, transaction_id, begun_with = parts
    begun = date.fromisoformat(begun_with) if begun_with else None
    if start is not None and start != begun:
        raise _cursor_invalid()
    return (int(booked), transaction_id), begun


def _cursor_invalid() -> Refusal:
    return Refusal(400, "CURSOR_INVALID", "The cursor is not valid (any more). Start again from the top.")


ENDPOINTS = (
    Endpoint("GET", "/me", "bank", _me),
    Endpoint(
        "GET",
        "/accounts/{iban}/transactions",
        "bank",
        _transactions,
        visit=_visit,
        query=frozenset({"from", "cursor", "limit"}),
    ),
)
