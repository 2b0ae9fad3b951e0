"""Advance Cash: nano-loans with a schedule of instalments and the repayments made on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, Json, day_month_year, local_date, money

if TYPE_CHECKING:
    from datetime import date, datetime

    from connector.sandbox.ledger import Ledger

InstallmentStatus = Literal["SCHEDULED", "DUE", "PAID", "OVERDUE"]
LoanStatus = Literal["ACTIVE", "OVERDUE", "CLOSED"]


@dataclass(frozen=True, slots=True)
class Installment:
    """One line of a schedule; amounts are paisa."""

    no: int
    due_on: date
    amount_paisa: int
    paid_paisa: int = 0
    status: InstallmentStatus = "SCHEDULED"

    @property
    def owed_paisa(self) -> int:
        """What is still to be paid on it."""
        return self.amount_paisa - self.paid_paisa

    def body(self) -> Body:
        """The wire form."""
        return {
            "INSTALLMENT_NO": self.no,
            "DUE_ON": day_month_year(self.due_on),
            "AMOUNT": str(money(self.amount_paisa)),
            "PAID_AMOUNT": str(money(self.paid_paisa)),
            "STATUS": self.status,
        }


@dataclass(frozen=True, slots=True)
class Repayment:
    """Money that came in on a loan; the amount is paisa."""

    id: str
    amount_paisa: int
    paid_on: date
    transaction_id: str | None

    def body(self) -> Body:
        """The wire form."""
        return {
            "REPAYMENT_ID": self.id,
            "AMOUNT": str(money(self.amount_paisa)),
            "PAID_ON": day_month_year(self.paid_on),
            "TXN_ID": self.transaction_id,
        }


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan; amounts are paisa."""

    id: str
    product: str
    principal_paisa: int
    markup_paisa: int
    disbursed_on: date
    disbursal_transaction_id: str | None
    schedule: tuple[Installment, ...]
    repayments: tuple[Repayment, ...] = ()
    closed_on: date | None = None

    @property
    def outstanding_paisa(self) -> int:
        """What is still to be paid."""
        return sum(line.owed_paisa for line in self.schedule)

    @property
    def status(self) -> LoanStatus:
        """As the lending core reports it."""
        if self.closed_on is not None:
            return "CLOSED"
        return "OVERDUE" if any(line.status == "OVERDUE" for line in self.schedule) else "ACTIVE"

    def body(self) -> Body:
        """The wire form of the loan itself, without schedule and repayments."""
        return {
            "LOAN_ID": self.id,
            "PRODUCT": self.product,
            "PRINCIPAL": str(money(self.principal_paisa)),
            "MARKUP": str(money(self.markup_paisa)),
            "OUTSTANDING": str(money(self.outstanding_paisa)),
            "CCY": "PKR",
            "STATUS": self.status,
            "DISBURSED_ON": day_month_year(self.disbursed_on),
            "DUE_ON": day_month_year(self.schedule[-1].due_on),
            "CLOSED_ON": day_month_year(self.closed_on),
            "DISBURSAL_TXN_ID": self.disbursal_transaction_id,
        }

    def whole_body(self) -> dict[str, Json]:
        """The wire form as the inquiry answers it."""
        return {
            **self.body(),
            "SCHEDULE": [line.body() for line in self.schedule],
            "REPAYMENTS": [repayment.body() for repayment in self.repayments],
        }

    def parts(self) -> dict[str, Body]:
        """The bodies of the entities that make up the loan, by entity."""
        return {
            loan_entity(self.id): self.body(),
            **{f"installment/{self.id}/{line.no}": line.body() for line in self.schedule},
            **{f"repayment/{repayment.id}": repayment.body() for repayment in self.repayments},
        }

    def with_line(self, line: Installment) -> Loan:
        """The loan with one instalment replaced."""
        return replace(self, schedule=tuple(line if line.no == old.no else old for old in self.schedule))


def loan_entity(loan_id: str) -> str:
    """The entity of the loan itself."""
    return f"loan/{loan_id}"


class Lending:
    """What the lending core can do; each act changes every entity it touches once."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.loans: dict[str, Loan] = {}

    def open_loans(self) -> list[Loan]:
        """Loans not closed, oldest first."""
        return [loan for loan in self.loans.values() if loan.closed_on is None]

    def disburse(self, loan: Loan, at: datetime) -> None:
        """A new loan with its schedule."""
        self._store(loan, at)

    def fall_due(self, loan_id: str, number: int, at: datetime) -> None:
        """The day of an instalment has come; nothing happens where it is paid already."""
        loan, line = self._line(loan_id, number)
        if line.status == "SCHEDULED":
            self._store(loan.with_line(replace(line, status="DUE")), at)

    def fall_overdue(self, loan_id: str, number: int, at: datetime) -> None:
        """The day of an instalment has passed; nothing happens where it is paid."""
        loan, line = self._line(loan_id, number)
        if line.status in {"SCHEDULED", "DUE"}:
            self._store(loan.with_line(replace(line, status="OVERDUE")), at)

    def repay(self, loan_id: str, repayment: Repayment, at: datetime) -> None:
        """Money comes in: it goes to the oldest instalments first, and closes the loan when nothing is left."""
        loan = self.loans[loan_id]
        if not 0 < repayment.amount_paisa <= loan.outstanding_paisa:
            raise ValueError(f"a repayment of {repayment.amount_paisa} on {loan.outstanding_paisa} outstanding")
        left = repayment.amount_paisa
        schedule: list[Installment] = []
        for line in loan.schedule:
            part = min(left, line.owed_paisa)
            left -= part
            schedule.append(_pay(line, part))
        paid = replace(loan, schedule=tuple(schedule), repayments=(*loan.repayments, repayment))
        self._store(replace(paid, closed_on=None if paid.outstanding_paisa else local_date(at)), at)

    def _line(self, loan_id: str, number: int) -> tuple[Loan, Installment]:
        loan = self.loans[loan_id]
        return loan, next(line for line in loan.schedule if line.no == number)

    def _store(self, loan: Loan, at: datetime) -> None:
        self.loans[loan.id] = loan
        for entity, body in loan.parts().items():
            if entity in self.ledger.present:
                self.ledger.update(entity, body, at)
            else:
                self.ledger.create(entity, body, at, resource="loan", booking=0)


def _pay(line: Installment, part_paisa: int) -> Installment:
    if not part_paisa:
        return line
    paid = replace(line, paid_paisa=line.paid_paisa + part_paisa)
    return paid if paid.owed_paisa else replace(paid, status="PAID")
