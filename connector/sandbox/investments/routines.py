"""How people invest: shares bought and sold, funds subscribed to and redeemed, and the market's evenings.

An order is filled at once, in parts or never, and what was filled is paid for days later by an entry of the bank
ledger. Every trading evening in Karachi each position is valued and each fund's net asset value is published; now and
then it is restated the day after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from connector.sandbox.investments.books import NOTHING, OPEN, Order, OrderStatus, order_entity
from connector.sandbox.investments.market import (
    EQUITIES,
    FUNDS,
    Instrument,
    is_trading_day,
    next_trading_day,
)
from connector.sandbox.routines import Routine, Routines
from connector.sandbox.transactions.books import Transaction
from connector.sandbox.wire import local_date, midnight

if TYPE_CHECKING:
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand

_EVENING = timedelta(hours=18, minutes=30)
_MORNING_AFTER = timedelta(hours=11)
_SETTLED_AFTER = timedelta(days=2)
_DAYS_SHOWN = 8
_SHARES_AT_ONCE, _FUNDS_AT_ONCE = 4, 2
_RESTATED = 0.12
_UNIT = Decimal("0.0001")
_IN_PARTS = 0.35
_ENDINGS: tuple[tuple[float, OrderStatus], ...] = ((0.07, "CANCELLED"), (0.12, "REJECTED"), (0.18, "EXPIRED"))


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of an order for shares, in hours from when it was placed: all of it drawn beforehand."""

    fate: float
    share: float
    first_hours: float
    rest_hours: float
    gives_up: bool

    @property
    def ending(self) -> OrderStatus | None:
        """How it ends without anything filled, if it does."""
        return next((status for bound, status in _ENDINGS if self.fate < bound), None)

    @property
    def in_parts(self) -> bool:
        """Whether it is filled in two parts."""
        return self.fate > 1 - _IN_PARTS


def _course(hand: Hand) -> Course:
    return Course(
        hand.rng.random(),
        hand.rng.uniform(0.2, 0.8),
        hand.rng.uniform(0.2, 4.0),
        hand.rng.uniform(5.0, 30.0),
        hand.rng.random() < 0.3,
    )


def may_invest(life: Life) -> bool:
    """Verified adults have a brokerage account, nobody else."""
    return life.account.is_verified_adult


# ── What people do ──────────────────────────────────────────────────────────────────────────────────────────────────


def buy_shares(life: Life, hand: Hand, at: datetime) -> None:
    """Shares of a company, as long as the funds reach."""
    pick, lots, course, limited = hand.rng.random(), hand.rng.randint(1, 12), _course(hand), hand.rng.random() < 0.4
    order_id = hand.id("O")
    books = life.investments
    held = [one.instrument for one in books.holdings.values() if one.instrument.type == "EQUITY"]
    wanted = held if len(held) >= _SHARES_AT_ONCE else [one for one in EQUITIES if one.id not in books.given_up]
    if not may_invest(life) or not wanted:
        return
    share = wanted[int(pick * len(wanted))]
    price, quantity = books.market.price(share, local_date(at)), Decimal(lots * 5)
    if quantity * price * 100 > life.transactions.feeds[life.ibans[0]].available_paisa:
        return
    limit = (price * Decimal("1.02")).quantize(share.step) if limited else None
    books.place(Order(order_id, "BUY", share, quantity, None, at, at, limit), at)
    plan_course(life, hand, order_id, course)


def sell_shares(life: Life, hand: Hand, at: datetime) -> None:
    """Shares that are held and not on sale already, all of them or a part."""
    pick, everything, part = hand.rng.random(), hand.rng.random() < 0.4, hand.rng.uniform(0.2, 0.8)
    course, order_id = _course(hand), hand.id("O")
    sellable = _idle_positions(life, "EQUITY")
    if not sellable:
        return
    held = life.investments.holdings[sellable[int(pick * len(sellable))]]
    quantity = held.quantity if everything else (held.quantity * Decimal(str(part))).quantize(Decimal(1)) or Decimal(1)
    life.investments.place(Order(order_id, "SELL", held.instrument, quantity, None, at, at), at)
    plan_course(life, hand, order_id, course)


