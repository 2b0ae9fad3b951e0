"""How loans run: money paid out, instalments that fall due, and holders who pay early, late, in part or at once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.lending.books import Installment, Loan, Repayment, loan_entity
from connector.sandbox.routines import Routine, Routines
from connector.sandbox.transactions.books import Transaction
from connector.sandbox.wire import local_date, midnight

if TYPE_CHECKING:
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand

_PRODUCTS = (("Advance Cash 7", 7, 1), ("Advance Cash 14", 14, 2), ("Advance Cash 28", 28, 4))
_JUST_AFTER_MIDNIGHT = timedelta(minutes=10)


def borrow(life: Life, hand: Hand, at: datetime) -> None:
    """Take a loan and plan its course, unless as many are running as the holder may have, who may be none."""
    product, days, lines = hand.rng.choice(_PRODUCTS)
    principal = hand.rng.randint(4, 50) * 50_000
    if life.account.is_verified_adult and len(life.lending.open_loans()) < life.spec.loans_at_once:
        loan = pay_out(life, hand, at, (product, days, lines, principal))
        _plan_course(life, hand, loan, at)


def pay_out(life: Life, hand: Hand, at: datetime, terms: tuple[str, int, int, int]) -> Loan:
    """Book the disbursal and open the loan; `terms` are product, days, number of instalments, principal in paisa."""
    product, days, lines, principal = terms
    transaction_id = life.transactions.enter(
        Transaction(
            id=hand.id("T"),
            iban=life.ibans[0],
            rail="LOAN_DISBURSAL",
            amount_paisa=principal,
            initiated_at=at,
            posted_at=at,
            receipt_ref=hand.id("R"),
        ),
        at,
    )
    today = local_date(at)
    loan = Loan(
        id=hand.id("AC"),
        product=product,
        principal_paisa=principal,
        markup_paisa=principal * days // 560,
        disbursed_on=today,
        disbursal_transaction_id=transaction_id,
        schedule=_schedule(principal + principal * days // 560, today, days // lines, lines),
    )
    life.lending.disburse(loan, at)
    return loan


def _schedule(total_paisa: int, start: date, gap_days: int, lines: int) -> tuple[Installment, ...]:
    even = total_paisa // lines
    amounts = [even] * (lines - 1) + [total_paisa - even * (lines - 1)]
    return tuple(
        Installment(number, start + timedelta(days=gap_days * number), amount)
        for number, amount in enumerate(amounts, start=1)
    )


def _plan_course(life: Life, hand: Hand, loan: Loan, at: datetime) -> None:
    claim = loan_entity(loan.id)

    def owed_up_to(number: int) -> int:
        return sum(line.owed_paisa for line in life.lending.loans[loan.id].schedule if line.no <= number)

    def plan_line(line: Installment) -> None:
        due = midnight(line.due_on) + _JUST_AFTER_MIDNIGHT
        late = hand.rng.random() < 0.3
        pays_at = due + timedelta(hours=hand.rng.uniform(30, 90) if late else hand.rng.uniform(7, 16))
        share = hand.rng.uniform(0.3, 0.7) if hand.rng.random() < 0.3 else 1.0
        rest_at = pays_at + timedelta(hours=hand.rng.uniform(5, 40))
        life.plan(due, lambda now: life.lending.fall_due(loan.id, line.no, now), claim)
        overdue = due + timedelta(days=1)
        life.plan(overdue, lambda now: life.lending.fall_overdue(loan.id, line.no, now), claim)
        life.plan(pays_at, lambda now: repay(life, hand, loan.id, int(share * owed_up_to(line.no)), now), claim)
        life.plan(rest_at, lambda now: repay(life, hand, loan.id, owed_up_to(line.no), now), claim)

    for line in loan.schedule:
        plan_line(line)
    if hand.rng.random() < 0.2:
        whole = at + timedelta(days=hand.rng.uniform(0.5, 6))
        life.plan(
            whole, lambda now: repay(life, hand, loan.id, life.lending.loans[loan.id].outstanding_paisa, now), claim
        )


def repay(life: Life, hand: Hand, loan_id: str, amount_paisa: int, at: datetime) -> None:
    """Take an amount from the first account and credit it to the loan; nothing happens for an amount of 0.

    The lending core collects even where the balance does not reach: an account may be overdrawn by it.
    """
    if not amount_paisa:
        return
    transaction_id = life.transactions.enter(
        Transaction(
            id=hand.id("T"),
            iban=life.ibans[0],
            rail="LOAN_REPAYMENT",
            amount_paisa=-amount_paisa,
            initiated_at=at,
            posted_at=at,
        ),
        at,
    )
    life.lending.repay(loan_id, Repayment(hand.id("RP"), amount_paisa, local_date(at), transaction_id), at)


ROUTINES: Routines = {
    "salaried": (Routine("borrow", 170, borrow),),
    "freelancer": (Routine("borrow", 150, borrow),),
    "borrower": (Routine("borrow", 60, borrow),),
}
