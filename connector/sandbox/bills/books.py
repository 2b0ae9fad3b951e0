"""Bills: what billers ask for, by when, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, local_instant, micros, money

if TYPE_CHECKING:
    from datetime import date, datetime

    from connector.sandbox.ledger import Ledger
    from connector.sandbox.people import Biller

BillStatus = Literal["presented", "paid", "overdue", "cancelled"]


@dataclass(frozen=True, slots=True)
class Payment:
    """How a bill was paid; the amount is paisa."""

    at: datetime
    amount_paisa: int
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class Bill:
    """One bill; amounts are paisa."""

    id: str
    biller: Biller
    consumer_number: str
    bill_month: str | None
    amount_paisa: int
    amount_after_due_paisa: int | None
    presented_at: datetime
    due_on: date
    status: BillStatus = "presented"
    payment: Payment | None = None

    @property
    def open(self) -> bool:
        """Whether it can still be paid."""
        return self.status in {"presented", "overdue"}

    @property
    def owed_paisa(self) -> int:
        """What paying it takes now."""
        late = self.amount_after_due_paisa if self.status == "overdue" else None
        return self.amount_paisa if late is None else late

    def body(self) -> Body:
        """The wire form."""
        late, payment = self.amount_after_due_paisa, self.payment
        return {
            "id": self.id,
            "biller": self.biller.body(),
            "consumer_number": self.consumer_number,
            "bill_month": self.bill_month,
            "amount": money(self.amount_paisa),
            "amount_after_due": None if late is None else money(late),
            "ccy": "PKR",
            "presented_at": local_instant(self.presented_at),
            "due_on": self.due_on.isoformat(),
            "status": self.status,
            "paid_at": local_instant(payment.at) if payment else None,
            "paid_amount": money(payment.amount_paisa) if payment else None,
            "payment_transaction_id": payment.transaction_id if payment else None,
        }


def bill_entity(bill_id: str) -> str:
    """The entity of a bill."""
    return f"bill/{bill_id}"


class Bills:
    """What can happen to bills; every act is one change of one of them. They are known by their entity."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._present: dict[str, Bill] = {}

    def get(self, entity: str) -> Bill | None:
        """The bill as it stands, or None where it is gone."""
        return self._present.get(entity)

    def newest_first(self) -> list[tuple[str, Bill]]:
        """Every bill by its entity."""
        return sorted(self._present.items(), key=lambda one: one[1].presented_at, reverse=True)

    def present(self, bill: Bill, at: datetime) -> str:
        """A new bill; gives its entity."""
        entity = bill_entity(bill.id)
        self.ledger.create(entity, bill.body(), at, resource="bills", booking=micros(bill.presented_at))
        self._present[entity] = bill
        return entity

    def amend(self, entity: str, at: datetime, amended: Bill) -> None:
        """The biller, or the bank, puts something right."""
        if self.ledger.update(entity, amended.body(), at) is not None:
            self._present[entity] = amended

    def fall_overdue(self, entity: str, at: datetime) -> None:
        """Its last day has passed; nothing happens where it was paid, cancelled or taken out."""
        bill = self._present.get(entity)
        if bill is not None and bill.status == "presented":
            self.amend(entity, at, replace(bill, status="overdue"))

    def pay(self, entity: str, at: datetime, payment: Payment) -> None:
        """It is paid."""
        self.amend(entity, at, replace(self._present[entity], status="paid", payment=payment))

    def cancel(self, entity: str, at: datetime) -> None:
        """The biller takes it back; nothing happens where it is no longer open."""
        bill = self._present.get(entity)
        if bill is not None and bill.open:
            self.amend(entity, at, replace(bill, status="cancelled"))

    def remove(self, entity: str, at: datetime) -> None:
        """It disappears; nothing happens where it has."""
        if self._present.pop(entity, None) is not None:
            self.ledger.delete(entity, at)
