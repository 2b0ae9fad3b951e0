"""The points backend: integer points in ascending order, and the vouchers bought with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.loyalty.books import points_entity, voucher_entity
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Reply, Row, Visit, whole_number

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Body, Json

_LARGEST_ID = 2**53 - 1


def _voucher_visit(_: Bank, call: Call) -> Visit:
    return Visit(call.holder, "loyalty", "vouchers", None, 0, {}, begins=True)


def _summary(bank: Bank, call: Call) -> Reply:
    life = bank.lives[call.holder]
    present = life.ledgers["loyalty"].present
    rows = tuple(
        Row(voucher.body(), ((voucher_entity(voucher.id), present[voucher_entity(voucher.id)].version),))
        for voucher in life.loyalty.vouchers.values()
    )
    head: Body = {"member_id": f"ZM{life.spec.msisdn[-7:]}", "balance": life.loyalty.balance}

    def envelope(vouchers: list[Json], _: str | None) -> Body:
        return {**head, "vouchers": vouchers}

    return Reply(page=Page(_voucher_visit(bank, call), rows, None, envelope), cacheable=True)


def _points_visit(_: Bank, call: Call) -> Visit:
    after_id = whole_number(call.query, "after_id", 0, (0, _LARGEST_ID))
    token = str(after_id) if after_id else None
    return Visit(call.holder, "loyalty", "points", token, after_id + 1, {"after_id": after_id}, begins=True)


def _points(bank: Bank, call: Call) -> Reply:
    visit = _points_visit(bank, call)
    limit = whole_number(call.query, "limit", 100, (1, 200))
    life = bank.lives[call.holder]
    following = [entry for key, entry in life.loyalty.entries.items() if key >= visit.since]
    present = life.ledgers["loyalty"].present
    rows = tuple(
        Row(entry.body(), ((points_entity(entry.id), present[points_entity(entry.id)].version),))
        for entry in following[:limit]
    )
    next_token = str(following[limit - 1].id) if len(following) > limit else None
    arrival = Mutation(holder=call.holder, domain="loyalty", op="earn")
    return Reply(page=Page(visit, rows, next_token, _points_envelope, arrival=arrival), cacheable=True)


def _points_envelope(entries: list[Json], next_token: str | None) -> Body:
    return {"entries": entries, "has_more": next_token is not None}


ENDPOINTS = (
    Endpoint("GET", "/z-miles/summary", "z_miles", _summary, visit=_voucher_visit),
    Endpoint("GET", "/z-miles/ledger", "z_miles", _points, visit=_points_visit, query=frozenset({"after_id", "limit"})),
)
