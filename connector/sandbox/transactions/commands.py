"""What can be done to transactions on command."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.mutations import Mutation, MutationError, nearest_in_age
from connector.sandbox.transactions.books import Transaction

if TYPE_CHECKING:
    from connector.sandbox.orders import Orders


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    if mutation.op in {"add", "back_date"}:
        for number in range(mutation.count):
            _enter(orders, mutation, now, number)
        return
    targets = _entries(orders, mutation)
    for entity, standing in targets:
        if mutation.op == "amend":
            shifted = replace(standing, amount_paisa=standing.amount_paisa - 100 - orders.serial())
            orders.life.transactions.amend(entity, now, shifted)
        elif mutation.op == "remove":
            orders.life.transactions.remove(entity, now)
        elif mutation.op == "reverse":
            orders.life.transactions.reverse(entity, now)
        else:
            orders.life.transactions.post(entity, now, mutation.way, orders.hand.id("T"))


def _enter(orders: Orders, mutation: Mutation, now: datetime, number: int) -> None:
    late = timedelta(days=mutation.age_days or 1) if mutation.op == "back_date" else timedelta()
    initiated_at = now - late + timedelta(microseconds=number)
    rupees = mutation.amount if mutation.amount is not None else -orders.hand.rng.randint(100, 2_000)
    orders.life.transactions.enter(
        Transaction(
            id=orders.hand.id("T"),
            iban=mutation.iban or orders.life.ibans[0],
            rail=mutation.rail,
            amount_paisa=rupees * 100,
            initiated_at=initiated_at,
            status="pending" if mutation.pending else "posted",
            posted_at=None if mutation.pending else now,
            counterparty=orders.hand.rng.choice(orders.life.contacts.people),
        ),
        now,
    )


def _entries(orders: Orders, mutation: Mutation) -> list[tuple[str, Transaction]]:
    if mutation.op not in {"amend", "remove", "reverse", "post"}:
        raise MutationError(f"{mutation.op} is nothing that happens to transactions")
    if mutation.entity is not None:
        standing = orders.life.transactions.get(mutation.entity)
        if standing is None:
            raise MutationError(f"there is no transaction {mutation.entity}")
        return [(mutation.entity, standing)]
    status = "pending" if mutation.op == "post" else "posted"
    feed = orders.life.transactions.feeds[mutation.iban or orders.life.ibans[0]].newest_first()
    fit = [entry for entry in feed if entry.transaction.status == status]
    times = [entry.transaction.initiated_at for entry in feed]
    chosen = nearest_in_age(mutation, fit, times, lambda entry: entry.transaction.initiated_at)
    return [(entry.entity, entry.transaction) for entry in chosen]
