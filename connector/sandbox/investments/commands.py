"""What can be done at the brokerage on command."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from connector.sandbox.investments.books import NOTHING, OPEN, Order, OrderStatus, Side
from connector.sandbox.investments.market import INSTRUMENTS, Instrument, next_trading_day
from connector.sandbox.investments.routines import end, fill, may_invest, restate, settle
from connector.sandbox.mutations import Mutation, MutationError

if TYPE_CHECKING:
    from datetime import datetime

    from connector.sandbox.life import Life
    from connector.sandbox.orders import Orders

_SIDES: dict[str, Side] = {
    "buy": "BUY",
    "sell": "SELL",
    "subscribe": "SUBSCRIBE",
    "subscribe_booked": "SUBSCRIBE",
    "redeem": "REDEEM",
}
_ENDINGS: dict[str, OrderStatus] = {"cancel": "CANCELLED", "reject": "REJECTED", "expire": "EXPIRED"}
_BARGAINS = frozenset({*_ENDINGS, "fill", "fill_part"})


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`.

    `buy`, `sell`, `subscribe` and `redeem` place an order and no more (`entity` names a position, `amount` is a number
    of shares or units, or rupees to subscribe with), `subscribe_booked` one that belongs to the newest booking of the
    marketplace; `fill`, `fill_part`, `cancel`, `reject` and `expire` are done to the newest open order, `settle` to one
    that was filled, `amend` and `remove` to any; `reprice` values a position anew, `publish_nav`, `restate_nav` and
    `withdraw_nav` concern a fund (`entity`: its position).
    """
    if not may_invest(orders.life):
        raise MutationError("this holder has no brokerage account")
    for _ in range(mutation.count):
        if mutation.op in _SIDES:
            _place(orders, mutation, now)
        elif mutation.op == "reprice":
            _reprice(orders, mutation, now)
        elif mutation.op.endswith("_nav"):
            _value(orders, mutation, now)
        else:
            _deal(orders, mutation, now)


def _place(orders: Orders, mutation: Mutation, now: datetime) -> None:
    side, order_id = _SIDES[mutation.op], orders.hand.id("O")
    instrument = _instrument(orders.life, mutation.entity, side)
    quantity: Decimal | None = Decimal(mutation.amount or 10)
    amount = None
    if side == "SUBSCRIBE":
        quantity, amount = None, (mutation.amount or 5_000) * 100
    elif side in {"SELL", "REDEEM"} and mutation.amount is None:
        quantity = orders.life.investments.holdings[instrument.entity].quantity
    booked = _newest_booking(orders.life) if mutation.op == "subscribe_booked" else None
    order = Order(order_id, side, instrument, quantity, amount, now, now, booking_reference=booked)
    orders.life.investments.place(order, now)


def _newest_booking(life: Life) -> str:
    standing = [booking.id for _, booking in life.bookings.newest_first() if booking.status != "cancelled"]
    if not standing:
        raise MutationError("there is no booking that an order could belong to")
    return standing[0]


def _instrument(life: Life, entity: str | None, side: Side) -> Instrument:
    """The one named, else the first that the side makes sense for."""
    books = life.investments
    kind = "EQUITY" if side in {"BUY", "SELL"} else "FUND"
    held = [one.instrument for one in books.holdings.values() if one.quantity]
    choice = (
        held if side in {"SELL", "REDEEM"} else [one for one in INSTRUMENTS.values() if one.id not in books.given_up]
    )
    found = next((one for one in choice if one.type == kind and entity in {None, one.entity}), None)
    if found is None:
        raise MutationError(f"there is nothing to {side.lower()}")
    return found


def _deal(orders: Orders, mutation: Mutation, now: datetime) -> None:
    life, op = orders.life, mutation.op
    wanted = (mutation.entity or "").removeprefix("order/")
    every = life.investments.newest_first()
    if op in _BARGAINS:
        every = [one for one in every if one.status in OPEN]
    elif op == "settle":
        every = [one for one in every if one.filled and one.settlement_transaction_id is None]
    order = next((one for one in every if wanted in {"", one.id}), None)
    if order is None:
        raise MutationError("there is no order to do it to")
    if op in _ENDINGS:
        end(life, orders.hand, order.id, _ENDINGS[op], now)
    elif op == "fill":
        fill(life, orders.hand, order.id, now)
    elif op == "fill_part":
        fill(life, orders.hand, order.id, now, _half(order))
    elif op == "settle":
        settle(life, orders.hand, order.id, now)
    elif op == "amend":
        life.investments.amend(order.id, now)
    elif op == "remove":
        life.investments.remove(order.id, now)
    else:
        raise MutationError(f"{op} is nothing that happens at the brokerage")


def _half(order: Order) -> Decimal:
    half = (order.unfilled / 2).quantize(Decimal(1))
    if order.amount_paisa is not None or not NOTHING < half < order.unfilled:
        raise MutationError("the order cannot be filled in parts")
    return half


def _reprice(orders: Orders, mutation: Mutation, now: datetime) -> None:
    books = orders.life.investments
    held = next((one for key, one in books.holdings.items() if one.quantity and mutation.entity in {None, key}), None)
    if held is None:
        raise MutationError("there is no position to value anew")
    price = held.price + held.instrument.step * (mutation.amount or orders.serial())
    books.reprice(held.instrument.entity, price, held.priced_on, now)


def _value(orders: Orders, mutation: Mutation, now: datetime) -> None:
    life = orders.life
    books = life.investments
    funds = [one.instrument for one in books.holdings.values() if one.instrument.type == "FUND"]
    fund = next((one for one in funds if mutation.entity in {None, one.entity}), None)
    if fund is None:
        raise MutationError("the portfolio lists no such fund")
    newest = max(books.navs[fund.id])
    if mutation.op == "publish_nav":
        # Ahead of the market's evening, which finds the value of that day published.
        day = next_trading_day(newest)
        books.publish(fund, day, books.market.price(fund, day), now)
    elif mutation.op == "restate_nav":
        restate(life, fund, newest, now)
    elif mutation.op == "withdraw_nav":
        books.withdraw(fund, newest, now)
    else:
        raise MutationError(f"{mutation.op} is nothing that is done to a fund")