def subscribe(life: Life, hand: Hand, at: datetime) -> None:
    """Money for units of a fund, at the value of the next evening."""
    pick, rupees, order_id = hand.rng.random(), hand.rng.randint(2, 40) * 250, hand.id("O")
    books = life.investments
    known = [one for one in FUNDS if one.id in books.fund_ids]
    wanted = known if len(known) >= _FUNDS_AT_ONCE else list(FUNDS)
    if not may_invest(life) or rupees * 100 > life.transactions.feeds[life.ibans[0]].available_paisa:
        return
    fund = wanted[int(pick * len(wanted))]
    books.place(Order(order_id, "SUBSCRIBE", fund, None, rupees * 100, at, at), at)
    _plan_dealing(life, hand, order_id, at)


def redeem(life: Life, hand: Hand, at: datetime) -> None:
    """Units of a fund given back, all of them or a part."""
    pick, everything, part = hand.rng.random(), hand.rng.random() < 0.3, hand.rng.uniform(0.2, 0.8)
    order_id = hand.id("O")
    redeemable = _idle_positions(life, "FUND")
    if not redeemable:
        return
    held = life.investments.holdings[redeemable[int(pick * len(redeemable))]]
    units = held.quantity if everything else (held.quantity * Decimal(str(part))).quantize(_UNIT, ROUND_DOWN)
    life.investments.place(Order(order_id, "REDEEM", held.instrument, units, None, at, at), at)
    _plan_dealing(life, hand, order_id, at)


def _idle_positions(life: Life, kind: str) -> list[str]:
    """Positions with something left that no open order gives away."""
    on_sale = {order.instrument.entity for order in life.investments.open_orders() if order.side in {"SELL", "REDEEM"}}
    return [
        entity
        for entity, held in life.investments.holdings.items()
        if held.instrument.type == kind and held.quantity and entity not in on_sale
    ]


# ── What becomes of orders ──────────────────────────────────────────────────────────────────────────────────────────


def plan_course(life: Life, hand: Hand, order_id: str, course: Course) -> None:
    """Plan how an order for shares is filled, or ends without."""
    order = life.investments.orders[order_id]
    claims = (order_entity(order_id), order.instrument.entity)
    first = order.placed_at + timedelta(hours=course.first_hours)
    rest = order.placed_at + timedelta(hours=course.rest_hours)
    ending = course.ending
    if ending is not None:
        life.plan(first, lambda now: end(life, hand, order_id, ending, now), claims[0])
        return
    if course.in_parts:
        share = Decimal(str(course.share))
        part = ((order.quantity or NOTHING) * share).quantize(Decimal(1)) or Decimal(1)
        life.plan(first, lambda now: fill(life, hand, order_id, now, part), *claims)
        if course.gives_up:
            life.plan(rest, lambda now: end(life, hand, order_id, "CANCELLED", now), claims[0])
            return
    life.plan(rest if course.in_parts else first, lambda now: fill(life, hand, order_id, now), *claims)


def _plan_dealing(life: Life, hand: Hand, order_id: str, at: datetime) -> None:
    order = life.investments.orders[order_id]
    day = next_trading_day(local_date(at))
    dealt = midnight(day) + _EVENING + timedelta(minutes=hand.rng.randint(31, 90))
    life.plan(dealt, lambda now: fill(life, hand, order_id, now), order_entity(order_id), order.instrument.entity)


def fill(life: Life, hand: Hand, order_id: str, now: datetime, quantity: Decimal | None = None) -> None:
    """Fill an order, wholly or `quantity` of it, as far as there is something to sell; it is paid for days later."""
    books = life.investments
    order = books.orders.get(order_id)
    if order is None or order.status not in OPEN:
        return
    instrument, day = order.instrument, local_date(now)
    published = books.navs.get(instrument.id, {}).get(day)
    price = published.value if published else books.market.price(instrument, day)
    held = books.holdings.get(instrument.entity)
    if order.amount_paisa is not None:
        wanted = (Decimal(order.amount_paisa).scaleb(-2) / price).quantize(_UNIT, ROUND_DOWN)
    else:
        wanted = min(quantity or order.unfilled, order.unfilled)
    gives_away = order.side in {"SELL", "REDEEM"}
    short = gives_away and (held is None or held.quantity < wanted)
    if short or (order.side == "BUY" and instrument.id in books.given_up):
        end(life, hand, order_id, "REJECTED", now)
        return
    books.fill(order_id, wanted, price, now, day)
    if instrument.type == "FUND":
        # What it was dealt at is the value of the day, published by now.
        books.publish(instrument, day, price, now)
    if held is None and not gives_away:
        _open(life, instrument, now)
    if books.orders[order_id].status == "FILLED":
        plan_settlement(life, hand, order_id, now)


