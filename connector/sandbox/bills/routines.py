"""How bills come and go: each biller presents one a month, which is put right, paid in time or late, or taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from connector.sandbox.bills.books import Bill, Payment
from connector.sandbox.people import BILLERS, Biller, Hand
from connector.sandbox.routines import Persona, Routine, Routines
from connector.sandbox.transactions.books import Transaction
from connector.sandbox.wire import local_date, midnight

if TYPE_CHECKING:
    from datetime import date

    from connector.sandbox.life import Life

_MONTH_HOURS = 30 * 24
_JUST_AFTER_MIDNIGHT = timedelta(minutes=10)
_DAYS_TO_PAY = 12


def draw_bill(life: Life, hand: Hand, biller: Biller, at: datetime) -> Bill:
    """A bill of that biller, not presented yet. One in five costs no more when it is paid late."""
    amount, surcharge = hand.rupees(900, 7_500), hand.rng.randint(50, 400) * 100
    days, fixed = hand.rng.randint(4, _DAYS_TO_PAY), hand.rng.random() < 0.2
    today = local_date(at)
    return Bill(
        id=hand.id("B"),
        biller=biller,
        consumer_number=_consumer_number(life, biller),
        bill_month=_month_before(today),
        amount_paisa=amount,
        amount_after_due_paisa=None if fixed else amount + surcharge,
        presented_at=at,
        due_on=today + timedelta(days=days),
    )


def _consumer_number(life: Life, biller: Biller) -> str:
    """Invented: the biller's own number, zeros and the end of the holder's."""
    return f"0{BILLERS.index(biller) + 1}0000000{life.spec.msisdn[-3:]}"


def _month_before(day: date) -> str:
    return (day.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")


def _present(biller: Biller, life: Life, hand: Hand, at: datetime) -> None:
    bill = draw_bill(life, hand, biller, at)
    entity = life.bills.present(bill, at)
    _plan_course(life, hand, entity, bill)


def _plan_course(life: Life, hand: Hand, entity: str, bill: Bill) -> None:
    """Every choice is drawn whatever becomes of the bill, so that none changes what the others will be."""
    fate, prompt = hand.rng.random(), hand.rng.random() < 0.65
    span = midnight(bill.due_on) + timedelta(hours=18) - bill.presented_at
    changes_at = bill.presented_at + span * hand.rng.uniform(0.05, 0.4)
    pays_at = bill.presented_at + span * hand.rng.uniform(0.45, 0.95)
    overdue_at = midnight(bill.due_on) + timedelta(days=1) + _JUST_AFTER_MIDNIGHT
    late_at = overdue_at + timedelta(hours=hand.rng.uniform(14, 120))
    raised_paisa, later_days = hand.rng.randint(1, 900), hand.rng.randint(1, 4)
    rates = life.rates
    if fate < rates.remove:
        life.plan(changes_at, lambda now: life.bills.remove(entity, now), entity)
    elif fate < rates.remove + 0.04:
        life.plan(changes_at, lambda now: life.bills.cancel(entity, now), entity)
    elif fate < rates.remove + 0.04 + 2 * rates.amend:
        life.plan(changes_at, lambda now: _put_right(life, entity, now, raised_paisa, later_days), entity)
    if prompt:
        life.plan(pays_at, lambda now: _pay(life, hand, entity, now), entity)
    life.plan(overdue_at, lambda now: _fall_overdue(life, entity, now), entity)
    life.plan(late_at, lambda now: _pay(life, hand, entity, now), entity)


def _put_right(life: Life, entity: str, now: datetime, raised_paisa: int, later_days: int) -> None:
    bill = life.bills.get(entity)
    if bill is not None and bill.open:
        due_on = bill.due_on + timedelta(days=later_days)
        life.bills.amend(entity, now, replace(bill, amount_paisa=bill.amount_paisa + raised_paisa, due_on=due_on))


def _fall_overdue(life: Life, entity: str, now: datetime) -> None:
    """On the day after the last one, which may have been put off since."""
    bill = life.bills.get(entity)
    if bill is None:
        return
    if local_date(now) > bill.due_on:
        life.bills.fall_overdue(entity, now)
    else:
        again = midnight(bill.due_on) + timedelta(days=1) + _JUST_AFTER_MIDNIGHT
        life.plan(again, lambda later: _fall_overdue(life, entity, later), entity)


def _pay(life: Life, hand: Hand, entity: str, now: datetime) -> None:
    """Pay what is owed, unless the bill is no longer open or the funds do not reach."""
    transaction_id, receipt = hand.id("T"), hand.id("R")
    bill = life.bills.get(entity)
    if bill is None or not bill.open:
        return
    paid_by = life.pay(hand, payment_of(life, bill, (transaction_id, receipt), now), now, final=True)
    if paid_by is not None:
        life.bills.pay(entity, now, Payment(now, bill.owed_paisa, paid_by))


def payment_of(life: Life, bill: Bill, ids: tuple[str, str], now: datetime) -> Transaction:
    """The one transaction that pays a bill from the first account, posted at once; `ids` are its own and its receipt's.

    The bill is to name it.
    """
    return Transaction(
        id=ids[0],
        iban=life.ibans[0],
        rail="BILL_PAY",
        amount_paisa=-bill.owed_paisa,
        initiated_at=now,
        posted_at=now,
        biller=bill.biller.name,
        receipt_ref=ids[1],
    )


def _monthly(*billers: int) -> tuple[Routine, ...]:
    return tuple(
        Routine(f"bill-{BILLERS[one].code}", _MONTH_HOURS, partial(_present, BILLERS[one]), regular=True)
        for one in billers
    )


_BILLED: dict[Persona, tuple[int, ...]] = {
    "salaried": (0, 1, 2, 3, 4),
    "small": (4,),
    "freelancer": (0, 3, 4),
    "borrower": (0, 1, 4),
    "teen": (4,),
}
"""By which billers, by their place among them."""

ROUTINES: Routines = {persona: _monthly(*billers) for persona, billers in _BILLED.items()}
