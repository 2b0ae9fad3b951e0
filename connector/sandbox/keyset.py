"""Newest-first feeds with keyset cursors, as the bank ledger's backend has them.

A cursor names a position, not an offset: an entry that arrives shifts nothing. It remembers the feed and the `from`
that its read was begun with.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date
from typing import TYPE_CHECKING

from connector.sandbox.replies import Refusal, Visit, calendar_date
from connector.sandbox.wire import Body, decode_cursor, encode_cursor, micros, midnight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.sandbox.core import Bank
    from connector.sandbox.gateway import Call
    from connector.sandbox.ledger import Domain

Position = tuple[int, str]
"""Where an entry stands in its feed: its time in microseconds, then its id."""
QUERY = frozenset({"from", "cursor", "limit"})
"""The query parameters of such a feed."""


def keyset_visit(bank: Bank, call: Call, domain: Domain, resource: str) -> Visit:
    """What a call asks of a feed.

    Raises:
        Refusal: the cursor is not of this feed, or `from` is no date.
    """
    given = call.query.get("from")
    start = None if given is None else calendar_date(given)
    cursor = call.query.get("cursor")
    if cursor is not None:
        start = _parts(cursor, resource, start)[1] or start
    oldest = bank.oldest_booking()
    since = oldest if start is None else max(oldest, micros(midnight(start).astimezone(UTC)))
    asked: Body = {"from": start.isoformat() if start else None}
    return Visit(call.holder, domain, resource, cursor, since, asked, begins=cursor is None)


def position_before(bank: Bank, call: Call, visit: Visit) -> Position | None:
    """The position that a page continues from; None at the top.

    Raises:
        Refusal: a fault has made the cursor invalid.
    """
    if visit.token is None:
        return None
    if bank.faults.fire("invalid_cursor", call.target):
        raise _invalid()
    return _parts(visit.token, visit.resource, None)[0]


def cursor_after(visit: Visit, position: Position) -> str:
    """The cursor that continues after `position`."""
    booked, entry_id = position
    return encode_cursor(visit.resource, str(booked), entry_id, str(visit.asked["from"] or ""))


def cut(
    positions: Sequence[Position], *, since: int, before: Position | None, limit: int
) -> tuple[list[Position], bool]:
    """At most `limit` of ascending `positions`, newest first, and whether older ones follow.

    They are strictly older than `before` and not older than `since` (microseconds).
    """
    end = len(positions) if before is None else bisect_left(positions, before)
    start = bisect_left(positions, (since, ""))
    first = max(start, end - limit)
    return list(reversed(positions[first:end])), first > start


def _parts(cursor: str, resource: str, start: date | None) -> tuple[Position, date | None]:
    """Where a cursor goes on, and the `from` that its read was begun with."""
    parts = decode_cursor(cursor)
    if parts is None or len(parts) != 4 or parts[0] != resource:
        raise _invalid()
    _, booked, entry_id, begun_with = parts
    begun = date.fromisoformat(begun_with) if begun_with else None
    if start is not None and start != begun:
        raise _invalid()
    return (int(booked), entry_id), begun


def _invalid() -> Refusal:
    return Refusal(400, "CURSOR_INVALID", "The cursor is not valid (any more). Start again from the top.")
