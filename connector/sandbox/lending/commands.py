"""What can be done to loans on command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.lending.routines import pay_out, repay
from connector.sandbox.mutations import Mutation, MutationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connector.sandbox.orders import Orders


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    for _ in range(mutation.count):
        if mutation.op == "disburse":
            principal = (mutation.amount or 20_000) * 100
            pay_out(orders.life, orders.hand, now, ("Advance Cash 28", 28, 4, principal))
        else:
            _change_loan(orders, mutation, now)


def _change_loan(orders: Orders, mutation: Mutation, now: datetime) -> None:
    wanted = (mutation.entity or "").removeprefix("loan/")
    loan = next((loan for loan in orders.life.lending.open_loans() if wanted in {"", loan.id}), None)
    if loan is None:
        raise MutationError("there is no open loan to do it to")
    if mutation.op in {"repay", "close"}:
        some = mutation.amount * 100 if mutation.amount else loan.outstanding_paisa // 3
        amount = loan.outstanding_paisa if mutation.op == "close" else min(some, loan.outstanding_paisa)
        repay(orders.life, orders.hand, loan.id, amount, now)
        return
    lending = orders.life.lending
    moves: dict[str, tuple[tuple[str, ...], Callable[[str, int, datetime], None]]] = {
        "due": (("SCHEDULED",), lending.fall_due),
        "overdue": (("SCHEDULED", "DUE"), lending.fall_overdue),
    }
    if mutation.op not in moves:
        raise MutationError(f"{mutation.op} is nothing that happens to loans")
    statuses, move = moves[mutation.op]
    line = next((line for line in loan.schedule if line.status in statuses), None)
    if line is None:
        raise MutationError(f"loan {loan.id} has no instalment to make {mutation.op}")
    move(loan.id, line.no, now)
