"""Bills: what billers present to the holder through the bank, month by month, and how each was paid.

One newest-first feed. A bill is open until it is paid or cancelled, however old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
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
    Window,
    micros,
)

CATEGORIES = frozenset({"ELECTRICITY", "GAS", "WATER", "INTERNET", "MOBILE", "EDUCATION", "GOVERNMENT", "OTHER"})
STATUSES = {"presented": "PRESENTED", "paid": "PAID", "overdue": "OVERDUE", "cancelled": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Biller:
    """Who presents a bill, as the bank names it."""

    code: str
    name: str
    category: str
    category_source: str


@dataclass(frozen=True, slots=True)
class Bill:
    """One bill. `amount_after_due` is what it costs after `due_on`; `bill_month` is YYYY-MM."""

    KIND: ClassVar[str] = "bill"

    bill_id: str
    biller: Biller
    consumer_number: str
    bill_month: str | None
    amount: Decimal
    amount_after_due: Decimal | None
    currency: str
    presented_at: datetime
    presented_at_source: str
    due_on: date
    status: str
    status_source: str
    paid_at: datetime | None
    paid_at_source: str | None
    paid_amount: Decimal | None
    payment_transaction_id: str | None

    @property
    def entity_id(self) -> str:
        return f"bill/{self.bill_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.presented_at), self.bill_id)

    @property
    def settled(self) -> bool:
        return self.status in {"PAID", "CANCELLED"}

    @property
    def effective(self) -> datetime | date | None:
        # When a bill was cancelled the bank does not say.
        by_status = {"PRESENTED": self.presented_at, "PAID": self.paid_at, "OVERDUE": self.due_on}
        return by_status.get(self.status)


def _name_event(_op: str, before: Record | None, after: Record | None) -> str:
    was = before.status if isinstance(before, Bill) else None
    if not isinstance(after, Bill) or was == after.status:
        return "BillAmended"
    by_status = {"PRESENTED": "BillPresented", "PAID": "BillPaid", "OVERDUE": "BillOverdue"}
    return by_status.get(after.status, "BillAmended")


def _relate(record: Record) -> tuple[Related, ...]:
    paid_by = record.payment_transaction_id if isinstance(record, Bill) else None
    return (Related("payment_transaction", "transactions", paid_by),) if paid_by else ()


BILLS = Domain(
    name="bills",
    resources=(
        ResourceKind(
            name="bills",
            backend="bank",
            surface="bills",
            feed=Feed.NEWEST_FIRST,
            window=Window(),
            head_interval_seconds=300.0,
            reconcile_interval_seconds=3600.0,
        ),
    ),
    records={"bill": Bill},
    event_types={
        "BillPresented": EventDoc(
            when="A bill is first seen that is to be paid, or one that was paid, overdue or cancelled is open again.",
            then="Upsert `after`; remind the holder of `amount` before `due_on`.",
        ),
        "BillAmended": EventDoc(
            when=(
                "A bill changed without a change of status, was cancelled, has a status that we do not know, or is "
                "proven gone (op `d`)."
            ),
            then="With op `d` delete the entity; otherwise upsert `after`: `changed` names the fields.",
        ),
        "BillPaid": EventDoc(
            when="A bill is first seen paid, or was paid.",
            then=(
                "Upsert `after` and stop reminding. `related` names the transaction that paid it, where the bank "
                "states it: the money is told there, so do not book `paid_amount` a second time."
            ),
        ),
        "BillOverdue": EventDoc(
            when="A bill is first seen overdue, or became so.",
            then="Upsert `after`: from now on `amount_after_due` is owed, where there is one.",
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
