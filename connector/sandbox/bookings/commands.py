"""What can be done to orders of the marketplace on command."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.bookings.books import Booking
from connector.sandbox.bookings.orders import CATEGORIES, draw_order, draw_voucher, seat
from connector.sandbox.bookings.routines import cancel, change, confirm, transaction_of
from connector.sandbox.mutations import Mutation, MutationError, nearest_in_age
from connector.sandbox.wire import local_date

if TYPE_CHECKING:
    from connector.sandbox.orders import Orders

_ON = {"confirm": {"placed"}, "change": {"placed", "confirmed"}, "cancel": {"placed", "confirmed"}}
_ON_STATUS = {**_ON, "complete": {"confirmed"}}
"""The operations that want an order in some status; others take any."""


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    if mutation.op in {"add", "back_date"}:
        for number in range(mutation.count):
            late = timedelta(days=mutation.age_days or 1) if mutation.op == "back_date" else timedelta()
            _place(orders, now, now - late + timedelta(microseconds=number))
        return
    if mutation.op not in {"amend", "remove", *_ON_STATUS}:
        raise MutationError(f"{mutation.op} is nothing that happens to orders")
    for entity, booking in _targets(orders, mutation):
        _change(orders, mutation.op, entity, booking, now)


def _place(orders: Orders, now: datetime, placed_at: datetime) -> None:
    """On command the categories take turns, and the money is found: the account may be overdrawn by it."""
    category = CATEGORIES[orders.serial() % len(CATEGORIES)]
    drawn = draw_order(orders.hand, category, placed_at)
    ids = (orders.hand.id("T"), orders.hand.id("R"))
    payment = transaction_of(orders.life, drawn, ("RAAST_P2M", -drawn.total_paisa), ids, placed_at)
    paid_by = orders.life.transactions.enter(replace(payment, posted_at=now), now)
    orders.life.bookings.place(replace(drawn, payment_transaction_id=paid_by), now)


def _targets(orders: Orders, mutation: Mutation) -> list[tuple[str, Booking]]:
    bookings = orders.life.bookings
    if mutation.entity is not None:
        booking = bookings.get(mutation.entity)
        if booking is None or not _may(mutation.op, booking):
            raise MutationError(f"there is no order {mutation.entity} to {mutation.op}")
        return [(mutation.entity, booking)]
    standing = bookings.newest_first()
    fit = [one for one in standing if _may(mutation.op, one[1])]
    return nearest_in_age(mutation, fit, [booking.placed_at for _, booking in standing], lambda one: one[1].placed_at)


def _may(op: str, booking: Booking) -> bool:
    return booking.status in _ON_STATUS.get(op, {booking.status})


def _change(orders: Orders, op: str, entity: str, booking: Booking, now: datetime) -> None:
    life, hand = orders.life, orders.hand
    if op == "amend":
        life.bookings.change(entity, now, replace(booking, title=f"{booking.title}, corrected {orders.serial()}"))
    elif op == "remove":
        life.bookings.remove(entity, now)
    elif op == "confirm":
        voucher = draw_voucher(hand, local_date(now)) if booking.category == "E_VOUCHER" else None
        confirm(life, entity, now, voucher, hand.id("POL") if booking.category == "INSURANCE" else None)
    elif op == "change":
        change(life, entity, now, seat(hand), 1)
    elif op == "cancel":
        cancel(life, entity, now, (hand.id("T"), hand.id("R")))
    else:
        life.bookings.complete(entity, now)
