"""The bank's bills as canonical `Bill`s. Pure."""

from __future__ import annotations

from typing import Final

from connector.domains.bills import CATEGORIES, STATUSES, Bill, Biller
from connector.domains.model import UNKNOWN, Entry, Unreadable
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
    MomentText,
    Month,
    Reference,
    ShapeError,
    Text,
    Wire,
    field_names,
    understand,
)


class BillerWire(Wire):
    """Who presents a bill."""

    code: Code
    name: Text
    category: Code


class BillWire(Wire):
    """One item of the feed."""

    id: Identifier
    biller: BillerWire
    consumer_number: Identifier
    bill_month: Month | None
    amount: Amount
    amount_after_due: Amount | None
    ccy: Currency
    presented_at: MomentText
    due_on: Day
    status: Code
    paid_at: MomentText | None
    paid_amount: Amount | None
    payment_transaction_id: Reference


_ITEM_FIELDS: Final = field_names(BillWire)
_BILLER_FIELDS: Final = field_names(BillerWire)


def read_bills(_resource: Resource, body: bytes) -> Page:
    """One page of the feed.

    Raises:
        DataError: the page has no `items` or `next_cursor` of the right type, or is not JSON.
    """
    return read_feed(body, _read_item)


def _read_item(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        unknown.note("items", item, _ITEM_FIELDS)
        if isinstance(item.get("biller"), dict):
            unknown.note("items.biller", item["biller"], _BILLER_FIELDS)
    try:
        return Entry(_bill(understand(BillWire, item)), digest)
    except ShapeError as error:
        return unreadable(item, digest, str(error), "presented_at", "bill/")


def _bill(wire: BillWire) -> Bill:
    biller = wire.biller
    category = biller.category if biller.category in CATEGORIES else UNKNOWN
    return Bill(
        bill_id=wire.id,
        biller=Biller(biller.code, biller.name, category, biller.category),
        consumer_number=wire.consumer_number,
        bill_month=wire.bill_month,
        amount=wire.amount,
        amount_after_due=wire.amount_after_due,
        currency=wire.ccy,
        presented_at=wire.presented_at.instant,
        presented_at_source=wire.presented_at.source,
        due_on=wire.due_on,
        status=STATUSES.get(wire.status, UNKNOWN),
        status_source=wire.status,
        paid_at=wire.paid_at.instant if wire.paid_at else None,
        paid_at_source=wire.paid_at.source if wire.paid_at else None,
        paid_amount=wire.paid_amount,
        payment_transaction_id=wire.payment_transaction_id,
    )


def _call_bills(options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return call_feed("/bills", options, request)


SURFACES: Final = {"bills": Surface(_call_bills, read_bills)}
