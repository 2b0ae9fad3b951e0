"""What an event must say about a transaction."""

from __future__ import annotations

from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire, instant


def _transaction(_entity: str, iban: str | None, body: Wire) -> Expected:
    party = body["counterparty"]
    return {
        "iban": iban,
        "transaction_id": body["id"],
        "replaces": body["replaces"],
        "rail": body["rail"],
        "rail_source": body["rail"],
        "amount": Decimal(body["amount"]),
        "currency": body["ccy"],
        "status": body["status"].upper(),
        "status_source": body["status"],
        "initiated_at": instant(body["initiated_at"]),
        "initiated_at_source": body["initiated_at"],
        "posted_at": instant(body["posted_at"]),
        "posted_at_source": body["posted_at"],
        "counterparty": None if party is None else dict(party),
        "biller": body["biller"],
        "receipt_ref": body["receipt_ref"],
    }


RENDERS: Renders = {"": ("transaction", _transaction)}
