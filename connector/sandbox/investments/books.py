"""The brokerage's books: positions, orders and the net asset values that its holder is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Literal

from connector.sandbox.investments.market import Instrument, Market
from connector.sandbox.wire import Body, micros, midnight, money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from connector.sandbox.ledger import Ledger

Side = Literal["BUY", "SELL", "SUBSCRIBE", "REDEEM"]
OrderStatus = Literal["PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"]
OPEN: tuple[OrderStatus, ...] = ("PLACED", "PARTIALLY_FILLED")
NOTHING = Decimal(0)
_CENT = Decimal("0.01")
_FOUR = Decimal("0.0001")


def epoch_millis(at: datetime) -> int:
    """Milliseconds since 1970, as the brokerage counts."""
    return micros(at) // 1000


def paisa_of(quantity: Decimal, price: Decimal) -> int:
    """What so many at that price come to, in paisa."""
    return int((quantity * price).quantize(_CENT, ROUND_HALF_EVEN).scaleb(2))


@dataclass(frozen=True, slots=True)
class Holding:
    """A position; `priced_on` is the day of the price, which is told of funds only."""

    instrument: Instrument
    quantity: Decimal
    cost_paisa: int
    price: Decimal
    priced_on: date

    @property
    def average(self) -> Decimal:
        """What one cost on average."""
        return (money(self.cost_paisa) / self.quantity).quantize(_FOUR) if self.quantity else NOTHING.quantize(_FOUR)

    def body(self) -> Body:
        """The wire form."""
        value = str(money(paisa_of(self.quantity, self.price)))
        cost = str(money(self.cost_paisa))
        common: Body = {"name": self.instrument.name, "marketValue": value, "costValue": cost, "currency": "PKR"}
        if self.instrument.type == "EQUITY":
            return {
                "symbol": self.instrument.id,
                **common,
                "quantity": str(self.quantity),
                "averageCost": str(self.average),
                "marketPrice": str(self.price),
            }
        return {
            "fundId": self.instrument.id,
            **common,
            "fundClass": self.instrument.fund_class,
            "units": str(self.quantity.quantize(_FOUR)),
            "averageNav": str(self.average),
            "nav": str(self.price),
            "navDate": self.priced_on.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Order:
    """An order: for a quantity, or, to subscribe to a fund, for an amount in paisa."""

    id: str
    side: Side
    instrument: Instrument
    quantity: Decimal | None
    amount_paisa: int | None
    placed_at: datetime
    updated_at: datetime
    limit_price: Decimal | None = None
    filled: Decimal = NOTHING
    spent_paisa: int = 0
    status: OrderStatus = "PLACED"
    settlement_transaction_id: str | None = None
    booking_reference: str | None = None

    @property
    def position(self) -> tuple[int, str]:
        """Its place among the orders: milliseconds, then the id."""
        return epoch_millis(self.placed_at), self.id

    @property
    def unfilled(self) -> Decimal:
        """What is still to be filled of an order for a quantity."""
        return (self.quantity or NOTHING) - self.filled

    def body(self) -> Body:
        """The wire form."""
        share = self.instrument.type == "EQUITY"
        average = (money(self.spent_paisa) / self.filled).quantize(_FOUR) if self.filled else None
        return {
            "orderId": self.id,
            "side": self.side,
            "instrument": {
                "type": self.instrument.type,
                "symbol": self.instrument.id if share else None,
                "fundId": None if share else self.instrument.id,
                "name": self.instrument.name,
            },
            "quantity": None if self.quantity is None else str(self.quantity),
            "amount": None if self.amount_paisa is None else str(money(self.amount_paisa)),
            "limitPrice": None if self.limit_price is None else str(self.limit_price),
            "filledQuantity": str(self.filled),
            "averagePrice": None if average is None else str(average),
            "currency": "PKR",
            "status": self.status,
            "placedAt": epoch_millis(self.placed_at),
            "updatedAt": epoch_millis(self.updated_at),
            "settlementTransactionId": self.settlement_transaction_id,
            "bookingReference": self.booking_reference,
        }


@dataclass(frozen=True, slots=True)
class Nav:
    """A fund's net asset value of a day, as last published."""

    fund: Instrument
    day: date
    value: Decimal
    published_at: datetime

    @property
    def entity(self) -> str:
        """Its entity."""
        return f"nav/{self.fund.id}/{self.day.isoformat()}"

    def body(self) -> Body:
        """The wire form."""
        return {
            "date": self.day.isoformat(),
            "nav": str(self.value),
            "publishedAt": epoch_millis(self.published_at),
        }


def order_entity(order_id: str) -> str:
    """The entity of an order."""
    return f"order/{order_id}"


