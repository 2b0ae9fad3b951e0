"""What an event must say about a bill."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire, instant


def _bill(_entity: str, _iban: str | None, body: Wire) -> Expected:
    biller, late, paid = body["biller"], body["amount_after_due"], body["paid_amount"]
    return {
        "bill_id": body["id"],
        "biller": {**biller, "category_source": biller["category"]},
        "consumer_number": body["consumer_number"],
        "bill_month": body["bill_month"],
        "amount": Decimal(body["amount"]),
        "amount_after_due": None if late is None else Decimal(late),
        "currency": body["ccy"],
        "presented_at": instant(body["presented_at"]),
        "presented_at_source": body["presented_at"],
        "due_on": date.fromisoformat(body["due_on"]),
        "status": body["status"].upper(),
        "status_source": body["status"],
        "paid_at": instant(body["paid_at"]),
        "paid_at_source": body["paid_at"],
        "paid_amount": None if paid is None else Decimal(paid),
        "payment_transaction_id": body["payment_transaction_id"],
    }


RENDERS: Renders = {"bill": ("bill", _bill)}
