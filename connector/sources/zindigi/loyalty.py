"""Z-Miles as canonical points entries and vouchers. Pure."""

from __future__ import annotations

from typing import Final

from connector.domains.loyalty import POINTS_KINDS, VOUCHER_STATUSES, PointsEntry, Voucher
from connector.domains.model import UNKNOWN, BookingKey, Entry, Unreadable
from connector.errors import DataError
from connector.limits import MAXIMUM_ENTRIES_A_PAGE, MAXIMUM_ENTRIES_A_WHOLE
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface
from connector.sources.zindigi.wire import (
    LedgerEnvelope,
    PointsWire,
    ShapeError,
    SummaryEnvelope,
    VoucherWire,
    bounded,
    field_names,
    identifier_of,
    micros_of,
    moment_micros,
    understand,
    whole_number_of,
)

_LEDGER_FIELDS: Final = field_names(LedgerEnvelope)
_POINTS_FIELDS: Final = field_names(PointsWire)
_SUMMARY_FIELDS: Final = field_names(SummaryEnvelope) | {"member_id", "balance"}
_VOUCHER_FIELDS: Final = field_names(VoucherWire)


def read_ledger(_resource: Resource, body: bytes) -> Page:
    """One page of the points ledger; the cursor is the last id of the page, whatever else stands on it.

    Raises:
        DataError: the envelope is not understood, or there is more and no id to go on from.
    """
    top = parse_object(body)
    envelope = understand(LedgerEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _LEDGER_FIELDS)
    items = bounded(envelope.entries, MAXIMUM_ENTRIES_A_PAGE, "entries")
    entries = tuple(_read_points(item, unknown) for item in items)
    next_cursor = None
    if envelope.has_more:
        ids = [number for item in items if (number := whole_number_of(item, "id")) is not None]
        if not ids:
            raise DataError("has_more: there is more, but no id to go on from")
        next_cursor = str(ids[-1])
    return Page(entries=entries, next_cursor=next_cursor, unknown_fields=unknown.counts)


def read_summary(_resource: Resource, body: bytes) -> Page:
    """All vouchers, whole.

    Raises:
        DataError: the envelope is not understood.
    """
    top = parse_object(body)
    envelope = understand(SummaryEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _SUMMARY_FIELDS)
    items = bounded(envelope.vouchers, MAXIMUM_ENTRIES_A_WHOLE, "vouchers")
    entries = tuple(_read_voucher(item, unknown) for item in items)
    return Page(entries=entries, next_cursor=None, unknown_fields=unknown.counts)


def _read_points(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        unknown.note("entries", item, _POINTS_FIELDS)
    try:
        wire = understand(PointsWire, item)
    except ShapeError as error:
        number = whole_number_of(item, "id")
        if number is None:
            return aside(item, digest, error)
        return aside(item, digest, error, f"points/{number}", BookingKey(number, ""))
    record = PointsEntry(
        entry_id=wire.id,
        kind=POINTS_KINDS.get(wire.type, UNKNOWN),
        kind_source=wire.type,
        points=wire.points,
        at=wire.at.instant,
        at_source=wire.at.source,
        description=wire.description,
        source_ref=wire.source_ref,
        voucher_id=wire.voucher_id,
    )
    return Entry(record, digest)


def _read_voucher(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        unknown.note("vouchers", item, _VOUCHER_FIELDS)
    try:
        wire = understand(VoucherWire, item)
    except ShapeError as error:
        voucher_id = identifier_of(item, "voucher_id")
        if voucher_id is None:
            return aside(item, digest, error)
        order = micros_of(item, "issued_at", moment_micros)
        key = None if order is None else BookingKey(order, voucher_id)
        return aside(item, digest, error, f"voucher/{voucher_id}", key)
    redeemed_at = wire.redeemed_at
    record = Voucher(
        voucher_id=wire.voucher_id,
        title=wire.title,
        points=wire.points,
        status=wire.status if wire.status in VOUCHER_STATUSES else UNKNOWN,
        status_source=wire.status,
        issued_at=wire.issued_at.instant,
        issued_at_source=wire.issued_at.source,
        expires_on=wire.expires_on,
        redeemed_at=redeemed_at.instant if redeemed_at else None,
        redeemed_at_source=redeemed_at.source if redeemed_at else None,
    )
    return Entry(record, digest)


def _call_ledger(options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    parameters = {"limit": str(options.points_page_limit)}
    if request.cursor is not None:
        parameters["after_id"] = request.cursor
    elif request.after is not None:
        parameters["after_id"] = str(request.after.order)
    return Call("GET", "/z-miles/ledger", parameters=parameters, etag=request.etag)


def _call_summary(_options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return Call("GET", "/z-miles/summary", etag=request.etag)


SURFACES: Final = {
    "points": Surface(_call_ledger, read_ledger),
    "vouchers": Surface(_call_summary, read_summary),
}
