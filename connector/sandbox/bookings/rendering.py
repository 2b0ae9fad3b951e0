"""What an event must say about an order: of a voucher's code no more than its end."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire, instant


def _booking(_entity: str, _iban: str | None, body: Wire) -> Expected:
    voucher = body["voucher"]
    return {
        "booking_id": body["id"],
        "category": body["category"],
        "category_source": body["category"],
        "vendor": body["vendor"],
        "title": body["title"],
        "placed_at": instant(body["placed_at"]),
        "placed_at_source": body["placed_at"],
        "status": body["status"].upper(),
        "status_source": body["status"],
        "starts_at": instant(body["starts_at"]),
        "starts_at_source": body["starts_at"],
        "ends_at": instant(body["ends_at"]),
        "ends_at_source": body["ends_at"],
        "lines": [_line(line) for line in body["lines"]],
        "total": Decimal(body["total"]),
        "currency": body["ccy"],
        "payment_transaction_id": body["payment_transaction_id"],
        "refund_transaction_id": body["refund_transaction_id"],
        "voucher": None if voucher is None else _voucher(voucher),
        "policy_ref": body["policy_ref"],
    }


def _line(line: Wire) -> Expected:
    return {
        "number": int(line["no"]),
        "description": line["description"],
        "quantity": int(line["quantity"]),
        "unit_amount": Decimal(line["unit_amount"]),
        "amount": Decimal(line["amount"]),
    }


def _voucher(voucher: Wire) -> Expected:
    return {
        "voucher_id": voucher["id"],
        "code_last4": voucher["code"][-4:],
        "expires_on": date.fromisoformat(voucher["valid_until"]),
    }


RENDERS: Renders = {"booking": ("booking", _booking)}