def end(life: Life, hand: Hand, order_id: str, status: OrderStatus, now: datetime) -> None:
    """End what is left of an order; what was filled is paid for."""
    order = life.investments.orders.get(order_id)
    if order is not None and order.status in OPEN:
        life.investments.end(order_id, status, now)
        if order.filled:
            plan_settlement(life, hand, order_id, now)


def plan_settlement(life: Life, hand: Hand, order_id: str, now: datetime) -> None:
    """Let what was filled be paid for, two days on."""
    life.plan(now + _SETTLED_AFTER, lambda then: settle(life, hand, order_id, then), order_entity(order_id))


def settle(life: Life, hand: Hand, order_id: str, now: datetime) -> None:
    """An entry of the bank ledger pays for what was filled, and the order names it. An account may be overdrawn."""
    order = life.investments.orders.get(order_id)
    if order is None or order.settlement_transaction_id is not None or not order.filled:
        return
    sign = -1 if order.side in {"BUY", "SUBSCRIBE"} else 1
    entry = Transaction(
        id=hand.id("T"),
        iban=life.ibans[0],
        rail="INVESTMENT",
        amount_paisa=sign * order.spent_paisa,
        initiated_at=now,
        posted_at=now,
        receipt_ref=order_id,
    )
    life.investments.settle(order_id, life.transactions.enter(entry, now), now)


# ── The market's evenings ───────────────────────────────────────────────────────────────────────────────────────────


def _open(life: Life, instrument: Instrument, now: datetime) -> None:
    """A position is new: from here on it is valued, and of a fund the latest values are shown."""
    today = local_date(now)
    if instrument.type == "FUND":
        days = [today - timedelta(days=back) for back in range(_DAYS_SHOWN, 0, -1)]
        for day in filter(is_trading_day, days):
            value = life.investments.market.price(instrument, day)
            life.investments.publish(instrument, day, value, now, published_at=midnight(day) + _EVENING)
    _plan_evening(life, instrument, today, life.hand(f"evening/{instrument.id}/{today}"))


def _plan_evening(life: Life, instrument: Instrument, after: date, hand: Hand) -> None:
    day = next_trading_day(after)
    published = midnight(day) + _EVENING + timedelta(minutes=hand.rng.randint(0, 30))
    life.plan(published, lambda now: _evening(life, instrument, day, hand, now), instrument.entity)


def _evening(life: Life, instrument: Instrument, day: date, hand: Hand, now: datetime) -> None:
    books, restated = life.investments, hand.rng.random() < _RESTATED
    if instrument.entity not in books.holdings:
        return
    value = books.market.price(instrument, day)
    if instrument.type == "FUND":
        books.publish(instrument, day, value, now)
        if restated:
            nav = books.navs[instrument.id][day]
            morning = midnight(day) + timedelta(days=1) + _MORNING_AFTER
            life.plan(morning, lambda then: restate(life, instrument, day, then), nav.entity, instrument.entity)
    books.reprice(instrument.entity, value, day, now)
    _plan_evening(life, instrument, day, hand)


def restate(life: Life, fund: Instrument, day: date, now: datetime) -> None:
    """A published value was wrong: it is published anew, and a position that was valued with it is valued anew."""
    nav = life.investments.navs.get(fund.id, {}).get(day)
    if nav is None:
        return
    value = (nav.value * Decimal("1.0007")).quantize(fund.step)
    life.investments.publish(fund, day, value, now)
    held = life.investments.holdings[fund.entity]
    if held.priced_on == day:
        life.investments.reprice(fund.entity, value, day, now)


_INVESTING = (
    Routine("buy_shares", 55, buy_shares),
    Routine("sell_shares", 110, sell_shares),
    Routine("subscribe", 130, subscribe),
    Routine("redeem", 210, redeem),
)

ROUTINES: Routines = {
    "salaried": _INVESTING,
    "freelancer": _INVESTING,
    "borrower": _INVESTING,
}
