"""Investments: shares and funds held, the orders that moved them, and the value of a fund's unit by day.

Three resources of the brokerage: the portfolio, whole; orders, newest first; the net asset value of each fund that the
portfolio lists. A holding's price and value are the brokerage's, and belong to it: when they move, the holding changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    midnight_micros,
)

EQUITY = "EQUITY"
FUND = "FUND"
INSTRUMENT_TYPES = frozenset({EQUITY, FUND})
ASSET_CLASSES = {"MONEY_MARKET": "MONEY_MARKET_FUND", "INCOME": "INCOME_FUND", "EQUITY": "EQUITY_FUND"}
"""The class of a fund's holding by the brokerage's code of the fund; a share's is EQUITY."""
SIDES = frozenset({"BUY", "SELL", "SUBSCRIBE", "REDEEM"})
_ENDED_UNFILLED = frozenset({"CANCELLED", "REJECTED", "EXPIRED"})
ORDER_STATUSES = frozenset({"PLACED", "PARTIALLY_FILLED", "FILLED"}) | _ENDED_UNFILLED


def nav_entity(fund_id: str, day: date) -> str:
    """The entity of a fund's value on a day."""
    return f"nav/{fund_id}/{day.isoformat()}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A position of the portfolio. `as_of` moves with every other position, so that it is no part of this one."""

    KIND: ClassVar[str] = "holding"

    instrument_type: str
    instrument_id: str
    name: str
    asset_class: str
    asset_class_source: str | None
    quantity: Decimal
    average_cost: Decimal
    price: Decimal
    priced_on: date | None
    market_value: Decimal
    cost_value: Decimal
    currency: str
    as_of: datetime = field(compare=False)

    @property
    def entity_id(self) -> str:
        return f"holding/{self.instrument_type.lower()}/{self.instrument_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(0, f"{self.instrument_type}/{self.instrument_id}")

    @property
    def settled(self) -> bool:
        return False

    @property
    def effective(self) -> datetime:
        return self.as_of


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to the brokerage and what became of it."""

    KIND: ClassVar[str] = "order"

    order_id: str
    side: str
    side_source: str
    instrument_type: str
    instrument_type_source: str
    instrument_id: str | None
    instrument_name: str
    quantity: Decimal | None
    amount: Decimal | None
    limit_price: Decimal | None
    filled_quantity: Decimal
    average_price: Decimal | None
    currency: str
    status: str
    status_source: str
    placed_at: datetime
    placed_at_source: str
    updated_at: datetime
    updated_at_source: str
    settlement_transaction_id: str | None
    booking_reference: str | None

    @property
    def entity_id(self) -> str:
        return f"order/{self.order_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.placed_at), self.order_id)

    @property
    def settled(self) -> bool:
        """True once nothing more will be filled and what was filled is paid for."""
        if self.status in _ENDED_UNFILLED and not self.filled_quantity:
            return True
        return self.status in _ENDED_UNFILLED | {"FILLED"} and self.settlement_transaction_id is not None

    @property
    def effective(self) -> datetime:
        return self.updated_at


@dataclass(frozen=True, slots=True)
class Nav:
    """The net asset value of one unit of a fund on one day, as last published."""

    KIND: ClassVar[str] = "nav"

    fund_id: str
    valued_on: date
    nav: Decimal
    published_at: datetime
    published_at_source: str

    @property
    def entity_id(self) -> str:
        return nav_entity(self.fund_id, self.valued_on)

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(midnight_micros(self.valued_on), "")

    @property
    def settled(self) -> bool:
        return True

    @property
    def effective(self) -> date:
        return self.valued_on


def _name_holding(op: str, before: Record | None, after: Holding) -> str:
    held_before = isinstance(before, Holding) and before.quantity > 0
    if op == "c" or (op == "u" and held_before != (after.quantity > 0)):
        return "HoldingOpened" if after.quantity > 0 else "HoldingClosed"
    return "HoldingChanged"


def _name_order(op: str, before: Record | None, after: Order) -> str:
    was = before.status if isinstance(before, Order) else None
    if op != "c" and was == after.status:
        return "OrderUpdated"
    if after.status == "FILLED":
        return "OrderFilled"
    if after.status in _ENDED_UNFILLED:
        return "OrderCancelled"
    return "OrderPlaced" if op == "c" else "OrderUpdated"


def _name_event(op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after, Holding):
        return _name_holding(op, before, after)
    if isinstance(after, Order):
        return _name_order(op, before, after)
    if isinstance(after, Nav) or isinstance(before, Nav):
        return "NavPublished"
    return "HoldingClosed" if isinstance(before, Holding) else "OrderUpdated"


def _relate(record: Record) -> tuple[Related, ...]:
    if isinstance(record, Holding):
        if record.instrument_type != FUND or record.priced_on is None:
            return ()
        return (Related("nav", "investments", nav_entity(record.instrument_id, record.priced_on)),)
    if not isinstance(record, Order):
        return ()
    stated = (
        ("settlement_transaction", "transactions", record.settlement_transaction_id),
        ("booking", "bookings", f"booking/{record.booking_reference}" if record.booking_reference else None),
    )
    return tuple(Related(relation, domain, named) for relation, domain, named in stated if named is not None)


def _fund_of(record: Record) -> str | None:
    listed = isinstance(record, Holding) and record.instrument_type == FUND
    return record.instrument_id if listed and isinstance(record, Holding) else None


INVESTMENTS = Domain(
    name="investments",
    resources=(
        ResourceKind(
            name="holdings",
            backend="brokerage",
            surface="brokerage",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=300.0,
            reconcile_interval_seconds=300.0,
        ),
        ResourceKind(
            name="orders",
            backend="brokerage",
            surface="brokerage",
            feed=Feed.NEWEST_FIRST,
            window=Window(),
            head_interval_seconds=60.0,
            reconcile_interval_seconds=1800.0,
        ),
        ResourceKind(
            name="nav",
            backend="brokerage",
            surface="brokerage",
            feed=Feed.ASCENDING,
            window=Window(days=35, minimum_entries=20, maximum_entries=60),
            head_interval_seconds=900.0,
            reconcile_interval_seconds=21600.0,
            parts_of="holdings",
            part_named_by=_fund_of,
        ),
    ),
    records={"holding": Holding, "order": Order, "nav": Nav},
    event_types={
        "HoldingOpened": EventDoc(
            when="A position is first seen, or one that had nothing left holds something again.",
            then="Upsert `after`. A fund's `related` names the published value that it was priced with.",
        ),
        "HoldingChanged": EventDoc(
            when=(
                "The quantity, the cost, the price or the value of a position changed. Most come with the day's "
                "prices: `changed` then names the price and the value, and not the quantity."
            ),
            then="Upsert `after`. Where only trades matter, pass over those whose `changed` has no `quantity`.",
        ),
        "HoldingClosed": EventDoc(
            when=(
                "A position has nothing left (its `quantity` became 0, or is first seen so), or is proven gone from "
                "the portfolio (op `d`)."
            ),
            then="With op `d` delete the entity; otherwise upsert `after`, which counts for nothing.",
        ),
        "OrderPlaced": EventDoc(
            when="An order is first seen that is still open, partly filled or not, or whose status is new to us.",
            then="Upsert `after`; it is expected to be filled or cancelled.",
        ),
        "OrderUpdated": EventDoc(
            when=(
                "An order was filled in part, was paid for, changed in another way that does not end it, or is proven "
                "gone (op `d`)."
            ),
            then=(
                "With op `d` delete the entity; otherwise upsert `after`. `settlement_transaction_id` names the "
                "transaction that paid for it, once there is one."
            ),
        ),
        "OrderFilled": EventDoc(
            when="An order is first seen wholly filled, or became so.",
            then="Upsert `after`. The position that it moved tells of itself: do not add the quantity yourself.",
        ),
        "OrderCancelled": EventDoc(
            when="An order is first seen cancelled, rejected or expired, or became so.",
            then="Upsert `after`; `status` says which. What was filled before, `filled_quantity`, stays filled.",
        ),
        "NavPublished": EventDoc(
            when=(
                "The value of a fund's unit on a day is first seen (op `c`), was restated for the same day (op `u`), "
                "or is proven withdrawn (op `d`)."
            ),
            then=(
                "Upsert `after` by fund and day, and work out again what was worked out from `before`; with op `d` "
                "delete the entity."
            ),
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
