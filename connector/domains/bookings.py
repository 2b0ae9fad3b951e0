"""Bookings: orders of the marketplace (travel, cinema, hotels, e-vouchers, insurance) and what became of each.

One newest-first feed. An order is open until it is completed or cancelled: a journey booked for next summer is, too.
What could be spent by whoever reads it, the code of a voucher, is not carried: only its end, to tell vouchers apart.
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

CATEGORIES = frozenset({"TRAVEL", "CINEMA", "HOTEL", "E_VOUCHER", "INSURANCE"})
STATUSES = {"placed": "PLACED", "confirmed": "CONFIRMED", "cancelled": "CANCELLED", "completed": "COMPLETED"}


@dataclass(frozen=True, slots=True)
class BookingLine:
    """One line of an order; amounts are in its currency."""

    number: int
    description: str
    quantity: int
    unit_amount: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class BookingVoucher:
    """A voucher that an order gave. `code_last4` is the end of a code of eight characters or more."""

    voucher_id: str
    code_last4: str | None
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class Booking:
    """One order with its lines."""

    KIND: ClassVar[str] = "booking"

    booking_id: str
    category: str
    category_source: str
    vendor: str
    title: str
    placed_at: datetime
    placed_at_source: str
    status: str
    status_source: str
    starts_at: datetime | None
    starts_at_source: str | None
    ends_at: datetime | None
    ends_at_source: str | None
    lines: tuple[BookingLine, ...]
    total: Decimal
    currency: str
    payment_transaction_id: str | None
    refund_transaction_id: str | None
    voucher: BookingVoucher | None
    policy_ref: str | None

    @property
    def entity_id(self) -> str:
        return f"booking/{self.booking_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.placed_at), self.booking_id)

    @property
    def settled(self) -> bool:
        return self.status in {"COMPLETED", "CANCELLED"}

    @property
    def effective(self) -> datetime | None:
        # When it was confirmed, changed, cancelled or completed the bank does not say.
        return self.placed_at if self.status == "PLACED" else None


def _name_event(_op: str, before: Record | None, after: Record | None) -> str:
    was = before.status if isinstance(before, Booking) else None
    if not isinstance(after, Booking) or was == after.status:
        return "BookingUpdated"
    by_status = {"PLACED": "BookingPlaced", "CONFIRMED": "BookingConfirmed", "CANCELLED": "BookingCancelled"}
    return by_status.get(after.status, "BookingUpdated")


def _relate(record: Record) -> tuple[Related, ...]:
    if not isinstance(record, Booking):
        return ()
    stated = {
        "payment_transaction": record.payment_transaction_id,
        "refund_transaction": record.refund_transaction_id,
    }
    return tuple(Related(relation, "transactions", bank_id) for relation, bank_id in stated.items() if bank_id)


BOOKINGS = Domain(
    name="bookings",
    resources=(
        ResourceKind(
            name="bookings",
            backend="bank",
            surface="marketplace",
            feed=Feed.NEWEST_FIRST,
            window=Window(),
            head_interval_seconds=120.0,
            reconcile_interval_seconds=3600.0,
        ),
    ),
    records={"booking": Booking},
    event_types={
        "BookingPlaced": EventDoc(
            when="An order is first seen that the vendor has not confirmed yet, or a known one waits for it again.",
            then="Upsert `after`. Nothing is promised yet.",
        ),
        "BookingConfirmed": EventDoc(
            when="An order is first seen confirmed, or the vendor confirmed it.",
            then=(
                "Upsert `after`; it holds from `starts_at` to `ends_at`. `related` names the transaction that paid it, "
                "where the bank states it: do not book `total` a second time."
            ),
        ),
        "BookingUpdated": EventDoc(
            when=(
                "An order changed without a change of status (a seat, a date, a voucher, a refund), was completed, has "
                "a status that we do not know, or is proven gone (op `d`)."
            ),
            then="With op `d` delete the entity; otherwise upsert `after`: `changed` names the fields.",
        ),
        "BookingCancelled": EventDoc(
            when="An order is first seen cancelled, or was cancelled.",
            then=(
                "Upsert `after` and take it out of the holder's plans. `related` names the transaction of the refund "
                "once the bank states it, which may be by a later `BookingUpdated`."
            ),
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
