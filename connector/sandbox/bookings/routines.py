"""How orders run: paid at once, confirmed within minutes, changed, called off with a refund, or completed after."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from connector.sandbox.bookings.books import Booking, Category, Voucher
from connector.sandbox.bookings.orders import draw_order, draw_voucher, seat
from connector.sandbox.people import Counterparty, Hand
from connector.sandbox.routines import Persona, Routine, Routines
from connector.sandbox.transactions.books import Rail, Transaction
from connector.sandbox.wire import local_date

if TYPE_CHECKING:
    from connector.sandbox.life import Life

_CANCELLED_SHARE = 0.18
_CHANGED_SHARE = 0.3


def _order(category: Category, life: Life, hand: Hand, at: datetime) -> None:
    """Order and pay, unless the funds do not reach; plan what becomes of it."""
    drawn = draw_order(hand, category, at)
    voucher = draw_voucher(hand, local_date(at)) if category == "E_VOUCHER" else None
    policy_ref = hand.id("POL") if category == "INSURANCE" else None
    payment = transaction_of(life, drawn, ("RAAST_P2M", -drawn.total_paisa), (hand.id("T"), hand.id("R")), at)
    paid_by = life.pay(hand, payment, at, final=True)
    if paid_by is None:
        return
    entity = life.bookings.place(replace(drawn, payment_transaction_id=paid_by), at)
    confirmed_at = at + timedelta(minutes=hand.rng.uniform(1, 25))
    life.plan(confirmed_at, lambda now: confirm(life, entity, now, voucher, policy_ref), entity)
    _plan_course(life, hand, entity, drawn)


def _plan_course(life: Life, hand: Hand, entity: str, drawn: Booking) -> None:
    """Every choice is drawn whatever becomes of the order, so that none changes what the others will be."""
    fate, ticket, later_days = hand.rng.random(), seat(hand), hand.rng.randint(1, 3)
    changes_at = drawn.placed_at + timedelta(hours=hand.rng.uniform(1, 20))
    cancels_at = changes_at + timedelta(hours=hand.rng.uniform(1, 10))
    used_at = drawn.placed_at + timedelta(days=hand.rng.uniform(2, 25))
    ids = (hand.id("T"), hand.id("R"))
    vanishes = fate > 1 - life.rates.remove
    if fate < _CANCELLED_SHARE:
        life.plan(cancels_at, lambda now: cancel(life, entity, now, ids), entity)
    elif fate < _CANCELLED_SHARE + _CHANGED_SHARE:
        life.plan(changes_at, lambda now: change(life, entity, now, ticket, later_days), entity)
    elif vanishes:
        life.plan(cancels_at, lambda now: life.bookings.remove(entity, now), entity)
    life.plan(drawn.ends_at or used_at, lambda now: _complete(life, entity, now), entity)


def confirm(life: Life, entity: str, now: datetime, voucher: Voucher | None, policy_ref: str | None) -> None:
    """The vendor confirms, and gives out voucher or policy; nothing happens where the order no longer waits for it."""
    booking = life.bookings.get(entity)
    if booking is not None and booking.status == "placed":
        confirmed = replace(booking, status="confirmed", voucher=voucher, policy_ref=policy_ref)
        life.bookings.change(entity, now, confirmed)


def change(life: Life, entity: str, now: datetime, ticket: str, later_days: int) -> None:
    """Another seat, or a later date where there is none; nothing happens to an order that is not open."""
    booking = life.bookings.get(entity)
    if booking is None or not booking.open:
        return
    first, *others = booking.lines
    if booking.category in {"CINEMA", "TRAVEL"} or booking.starts_at is None or booking.ends_at is None:
        lines = (
            replace(first, description=ticket if booking.starts_at else f"{first.description}, {ticket[-8:]}"),
            *others,
        )
        life.bookings.change(entity, now, replace(booking, lines=lines))
    else:
        later = timedelta(days=later_days)
        moved = replace(booking, starts_at=booking.starts_at + later, ends_at=booking.ends_at + later)
        life.bookings.change(entity, now, moved)


def cancel(life: Life, entity: str, now: datetime, ids: tuple[str, str]) -> None:
    """Call it off; what was paid comes back as one transaction, which the order then names.

    `ids` are the refund's own and its receipt's. Nothing happens to an order that is not open.
    """
    booking = life.bookings.get(entity)
    if booking is None or not booking.open:
        return
    refund = None
    if booking.payment_transaction_id is not None:
        given_back = transaction_of(life, booking, ("REVERSAL", booking.total_paisa), ids, now)
        refund = life.transactions.enter(given_back, now)
    life.bookings.cancel(entity, now, refund)


def _complete(life: Life, entity: str, now: datetime) -> None:
    """At its end, which may have been put off since."""
    booking = life.bookings.get(entity)
    if booking is not None and booking.ends_at is not None and booking.ends_at > now:
        life.plan(booking.ends_at, lambda later: _complete(life, entity, later), entity)
    else:
        life.bookings.complete(entity, now)


def transaction_of(
    life: Life, booking: Booking, what: tuple[Rail, int], ids: tuple[str, str], now: datetime
) -> Transaction:
    """The one transaction that pays an order, or gives back what was paid for it, posted at once.

    `what` is rail and amount in paisa; `ids` are its own and its receipt's.
    """
    rail, amount_paisa = what
    return Transaction(
        id=ids[0],
        iban=life.ibans[0],
        rail=rail,
        amount_paisa=amount_paisa,
        initiated_at=now,
        posted_at=now,
        counterparty=Counterparty(name=booking.vendor),
        receipt_ref=ids[1],
    )


def _orders(every_hours: dict[Category, float]) -> tuple[Routine, ...]:
    return tuple(
        Routine(f"order-{category}", hours, partial(_order, category)) for category, hours in every_hours.items()
    )


_WANTED: dict[Persona, dict[Category, float]] = {
    "salaried": {"CINEMA": 170, "E_VOUCHER": 260, "TRAVEL": 330, "HOTEL": 420, "INSURANCE": 700},
    "small": {"CINEMA": 300, "E_VOUCHER": 300, "TRAVEL": 500},
    "freelancer": {"TRAVEL": 200, "HOTEL": 260, "E_VOUCHER": 300, "INSURANCE": 500},
    "borrower": {"E_VOUCHER": 300, "CINEMA": 350, "INSURANCE": 600},
    "teen": {"CINEMA": 150, "E_VOUCHER": 240},
}
"""What each orders, and how often on average, in hours."""

ROUTINES: Routines = {persona: _orders(wanted) for persona, wanted in _WANTED.items()}
