"""The brokerage's backend: camel case, numbers as text, milliseconds, numbered pages, and errors of its own form.

It sits behind the front door that all backends share: an app too old, a device not bound and a locked login are
refused there, in the front door's words. Everything else it refuses itself, and says no more than the status.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.investments.books import epoch_millis, order_entity
from connector.sandbox.investments.routines import may_invest
from connector.sandbox.mutations import Mutation
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit, calendar_date, whole_number
from connector.sandbox.wire import micros, midnight

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.life import Life
    from connector.sandbox.wire import Body, Json

_LARGEST_PAGE = 2**31 - 1
_FRONT_DOOR = frozenset({"APP_UPGRADE_REQUIRED", "DEVICE_UNBOUND", "LOCKED"})
_FUND_FIELDS = frozenset({"fundId", "fundClass", "units"})


def resources(life: Life) -> list[str]:
    """What the brokerage shows a holder: a fund's values for as long as the portfolio lists it."""
    if not may_invest(life):
        return []
    return ["holdings", "orders", *(f"nav/{fund_id}" for fund_id in life.investments.fund_ids)]


def refuse(refusal: Refusal, at: datetime) -> Reply:
    """A refusal in the brokerage's words."""
    if refusal.code in _FRONT_DOOR:
        return refusal.reply()
    body: Body = {
        "errorCode": f"BRK-{refusal.status}",
        "errorMessage": refusal.message,
        "timestamp": epoch_millis(at.astimezone(UTC)),
    }
    return Reply(refusal.status, body, headers=refusal.headers)


def _investor(bank: Bank, call: Call) -> Life:
    life = bank.lives[call.holder]
    if not may_invest(life):
        raise Refusal(403, "SURFACE_FORBIDDEN", "There is no brokerage account.")
    return life


def _row(life: Life, entity: str, body: Body) -> Row:
    return Row(body, ((entity, life.ledgers["investments"].present[entity].version),))


# ── Portfolio ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _portfolio_visit(_: Bank, call: Call) -> Visit:
    return Visit(call.holder, "investments", "holdings", None, 0, {}, begins=True)


def _portfolio(bank: Bank, call: Call) -> Reply:
    life = _investor(bank, call)
    books = life.investments
    rows = tuple(_row(life, entity, held.body()) for entity, held in books.holdings.items())
    stated_at = books.stated_at or bank.scenario.opens_at
    head: Body = {"portfolioId": f"P{life.spec.msisdn[-7:]}", "asOf": epoch_millis(stated_at.astimezone(UTC))}

    def envelope(items: list[Json], _: str | None) -> Body:
        funds = [item for item in items if isinstance(item, dict) and item.keys() & _FUND_FIELDS]
        return {**head, "equities": [item for item in items if item not in funds], "funds": funds}

    return Reply(page=Page(_portfolio_visit(bank, call), rows, None, envelope), cacheable=True)


# ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _orders_visit(_: Bank, call: Call) -> Visit:
    page = whole_number(call.query, "page", 0, (0, _LARGEST_PAGE))
    token = str(page) if page else None
    return Visit(call.holder, "investments", "orders", token, 0, {"page": page}, begins=not page)


def _orders(bank: Bank, call: Call) -> Reply:
    life = _investor(bank, call)
    visit = _orders_visit(bank, call)
    size = whole_number(call.query, "size", 20, (1, 100))
    page = int(visit.token or 0)
    every = life.investments.newest_first()
    pages = -(-len(every) // size)

    def envelope(content: list[Json], token: str | None) -> Body:
        shown = page if token is None else int(token) - 1
        counted: Body = {"page": shown, "size": size, "totalPages": pages, "totalElements": len(every)}
        return {"content": content, **counted}

    rows = (_row(life, order_entity(order.id), order.body()) for order in every[page * size : (page + 1) * size])
    return Reply(
        page=Page(
            visit,
            tuple(rows),
            str(page + 1) if page + 1 < pages else None,
            envelope,
            total=len(every),
            arrival=Mutation(holder=call.holder, domain="investments", op="buy"),
        ),
        cacheable=True,
    )


# ── Net asset values ────────────────────────────────────────────────────────────────────────────────────────────────


def _since(call: Call) -> date | None:
    given = call.query.get("since")
    return None if given is None else calendar_date(given)


def _navs_visit(bank: Bank, call: Call) -> Visit:
    fund_id = call.parts["fund_id"]
    if fund_id not in bank.lives[call.holder].investments.fund_ids:
        raise Refusal(404, "NOT_FOUND", "The portfolio lists no such fund.")
    since = _since(call)
    oldest = bank.oldest_booking()
    first = oldest if since is None else max(oldest, micros(midnight(since).astimezone(UTC)))
    asked: Body = {"since": since.isoformat() if since else None}
    return Visit(call.holder, "investments", f"nav/{fund_id}", None, first, asked, begins=True)


def _navs(bank: Bank, call: Call) -> Reply:
    life = _investor(bank, call)
    visit = _navs_visit(bank, call)
    fund_id = call.parts["fund_id"]
    published = sorted(life.investments.navs[fund_id].values(), key=lambda nav: nav.day)
    rows = tuple(
        _row(life, nav.entity, nav.body())
        for nav in published
        if micros(midnight(nav.day).astimezone(UTC)) >= visit.since
    )

    def envelope(navs: list[Json], _: str | None) -> Body:
        return {"fundId": fund_id, "navs": navs}

    return Reply(page=Page(visit, rows, None, envelope), cacheable=True)


ENDPOINTS = (
    Endpoint("GET", "/invest/v1/portfolio", "brokerage", _portfolio, visit=_portfolio_visit, refuse=refuse),
    Endpoint(
        "GET", "/invest/v1/orders", "brokerage", _orders,
        visit=_orders_visit, query=frozenset({"page", "size"}), refuse=refuse,
    ),
    Endpoint(
        "GET", "/invest/v1/funds/{fund_id}/nav", "brokerage", _navs,
        visit=_navs_visit, query=frozenset({"since"}), refuse=refuse,
    ),
)  # fmt: skip
