"""The marketplace's orders as canonical `Booking`s. Pure.

A voucher's code is cut to its end before anything else is done with an entry: not even a digest is taken of the whole,
from which a code could be found by trying.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from connector.domains.bookings import CATEGORIES, STATUSES, Booking, BookingLine, BookingVoucher
from connector.domains.model import UNKNOWN, Entry, Unreadable
from connector.limits import MAXIMUM_BOOKING_LINES
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.exact_json import UnknownFields, digest_value
from connector.sources.zindigi.keyset import call_feed, read_feed, unreadable
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface
from connector.sources.zindigi.wire import (
    Amount,
    Code,
    Currency,
    Day,
    Identifier,
    Long,
    MomentText,
    Reference,
    ShapeError,
    Text,
    Whole,
    Wire,
    field_names,
    understand,
)

SHORTEST_CODE: Final = 8
"""A code with fewer characters is not carried at all: its last four would be too much of it."""
_CODE_END: Final = 4


class LineWire(Wire):
    """A line of an order."""

    no: Annotated[Whole, Field(ge=0, le=9999)]
    description: Text
    quantity: Long
    unit_amount: Amount
    amount: Amount


class VoucherWire(Wire):
    """A voucher that an order gave; of its code there is only the end left."""

    id: Identifier
    code: Text | None
    valid_until: Day | None


class BookingWire(Wire):
    """One item of the feed."""

    id: Identifier
    category: Code
    vendor: Text
    title: Text
    placed_at: MomentText
    status: Code
    starts_at: MomentText | None
    ends_at: MomentText | None
    lines: Annotated[list[LineWire], Field(max_length=MAXIMUM_BOOKING_LINES)]
    total: Amount
    ccy: Currency
    payment_transaction_id: Reference
    refund_transaction_id: Reference
    voucher: VoucherWire | None
    policy_ref: Reference


_ITEM_FIELDS: Final = field_names(BookingWire)
_LINE_FIELDS: Final = field_names(LineWire)
_VOUCHER_FIELDS: Final = field_names(VoucherWire)


def read_bookings(_resource: Resource, body: bytes) -> Page:
    """One page of the feed.

    Raises:
        DataError: the page has no `items` or `next_cursor` of the right type, or is not JSON.
    """
    return read_feed(body, _read_item)


def _read_item(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    item = _curtailed(item)
    digest = digest_value(item)
    _note(item, unknown)
    try:
        return Entry(_booking(understand(BookingWire, item)), digest)
    except ShapeError as error:
        return unreadable(item, digest, str(error), "placed_at", "booking/")


def _curtailed(item: object) -> object:
    """The entry without what might spend a voucher, wherever a careless release may have put it.

    Of a field that is not in the contract there is only the name left, of a value of the wrong type only that it is.
    """
    if not isinstance(item, dict):
        return False
    kept = {name: value if name in _ITEM_FIELDS else None for name, value in item.items()}
    voucher = kept.get("voucher")
    if isinstance(voucher, dict):
        kept["voucher"] = {name: _voucher_value(name, value) for name, value in voucher.items()}
    elif voucher is not None:
        kept["voucher"] = False
    return kept


def _voucher_value(name: str, value: object) -> object:
    if name != "code":
        return value if name in _VOUCHER_FIELDS else None
    if not isinstance(value, str):
        return None if value is None else False
    return value[-_CODE_END:] if len(value) >= SHORTEST_CODE else None


def _note(item: object, unknown: UnknownFields) -> None:
    if not isinstance(item, dict):
        return
    unknown.note("items", item, _ITEM_FIELDS)
    if isinstance(item.get("voucher"), dict):
        unknown.note("items.voucher", item["voucher"], _VOUCHER_FIELDS)
    lines = item.get("lines")
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict):
            unknown.note("items.lines", line, _LINE_FIELDS)


def _booking(wire: BookingWire) -> Booking:
    voucher = wire.voucher
    return Booking(
        booking_id=wire.id,
        category=wire.category if wire.category in CATEGORIES else UNKNOWN,
        category_source=wire.category,
        vendor=wire.vendor,
        title=wire.title,
        placed_at=wire.placed_at.instant,
        placed_at_source=wire.placed_at.source,
        status=STATUSES.get(wire.status, UNKNOWN),
        status_source=wire.status,
        starts_at=wire.starts_at.instant if wire.starts_at else None,
        starts_at_source=wire.starts_at.source if wire.starts_at else None,
        ends_at=wire.ends_at.instant if wire.ends_at else None,
        ends_at_source=wire.ends_at.source if wire.ends_at else None,
        lines=tuple(
            BookingLine(line.no, line.description, line.quantity, line.unit_amount, line.amount) for line in wire.lines
        ),
        total=wire.total,
        currency=wire.ccy,
        payment_transaction_id=wire.payment_transaction_id,
        refund_transaction_id=wire.refund_transaction_id,
        voucher=BookingVoucher(voucher.id, voucher.code, voucher.valid_until) if voucher else None,
        policy_ref=wire.policy_ref,
    )


def _call_bookings(options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return call_feed("/bookings", options, request)


SURFACES: Final = {"bookings": Surface(_call_bookings, read_bookings)}
