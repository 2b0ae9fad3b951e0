"""The shapes that the brokerage sends: names in camel case, every number as text, times as milliseconds since 1970."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from connector.domains.model import EPOCH, micros
from connector.sources.zindigi.wire import (
    AmountText,
    Code,
    Currency,
    Day,
    Identifier,
    Moment,
    Reference,
    Text,
    Whole,
    Wire,
    scaled,
    text_number,
    whole,
)

UNITS_SCALE: Final = 8
_UNITS_DIGITS: Final = 24
_YEAR_10000_MILLIS: Final = 253_402_300_800_000
_LARGEST_PAGE: Final = 2**31


def _units(value: object) -> Decimal:
    """A quantity or a price for one, exact, with 8 decimals: no double stands between text and `Decimal`."""
    number = text_number(value)
    if number < 0:
        raise PydanticCustomError("wire_units_sign", "less than 0")
    return scaled(number, UNITS_SCALE, _UNITS_DIGITS)


def epoch_moment(value: object) -> Moment:
    """Milliseconds since 1970 as an instant, beside the number as text.

    Raises:
        PydanticCustomError: it is no whole number, or beyond the calendar.
    """
    millis = whole(value)
    if type(millis) is not int:
        raise PydanticCustomError("wire_millis_type", "not a whole number")
    if not 0 <= millis < _YEAR_10000_MILLIS:
        raise PydanticCustomError("wire_millis_range", "no such time")
    return Moment(EPOCH + timedelta(milliseconds=millis), str(millis))


def epoch_micros(value: object) -> int:
    """The same as microseconds since 1970; for `wire.micros_of`."""
    return micros(epoch_moment(value).instant)


Units = Annotated[Decimal, PlainValidator(_units)]
EpochMillis = Annotated[Moment, PlainValidator(epoch_moment)]
PageNumber = Annotated[Whole, Field(ge=0, lt=_LARGEST_PAGE)]


class BrokerageWire(Wire):
    """Base of the brokerage's shapes."""

    model_config = ConfigDict(alias_generator=to_camel)


class PortfolioEnvelope(BrokerageWire):
    """The portfolio, whole."""

    as_of: EpochMillis
    equities: list[Any]
    funds: list[Any]


class EquityWire(BrokerageWire):
    """A position in shares."""

    symbol: Identifier
    name: Text
    quantity: Units
    average_cost: Units
    market_price: Units
    market_value: AmountText
    cost_value: AmountText
    currency: Currency


class FundWire(BrokerageWire):
    """A position in a fund."""

    fund_id: Identifier
    name: Text
    fund_class: Code
    units: Units
    average_nav: Units
    nav: Units
    nav_date: Day | None
    market_value: AmountText
    cost_value: AmountText
    currency: Currency


class OrdersEnvelope(BrokerageWire):
    """A page of orders; pages are numbered from 0."""

    content: list[Any]
    page: PageNumber
    size: Annotated[Whole, Field(ge=1, lt=_LARGEST_PAGE)]
    total_pages: PageNumber
    total_elements: PageNumber


class InstrumentWire(BrokerageWire):
    """What an order is for: a share by its symbol, a fund by its id."""

    type: Code
    symbol: Reference
    fund_id: Reference
    name: Text


class OrderWire(BrokerageWire):
    """An order."""

    order_id: Identifier
    side: Code
    instrument: InstrumentWire
    quantity: Units | None
    amount: AmountText | None
    limit_price: Units | None
    filled_quantity: Units
    average_price: Units | None
    currency: Currency
    status: Code
    placed_at: EpochMillis
    updated_at: EpochMillis
    settlement_transaction_id: Reference
    booking_reference: Reference


class NavEnvelope(BrokerageWire):
    """A fund's value by day, oldest first."""

    fund_id: Identifier
    navs: list[Any]


class NavWire(BrokerageWire):
    """A fund's value on a day."""

    date: Day
    nav: Units
    published_at: EpochMillis
