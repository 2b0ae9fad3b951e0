"""Lending: Advance Cash loans with their schedule and repayments, read whole each time.

One inquiry states loans, instalments and repayments, each an entity of its own. Dates have no time at this backend and
keep none here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from connector.domains.model import (
    BookingKey,
    Domain,
    EventDoc,
    Feed,
    Record,
    Related,
    ResourceKind,
    midnight_micros,
)

LOAN_STATUSES = frozenset({"ACTIVE", "OVERDUE", "CLOSED"})
INSTALLMENT_STATUSES = frozenset({"SCHEDULED", "DUE", "PAID", "OVERDUE"})


@dataclass(frozen=True, slots=True)
class Loan:
    """One nano-loan: what was lent and what is still owed."""

    KIND: ClassVar[str] = "loan"

    loan_id: str
    product: str | None
    principal: Decimal
    markup: Decimal | None
    outstanding: Decimal
    currency: str
    status: str
    status_source: str
    disbursed_on: date
    due_on: date | None
    closed_on: date | None
    disbursal_transaction_id: str | None

    @property
    def entity_id(self) -> str:
        return f"loan/{self.loan_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(midnight_micros(self.disbursed_on), f"0/{self.loan_id}")

    @property
    def settled(self) -> bool:
        return self.status == "CLOSED"

    @property
    def effective(self) -> date:
        return self.closed_on or self.disbursed_on


@dataclass(frozen=True, slots=True)
class Installment:
    """One line of a loan's schedule."""

    KIND: ClassVar[str] = "installment"

    loan_id: str
    number: int
    due_on: date
    amount: Decimal
    paid_amount: Decimal
    currency: str
    status: str
    status_source: str

    @property
    def entity_id(self) -> str:
        return f"installment/{self.loan_id}/{self.number}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(midnight_micros(self.due_on), f"1/{self.loan_id}/{self.number:04d}")

    @property
    def settled(self) -> bool:
        return self.status == "PAID"

    @property
    def effective(self) -> date:
        return self.due_on


@dataclass(frozen=True, slots=True)
class Repayment:
    """One repayment that the lender has booked."""

    KIND: ClassVar[str] = "repayment"

    repayment_id: str
    loan_id: str
    amount: Decimal
    currency: str
    paid_on: date
    transaction_id: str | None

    @property
    def entity_id(self) -> str:
        return f"repayment/{self.repayment_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(midnight_micros(self.paid_on), f"2/{self.loan_id}/{self.repayment_id}")

    @property
    def settled(self) -> bool:
        return True

    @property
    def effective(self) -> date:
        return self.paid_on


def _name_loan(op: str, before: Record | None, after: Loan) -> str:
    was = before.status if isinstance(before, Loan) else None
    if op == "c":
        return "LoanDisbursed"
    if was != after.status:
        return {"OVERDUE": "LoanOverdue", "CLOSED": "LoanClosed"}.get(after.status, "LoanAmended")
    return "LoanAmended"


def _name_event(op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after, Loan):
        return _name_loan(op, before, after)
    if isinstance(after, Repayment):
        return "LoanRepaid" if op == "c" else "LoanAmended"
    if isinstance(after, Installment):
        was = before.status if isinstance(before, Installment) else None
        if after.status == "DUE" and was != "DUE":
            return "InstallmentDue"
        return "InstallmentScheduled" if op == "c" else "LoanAmended"
    return "LoanAmended"


def _relate(record: Record) -> tuple[Related, ...]:
    if isinstance(record, Loan):
        disbursal = record.disbursal_transaction_id
        return (Related("disbursal_transaction", "transactions", disbursal),) if disbursal else ()
    if isinstance(record, Repayment):
        loan = Related("loan", "lending", f"loan/{record.loan_id}")
        paid_by = record.transaction_id
        return (loan, Related("repayment_transaction", "transactions", paid_by)) if paid_by else (loan,)
    return (Related("loan", "lending", f"loan/{record.loan_id}"),) if isinstance(record, Installment) else ()


LENDING = Domain(
    name="lending",
    resources=(
        ResourceKind(
            name="loan",
            backend="advance-cash",
            surface="credit",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=300.0,
            reconcile_interval_seconds=300.0,
        ),
    ),
    records={"loan": Loan, "installment": Installment, "repayment": Repayment},
    event_types={
        "LoanDisbursed": EventDoc(
            when="A loan is first seen.",
            then=(
                "Open the loan with `after`. `disbursal_transaction_id` names the transaction that paid it out, where "
                "the lender states it."
            ),
        ),
        "InstallmentScheduled": EventDoc(
            when="A line of a schedule is first seen that is not due.",
            then="Upsert `after`: it is expected on `due_on`, and nothing is owed yet.",
        ),
        "InstallmentDue": EventDoc(
            when="A line of a schedule is first seen due, or became due.",
            then="Upsert `after`; remind the holder of what is left of `amount` after `paid_amount`.",
        ),
        "LoanRepaid": EventDoc(
            when="A repayment is first seen in the lender's books.",
            then=(
                "Upsert the repayment. What is still owed is told by the `LoanAmended` or `LoanClosed` of its loan: do "
                "not subtract it yourself."
            ),
        ),
        "LoanOverdue": EventDoc(
            when="A loan became overdue.",
            then="Upsert `after`; `outstanding` is what is owed.",
        ),
        "LoanClosed": EventDoc(
            when="A loan was closed.",
            then="Upsert `after`; nothing more is owed from `closed_on` on.",
        ),
        "LoanAmended": EventDoc(
            when="A loan, a line of its schedule or a repayment changed in another way, or is proven gone (op `d`).",
            then=(
                "With op `u` upsert `after`: `changed` names the fields, and the set field says what it is. With op "
                "`d` delete the entity."
            ),
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
