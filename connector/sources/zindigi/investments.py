"""The brokerage's answers as canonical holdings, orders and net asset values. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from connector.domains.investments import (
    ASSET_CLASSES,
    EQUITY,
    FUND,
    INSTRUMENT_TYPES,
    ORDER_STATUSES,
    SIDES,
    Holding,
    Nav,
    Order,
    nav_entity,
)
from connector.domains.model import EPOCH, UNKNOWN, BookingKey, Entry, Unreadable, midnight_micros
from connector.errors import DataError
from connector.limits import MAXIMUM_ENTRIES_A_PAGE, MAXIMUM_ENTRIES_A_WHOLE, MAXIMUM_FUNDS
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.brokerage import (
    EquityWire,
    FundWire,
    InstrumentWire,
    NavEnvelope,
    NavWire,
    OrdersEnvelope,
    OrderWire,
    PortfolioEnvelope,
    epoch_micros,
)
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface, part_of
from connector.sources.zindigi.wire import (
    ShapeError,
    bounded,
    day_of,
    field_names,
    identifier_of,
    micros_of,
    understand,
)

_PORTFOLIO_FIELDS: Final = field_names(PortfolioEnvelope) | {"portfolioId"}
_EQUITY_FIELDS: Final = field_names(EquityWire)
_FUND_FIELDS: Final = field_names(FundWire)
_ORDERS_FIELDS: Final = field_names(OrdersEnvelope)
_ORDER_FIELDS: Final = field_names(OrderWire)
_INSTRUMENT_FIELDS: Final = field_names(InstrumentWire)
_NAVS_FIELDS: Final = field_names(NavEnvelope)
_NAV_FIELDS: Final = field_names(NavWire)


def read_portfolio(_resource: Resource, body: bytes) -> Page:
    """Everything in one page: shares, then funds.

    Raises:
        DataError: the envelope is not understood.
    """
    top = parse_object(body)
    envelope = understand(PortfolioEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _PORTFOLIO_FIELDS)
    as_of = envelope.as_of.instant
    entries = [
        _read_equity(item, as_of, unknown) for item in bounded(envelope.equities, MAXIMUM_ENTRIES_A_WHOLE, "equities")
    ]
    entries += [_read_fund(item, as_of, unknown) for item in bounded(envelope.funds, MAXIMUM_FUNDS, "funds")]
    return Page(entries=tuple(entries), next_cursor=None, unknown_fields=unknown.counts)


def read_orders(_resource: Resource, body: bytes) -> Page:
    """One page of orders; the cursor is the number of the next one, the total tells whether the rows shifted.

    Raises:
        DataError: the envelope is not understood, or contradicts itself.
    """
    top = parse_object(body)
    envelope = understand(OrdersEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _ORDERS_FIELDS)
    content = bounded(envelope.content, MAXIMUM_ENTRIES_A_PAGE, "content")
    following = envelope.page + 1
    size, total = envelope.size, envelope.total_elements
    if envelope.total_pages != -(-total // size):
        raise DataError("totalPages: not as many as size and totalElements make")
    if len(content) != max(0, min(size, total - envelope.page * size)):
        raise DataError("content: not as many as page, size and totalElements make")
    return Page(
        entries=tuple(_read_order(item, unknown) for item in content),
        next_cursor=str(following) if following < envelope.total_pages else None,
        unknown_fields=unknown.counts,
        total=total,
    )


def read_navs(resource: Resource, body: bytes) -> Page:
    """The days of one fund, oldest first, in one page.

    Raises:
        DataError: the envelope is not understood, or is of another fund.
    """
    top = parse_object(body)
    envelope = understand(NavEnvelope, top)
    if envelope.fund_id != part_of(resource):
        raise DataError("fundId: not the fund that was asked for")
    unknown = UnknownFields()
    unknown.note("", top, _NAVS_FIELDS)
    days = bounded(envelope.navs, MAXIMUM_ENTRIES_A_WHOLE, "navs")
    entries = tuple(_read_nav(envelope.fund_id, item, unknown) for item in days)
    return Page(entries=entries, next_cursor=None, unknown_fields=unknown.counts)


def _note(unknown: UnknownFields, prefix: str, item: object, known: frozenset[str]) -> None:
    if isinstance(item, dict):
        unknown.note(prefix, item, known)


def _unreadable_holding(kind: str, item: object, id_field: str, error: ShapeError) -> Unreadable:
    digest, found = digest_value(item), identifier_of(item, id_field)
    if found is None:
        return aside(item, digest, error)
    return aside(item, digest, error, f"holding/{kind.lower()}/{found}", BookingKey(0, f"{kind}/{found}"))


def _read_equity(item: object, as_of: datetime, unknown: UnknownFields) -> Entry | Unreadable:
    _note(unknown, "equities", item, _EQUITY_FIELDS)
    try:
        wire = understand(EquityWire, item)
    except ShapeError as error:
        return _unreadable_holding(EQUITY, item, "symbol", error)
    record = Holding(
        instrument_type=EQUITY,
        instrument_id=wire.symbol,
        name=wire.name,
        asset_class=EQUITY,
        asset_class_source=None,
        quantity=wire.quantity,
        average_cost=wire.average_cost,
        price=wire.market_price,
        priced_on=None,
        market_value=wire.market_value,
        cost_value=wire.cost_value,
        currency=wire.currency,
        as_of=as_of,
    )
    return Entry(record, digest_value(item))


def _read_fund(item: object, as_of: datetime, unknown: UnknownFields) -> Entry | Unreadable:
    _note(unknown, "funds", item, _FUND_FIELDS)
    try:
        wire = understand(FundWire, item)
    except ShapeError as error:
        return _unreadable_holding(FUND, item, "fundId", error)
    record = Holding(
        instrument_type=FUND,
        instrument_id=wire.fund_id,
        name=wire.name,
        asset_class=ASSET_CLASSES.get(wire.fund_class, UNKNOWN),
        asset_class_source=wire.fund_class,
        quantity=wire.units,
        average_cost=wire.average_nav,
        price=wire.nav,
        priced_on=wire.nav_date,
        market_value=wire.market_value,
        cost_value=wire.cost_value,
        currency=wire.currency,
        as_of=as_of,
    )
    return Entry(record, digest_value(item))


def _read_order(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    _note(unknown, "content", item, _ORDER_FIELDS)
    if isinstance(item, dict):
        _note(unknown, "content.instrument", item.get("instrument"), _INSTRUMENT_FIELDS)
    try:
        wire = understand(OrderWire, item)
    except ShapeError as error:
        order_id = identifier_of(item, "orderId")
        if order_id is None:
            return aside(item, digest, error)
        order = micros_of(item, "placedAt", epoch_micros)
        key = None if order is None else BookingKey(order, order_id)
        return aside(item, digest, error, f"order/{order_id}", key)
    return Entry(_order(wire), digest)


def _order(wire: OrderWire) -> Order:
    instrument = wire.instrument
    return Order(
        order_id=wire.order_id,
        side=wire.side if wire.side in SIDES else UNKNOWN,
        side_source=wire.side,
        instrument_type=instrument.type if instrument.type in INSTRUMENT_TYPES else UNKNOWN,
        instrument_type_source=instrument.type,
        instrument_id=instrument.fund_id if instrument.symbol is None else instrument.symbol,
        instrument_name=instrument.name,
        quantity=wire.quantity,
        amount=wire.amount,
        limit_price=wire.limit_price,
        filled_quantity=wire.filled_quantity,
        average_price=wire.average_price,
        currency=wire.currency,
        status=wire.status if wire.status in ORDER_STATUSES else UNKNOWN,
        status_source=wire.status,
        placed_at=wire.placed_at.instant,
        placed_at_source=wire.placed_at.source,
        updated_at=wire.updated_at.instant,
        updated_at_source=wire.updated_at.source,
        settlement_transaction_id=wire.settlement_transaction_id,
        booking_reference=wire.booking_reference,
    )


def _read_nav(fund_id: str, item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    _note(unknown, "navs", item, _NAV_FIELDS)
    try:
        wire = understand(NavWire, item)
    except ShapeError as error:
        day = day_of(item, "date")
        if day is None:
            return aside(item, digest, error)
        return aside(item, digest, error, nav_entity(fund_id, day), BookingKey(midnight_micros(day), ""))
    record = Nav(
        fund_id=fund_id,
        valued_on=wire.date,
        nav=wire.nav,
        published_at=wire.published_at.instant,
        published_at_source=wire.published_at.source,
    )
    return Entry(record, digest)


def _call_portfolio(_options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return Call("GET", "/invest/v1/portfolio", etag=request.etag)


def _call_orders(options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    # There is no lower bound to ask for: how far down to read is for the reader to say.
    parameters = {"page": request.cursor or "0", "size": str(options.orders_page_size)}
    return Call("GET", "/invest/v1/orders", parameters=parameters, etag=request.etag)


def _call_nav(_options: ZindigiOptions, resource: Resource, request: PageRequest) -> Call:
    """From the first day on that is not wholly before `after`, so that the newest one is asked for again.

    The last value is the one that is restated most often, and a page that repeats it has the digest of the page before.
    """
    parameters = {}
    if request.after is not None:
        parameters["since"] = (EPOCH + timedelta(microseconds=request.after.order + 1)).date().isoformat()
    path = f"/invest/v1/funds/{quote(part_of(resource), safe='')}/nav"
    return Call("GET", path, parameters=parameters, etag=request.etag)


SURFACES: Final = {
    "holdings": Surface(_call_portfolio, read_portfolio),
    "orders": Surface(_call_orders, read_orders),
    "nav": Surface(_call_nav, read_navs),
}
