"""Orders of the marketplace: what was ordered, for when, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, local_instant, micros, money

if TYPE_CHECKING:
    from datetime import date, datetime

    from connector.sandbox.ledger import Ledger

Category = Literal["TRAVEL", "CINEMA", "HOTEL", "E_VOUCHER", "INSURANCE"]
BookingStatus = Literal["placed", "confirmed", "cancelled", "completed"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order; the price of one is paisa."""

    description: str
    quantity: int
    unit_paisa: int

    @property
    def amount_paisa(self) -> int:
        """The price of the line."""
        return self.quantity * self.unit_paisa


@dataclass(frozen=True, slots=True)
class Voucher:
    """What an e-voucher's order gives; whoever knows the code can spend it."""

    id: str
    code: str
    valid_until: date

    def body(self) -> Body:
        """The wire form."""
        return {"id": self.id, "code": self.code, "valid_until": self.valid_until.isoformat()}


@dataclass(frozen=True, slots=True)
class Booking:
    """One order."""

    id: str
    category: Category
    vendor: str
    title: str
    placed_at: datetime
    lines: tuple[Line, ...]
    status: BookingStatus = "placed"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    payment_transaction_id: str | None = None
    refund_transaction_id: str | None = None
    voucher: Voucher | None = None
    policy_ref: str | None = None

    @property
    def open(self) -> bool:
        """Whether anything may still become of it."""
        return self.status in {"placed", "confirmed"}

    @property
    def total_paisa(self) -> int:
        """The price of the whole order."""
        return sum(line.amount_paisa for line in self.lines)

    def body(self) -> Body:
        """The wire form."""
        return {
            "id": self.id,
            "category": self.category,
            "vendor": self.vendor,
            "title": self.title,
            "placed_at": local_instant(self.placed_at),
            "status": self.status,
            "starts_at": local_instant(self.starts_at) if self.starts_at else None,
            "ends_at": local_instant(self.ends_at) if self.ends_at else None,
            "lines": [
                {
                    "no": number,
                    "description": line.description,
                    "quantity": line.quantity,
                    "unit_amount": money(line.unit_paisa),
                    "amount": money(line.amount_paisa),
                }
                for number, line in enumerate(self.lines, start=1)
            ],
            "total": money(self.total_paisa),
            "ccy": "PKR",
            "payment_transaction_id": self.payment_transaction_id,
            "refund_transaction_id": self.refund_transaction_id,
            "voucher": self.voucher.body() if self.voucher else None,
            "policy_ref": self.policy_ref,
        }


def booking_entity(booking_id: str) -> str:
    """The entity of an order."""
    return f"booking/{booking_id}"


class Bookings:
    """What can happen to orders; every act is one change of one of them. They are known by their entity."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._present: dict[str, Booking] = {}

    def get(self, entity: str) -> Booking | None:
        """The order as it stands, or None where it is gone."""
        return self._present.get(entity)

    def newest_first(self) -> list[tuple[str, Booking]]:
        """Every order by its entity."""
        return sorted(self._present.items(), key=lambda one: one[1].placed_at, reverse=True)

    def place(self, booking: Booking, at: datetime) -> str:
        """A new order; gives its entity."""
        entity = booking_entity(booking.id)
        self.ledger.create(entity, booking.body(), at, resource="bookings", booking=micros(booking.placed_at))
        self._present[entity] = booking
        return entity

    def change(self, entity: str, at: datetime, changed: Booking) -> None:
        """The order is another than it was."""
        if self.ledger.update(entity, changed.body(), at) is not None:
            self._present[entity] = changed

    def cancel(self, entity: str, at: datetime, refund_transaction_id: str | None) -> None:
        """It is called off; what was paid is given back by that transaction, where it was paid."""
        booking = self._present[entity]
        self.change(entity, at, replace(booking, status="cancelled", refund_transaction_id=refund_transaction_id))

    def complete(self, entity: str, at: datetime) -> None:
        """It took place; nothing happens where it was not confirmed."""
        booking = self._present.get(entity)
        if booking is not None and booking.status == "confirmed":
            self.change(entity, at, replace(booking, status="completed"))

    def remove(self, entity: str, at: datetime) -> None:
        """It disappears; nothing happens where it has."""
        if self._present.pop(entity, None) is not None:
            self.ledger.delete(entity, at)
