"""What can be done to bills on command."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.bills.books import Bill, Payment
from connector.sandbox.bills.routines import draw_bill, payment_of
from connector.sandbox.mutations import Mutation, MutationError, nearest_in_age
from connector.sandbox.people import BILLERS

if TYPE_CHECKING:
    from connector.sandbox.orders import Orders

_ON_OPEN_BILLS = frozenset({"overdue", "pay", "cancel"})


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    if mutation.op in {"add", "back_date"}:
        for number in range(mutation.count):
            late = timedelta(days=mutation.age_days or 1) if mutation.op == "back_date" else timedelta()
            _present(orders, mutation, now, now - late + timedelta(microseconds=number))
        return
    if mutation.op not in {"amend", "remove", *_ON_OPEN_BILLS}:
        raise MutationError(f"{mutation.op} is nothing that happens to bills")
    for entity, bill in _targets(orders, mutation):
        _change(orders, mutation, entity, bill, now)


def _present(orders: Orders, mutation: Mutation, now: datetime, presented_at: datetime) -> None:
    bill = draw_bill(orders.life, orders.hand, orders.hand.rng.choice(BILLERS), presented_at)
    if mutation.amount is not None:
        bill = replace(bill, amount_paisa=abs(mutation.amount) * 100, amount_after_due_paisa=None)
    orders.life.bills.present(bill, now)


def _targets(orders: Orders, mutation: Mutation) -> list[tuple[str, Bill]]:
    bills = orders.life.bills
    if mutation.entity is not None:
        bill = bills.get(mutation.entity)
        if bill is None:
            raise MutationError(f"there is no bill {mutation.entity}")
        return [(mutation.entity, bill)]
    standing = bills.newest_first()
    fit = [one for one in standing if _may(mutation.op, one[1])]
    return nearest_in_age(mutation, fit, [bill.presented_at for _, bill in standing], lambda one: one[1].presented_at)


def _may(op: str, bill: Bill) -> bool:
    if op == "overdue":
        return bill.status == "presented"
    return bill.open or op not in _ON_OPEN_BILLS


def _change(orders: Orders, mutation: Mutation, entity: str, bill: Bill, now: datetime) -> None:
    bills = orders.life.bills
    if not _may(mutation.op, bill):
        raise MutationError(f"bill {entity} is {bill.status}: {mutation.op} is nothing that happens to it")
    if mutation.op == "amend":
        bills.amend(entity, now, replace(bill, amount_paisa=bill.amount_paisa + 100 * orders.serial()))
    elif mutation.op == "remove":
        bills.remove(entity, now)
    elif mutation.op == "overdue":
        bills.fall_overdue(entity, now)
    elif mutation.op == "cancel":
        bills.cancel(entity, now)
    else:
        # On command the money is found: the account may be overdrawn by it.
        payment = payment_of(orders.life, bill, (orders.hand.id("T"), orders.hand.id("R")), now)
        bills.pay(entity, now, Payment(now, bill.owed_paisa, orders.life.transactions.enter(payment, now)))
