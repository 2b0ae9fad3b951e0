"""What an event must say about a version of an entity, worked out from the bank's own rendering of it.

A second, independent reading of the contract: it shares nothing with the connector, so that a shared mistake cannot
pass. A field that the truth does not hold is left out and not compared; the running balance is no part of an entity.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Wire = Mapping[str, Any]
Expected = dict[str, Any]

_POINTS = {"EARN": "EARNED", "REDEEM": "REDEEMED", "EXPIRE": "EXPIRED", "ADJUST": "ADJUSTED"}


def render(entity: str, iban: str | None, body: Wire) -> tuple[str, Expected]:
    """The field of `after` that must be set, and what must be in it.

    `body` is the bank's JSON with numbers as `Decimal`; `entity` the truth's name of the entity.
    """
    if iban is not None:
        return "transaction", _transaction(iban, body)
    kind, _, rest = entity.partition("/")
    if kind == "loan":
        return "loan", _loan(body)
    if kind == "installment":
        return "installment", _installment(rest.rpartition("/")[0], body)
    if kind == "repayment":
        return "repayment", _repayment(body)
    if kind == "voucher":
        return "voucher", _voucher(body)
    return "points_entry", _points(body)


def agrees(expected: Expected, told: Mapping[str, Any]) -> bool:
    """True when an event's record says what it must, field by field."""
    return all(name in told and told[name] == value for name, value in expected.items())


def _transaction(iban: str, body: Wire) -> Expected:
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
        "initiated_at": _instant(body["initiated_at"]),
        "initiated_at_source": body["initiated_at"],
        "posted_at": _instant(body["posted_at"]),
        "posted_at_source": body["posted_at"],
        "counterparty": None if party is None else dict(party),
        "biller": body["biller"],
        "receipt_ref": body["receipt_ref"],
    }


def _loan(body: Wire) -> Expected:
    return {
        "loan_id": body["LOAN_ID"],
        "product": body["PRODUCT"],
        "principal": Decimal(body["PRINCIPAL"]),
        "markup": Decimal(body["MARKUP"]),
        "outstanding": Decimal(body["OUTSTANDING"]),
        "currency": body["CCY"],
        "status": body["STATUS"],
        "status_source": body["STATUS"],
        "disbursed_on": _day(body["DISBURSED_ON"]),
        "due_on": _day(body["DUE_ON"]),
        "closed_on": _day(body["CLOSED_ON"]),
        "disbursal_transaction_id": body["DISBURSAL_TXN_ID"],
    }


def _installment(loan_id: str, body: Wire) -> Expected:
    return {
        "loan_id": loan_id,
        "number": int(body["INSTALLMENT_NO"]),
        "due_on": _day(body["DUE_ON"]),
        "amount": Decimal(body["AMOUNT"]),
        "paid_amount": Decimal(body["PAID_AMOUNT"]),
        "status": body["STATUS"],
        "status_source": body["STATUS"],
    }


def _repayment(body: Wire) -> Expected:
    return {
        "repayment_id": body["REPAYMENT_ID"],
        "amount": Decimal(body["AMOUNT"]),
        "paid_on": _day(body["PAID_ON"]),
        "transaction_id": body["TXN_ID"],
    }


def _points(body: Wire) -> Expected:
    return {
        "entry_id": int(body["id"]),
        "kind": _POINTS[body["type"]],
        "kind_source": body["type"],
        "points": int(body["points"]),
        "at": _instant(body["at"]),
        "at_source": body["at"],
        "description": body["description"],
        "source_ref": body["source_ref"],
        "voucher_id": body["voucher_id"],
    }


def _voucher(body: Wire) -> Expected:
    expires_on = body["expires_on"]
    return {
        "voucher_id": body["voucher_id"],
        "title": body["title"],
        "points": int(body["points"]),
        "status": body["status"],
        "status_source": body["status"],
        "issued_at": _instant(body["issued_at"]),
        "issued_at_source": body["issued_at"],
        "expires_on": None if expires_on is None else date.fromisoformat(expires_on),
        "redeemed_at": _instant(body["redeemed_at"]),
        "redeemed_at_source": body["redeemed_at"],
    }


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    day, month, year = text.split("-")
    return date(int(year), int(month), int(day))
