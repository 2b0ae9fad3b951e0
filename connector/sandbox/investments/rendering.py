"""What an event must say about positions, orders and the values of funds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire

_FUND_CLASSES = {"MONEY_MARKET": "MONEY_MARKET_FUND", "INCOME": "INCOME_FUND", "EQUITY": "EQUITY_FUND"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _instant(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(millis))


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _holding(_entity: str, _iban: str | None, body: Wire) -> Expected:
    common = {
        "name": body["name"],
        "market_value": Decimal(body["marketValue"]),
        "cost_value": Decimal(body["costValue"]),
        "currency": body["currency"],
    }
    if "symbol" in body:
        return {
            **common,
            "instrument_type": "EQUITY",
            "instrument_id": body["symbol"],
            "asset_class": "EQUITY",
            "asset_class_source": None,
            "quantity": Decimal(body["quantity"]),
            "average_cost": Decimal(body["averageCost"]),
            "price": Decimal(body["marketPrice"]),
            "priced_on": None,
        }
    return {
        **common,
        "instrument_type": "FUND",
        "instrument_id": body["fundId"],
        "asset_class": _FUND_CLASSES[body["fundClass"]],
        "asset_class_source": body["fundClass"],
        "quantity": Decimal(body["units"]),
        "average_cost": Decimal(body["averageNav"]),
        "price": Decimal(body["nav"]),
        "priced_on": date.fromisoformat(body["navDate"]),
    }


def _order(_entity: str, _iban: str | None, body: Wire) -> Expected:
    instrument = body["instrument"]
    return {
        "order_id": body["orderId"],
        "side": body["side"],
        "side_source": body["side"],
        "instrument_type": instrument["type"],
        "instrument_id": instrument["symbol"] or instrument["fundId"],
        "instrument_name": instrument["name"],
        "quantity": _number(body["quantity"]),
        "amount": _number(body["amount"]),
        "limit_price": _number(body["limitPrice"]),
        "filled_quantity": Decimal(body["filledQuantity"]),
        "average_price": _number(body["averagePrice"]),
        "currency": body["currency"],
        "status": body["status"],
        "status_source": body["status"],
        "placed_at": _instant(body["placedAt"]),
        "placed_at_source": str(body["placedAt"]),
        "updated_at": _instant(body["updatedAt"]),
        "updated_at_source": str(body["updatedAt"]),
        "settlement_transaction_id": body["settlementTransactionId"],
        "booking_reference": body["bookingReference"],
    }


def _nav(entity: str, _iban: str | None, body: Wire) -> Expected:
    return {
        "fund_id": entity.split("/")[1],
        "valued_on": date.fromisoformat(body["date"]),
        "nav": Decimal(body["nav"]),
        "published_at": _instant(body["publishedAt"]),
        "published_at_source": str(body["publishedAt"]),
    }


RENDERS: Renders = {"holding": ("holding", _holding), "order": ("order", _order), "nav": ("nav", _nav)}