class Investments:
    """What the brokerage can do; each act changes every entity that it touches once.

    Shares that were sold to the last leave the portfolio and are not bought again; a fund stays listed with nothing
    left in it, and its value goes on being published.
    """

    def __init__(self, ledger: Ledger, market: Market) -> None:
        self.ledger = ledger
        self.market = market
        self.holdings: dict[str, Holding] = {}
        self.orders: dict[str, Order] = {}
        self.navs: dict[str, dict[date, Nav]] = {}
        self.given_up: set[str] = set()
        self.stated_at: datetime | None = None

    @property
    def fund_ids(self) -> list[str]:
        """The funds that the portfolio lists."""
        return [one.instrument.id for one in self.holdings.values() if one.instrument.type == "FUND"]

    def newest_first(self) -> list[Order]:
        """Every order."""
        return sorted(self.orders.values(), key=lambda order: order.position, reverse=True)

    def open_orders(self) -> list[Order]:
        """Orders that may still be filled, oldest first."""
        return [order for order in self.orders.values() if order.status in OPEN]

    def place(self, order: Order, at: datetime) -> None:
        """A new order."""
        self.orders[order.id] = order
        booking = order.position[0] * 1000
        self.ledger.create(order_entity(order.id), order.body(), at, resource="orders", booking=booking)

    def fill(self, order_id: str, quantity: Decimal, price: Decimal, at: datetime, day: date) -> None:
        """So many were bought or sold at that price: the order and the position change."""
        order = self.orders[order_id]
        paid = paisa_of(quantity, price)
        filled = replace(order, filled=order.filled + quantity, spent_paisa=order.spent_paisa + paid, updated_at=at)
        whole = filled.quantity is None or filled.filled >= filled.quantity
        self._put(replace(filled, status="FILLED" if whole else "PARTIALLY_FILLED"), at)
        bought = order.side in {"BUY", "SUBSCRIBE"}
        self._move(order.instrument, quantity if bought else -quantity, paid, (price, day), at)

    def end(self, order_id: str, status: OrderStatus, at: datetime) -> None:
        """It is cancelled, rejected or has run out; nothing happens where it ended before."""
        order = self.orders[order_id]
        if order.status in OPEN:
            self._put(replace(order, status=status, updated_at=at), at)

    def settle(self, order_id: str, transaction_id: str, at: datetime) -> None:
        """What was filled was paid for."""
        order = self.orders[order_id]
        self._put(replace(order, settlement_transaction_id=transaction_id, updated_at=at), at)

    def amend(self, order_id: str, at: datetime) -> None:
        """The brokerage touches an order without changing what it says, but for the time of the last change."""
        self._put(replace(self.orders[order_id], updated_at=at), at)

    def remove(self, order_id: str, at: datetime) -> None:
        """The order disappears."""
        del self.orders[order_id]
        self.ledger.delete(order_entity(order_id), at)

    def reprice(self, entity: str, price: Decimal, day: date, at: datetime) -> None:
        """A position is valued anew; one with nothing left is not."""
        held = self.holdings.get(entity)
        if held is not None and held.quantity:
            self._hold(replace(held, price=price, priced_on=day), at)

    def publish(
        self, fund: Instrument, day: date, value: Decimal, at: datetime, *, published_at: datetime | None = None
    ) -> None:
        """A fund's value of a day, for the first time or anew; nothing happens where it stands."""
        nav = Nav(fund, day, value, published_at or at)
        known = self.navs.setdefault(fund.id, {})
        if day not in known:
            if nav.entity in self.ledger.history:
                # Withdrawn once is withdrawn for good: an id is never used again.
                return
            # As a date it has no time: what orders the days is their beginning.
            resource, booking = f"nav/{fund.id}", micros(midnight(day))
            self.ledger.create(nav.entity, nav.body(), at, resource=resource, booking=booking)
        elif known[day].value != value:
            self.ledger.update(nav.entity, nav.body(), at)
        else:
            return
        known[day] = nav

    def withdraw(self, fund: Instrument, day: date, at: datetime) -> None:
        """A value that was published is no longer shown."""
        self.ledger.delete(self.navs[fund.id].pop(day).entity, at)

    def _put(self, order: Order, at: datetime) -> None:
        self.orders[order.id] = order
        self.ledger.update(order_entity(order.id), order.body(), at)

    def _move(
        self, instrument: Instrument, quantity: Decimal, paid: int, valued: tuple[Decimal, date], at: datetime
    ) -> None:
        price, day = valued
        held = self.holdings.get(instrument.entity) or Holding(instrument, NOTHING, 0, price, day)
        left = held.quantity + quantity
        if not left and instrument.type == "EQUITY":
            del self.holdings[instrument.entity]
            self.given_up.add(instrument.id)
            self.stated_at = at
            self.ledger.delete(instrument.entity, at)
            return
        cost = held.cost_paisa + paid if quantity > 0 else _share_of(held.cost_paisa, left, held.quantity)
        self._hold(Holding(instrument, left, cost, price, day), at)

    def _hold(self, held: Holding, at: datetime) -> None:
        """A position as it stands now; where it would look as it once did, the market is a little dearer."""
        entity = held.instrument.entity
        while self._looked_so_before(entity, held.body()):
            held = replace(held, price=held.price + held.instrument.step)
        self.holdings[entity] = held
        self.stated_at = at
        if entity in self.ledger.present:
            self.ledger.update(entity, held.body(), at)
        else:
            self.ledger.create(entity, held.body(), at, resource="holdings", booking=0)

    def _looked_so_before(self, entity: str, body: Body) -> bool:
        versions: Iterable[Body | None] = (change.body for change in self.ledger.history.get(entity, []))
        return body in versions


def _share_of(paisa: int, part: Decimal, whole: Decimal) -> int:
    return int((Decimal(paisa) * part / whole).quantize(Decimal(1), ROUND_HALF_EVEN))
