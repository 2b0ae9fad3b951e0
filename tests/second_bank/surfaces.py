"""The shapes of the contract: how each surface prints its entries, and how an event tells them.

`FIRST` and `LAST` are an entry's status while the bank may still change it by itself, and once it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tests.second_bank.books import KARACHI, Books, Entry
from tests.second_bank.manner import Manner, Raw

LEDGERS = ("transactions", "authorizations", "bills", "bookings", "orders", "points")
SNAPSHOTS = ("vouchers", "holdings", "loans", "nav")
DOMAIN = {
    "transactions": "transactions",
    "authorizations": "cards",
    "cards": "cards",
    "bills": "bills",
    "bookings": "bookings",
    "orders": "investments",
    "holdings": "investments",
    "nav": "investments",
    "points": "loyalty",
    "vouchers": "loyalty",
    "loans": "lending",
    "balance": "account",
    "bank_account": "account",
    "holder": "account",
}
RESOURCE = {surface: surface for surface in DOMAIN} | {"loans": "loan", "balance": "bank_account"}
"""The name of the resource kind that a surface is read as; `surface_of` is the way back."""
FIRST = {
    "transactions": "pending",
    "authorizations": "authorized",
    "bills": "presented",
    "bookings": "placed",
    "orders": "PLACED",
    "points": "EARN",
    "vouchers": "ISSUED",
    "cards": "ACTIVE",
    "holdings": "EQUITY",
    "nav": "NAV",
    "loans": "ACTIVE",
}
LAST = FIRST | {
    "transactions": "posted",
    "authorizations": "cleared",
    "bills": "paid",
    "bookings": "completed",
    "orders": "FILLED",
    "vouchers": "REDEEMED",
    "loans": "CLOSED",
}

Wire = Mapping[str, Any]


def entry(surface: str, number: int, at: datetime, *, settled: bool = True, id_length: int = 0) -> Entry:
    """A new entry, of an amount by its number; ids of one surface sort in no order of time."""
    at = at.astimezone(UTC).replace(microsecond=0)
    name = f"{surface[:2].upper()}{number * 7919 % 10_000_019:08d}"
    name += "x" * max(0, id_length - len(name))
    if surface == "points":
        name = str(100_000 + number)
    if surface == "nav":
        at = datetime.combine(at.astimezone(KARACHI).date(), time(), KARACHI).astimezone(UTC)
        name = at.astimezone(KARACHI).date().isoformat()
    if surface in {"loans", "holdings"}:
        at = datetime.combine(at.date(), time(), UTC)
    amount = Decimal(100 + number % 50_000).quantize(Decimal("1.00"))
    return Entry(name, at, amount, (LAST if settled else FIRST)[surface])


def _transaction(one: Entry, manner: Manner, after: Decimal | None) -> Wire:
    return {
        "id": one.id,
        "rail": "RAAST_P2P",
        "amount": _amount(one, manner),
        "ccy": "PKR",
        "counterparty": {"alias": None, "iban": None, "cnic": None, "name": "Kinara Cafe"},
        "biller": None,
        "initiated_at": manner.local(one.at),
        "posted_at": manner.local(one.at) if one.status == "posted" else None,
        "balance_after": None if after is None else manner.amount(after),
        "status": one.status,
        "replaces": one.replaces,
        "receipt_ref": None,
    }


def _authorization(one: Entry, manner: Manner) -> Wire:
    return {
        "id": one.id,
        "amount": _amount(one, manner),
        "ccy": "PKR",
        "original_amount": None,
        "original_ccy": None,
        "merchant": {"name": "Nimbus Hosting", "mcc": "7372", "city": "Dublin", "country": "IE"},
        "channel": "ONLINE",
        "state": one.status,
        "decline_reason": None,
        "authorized_at": manner.local(one.at),
        "updated_at": manner.local(one.at),
        "cleared_transaction_id": None,
    }


def _bill(one: Entry, manner: Manner) -> Wire:
    paid = one.status == "paid"
    return {
        "id": one.id,
        "biller": {"code": "MGFIB", "name": "Margalla Fibre", "category": "INTERNET"},
        "consumer_number": "040000000701",
        "bill_month": None,
        "amount": _amount(one, manner),
        "amount_after_due": None,
        "ccy": "PKR",
        "presented_at": manner.local(one.at),
        "due_on": (one.at + timedelta(days=10)).date().isoformat() if one.at.year < 9000 else "9999-12-31",
        "status": one.status,
        "paid_at": manner.local(one.at) if paid else None,
        "paid_amount": manner.amount(one.amount) if paid else None,
        "payment_transaction_id": None,
    }


def _booking(one: Entry, manner: Manner) -> Wire:
    total = _amount(one, manner)
    return {
        "id": one.id,
        "category": "CINEMA",
        "vendor": "Nishat Screens",
        "title": "The Long Monsoon",
        "placed_at": manner.local(one.at),
        "status": one.status,
        "starts_at": None,
        "ends_at": None,
        "lines": [{"no": 1, "description": "Seat F12", "quantity": 1, "unit_amount": total, "amount": total}],
        "total": total,
        "ccy": "PKR",
        "payment_transaction_id": None,
        "refund_transaction_id": None,
        "voucher": None,
        "policy_ref": None,
    }


def _order(one: Entry, _manner: Manner) -> Wire:
    return {
        "orderId": one.id,
        "side": "BUY",
        "instrument": {"type": "EQUITY", "symbol": "INDPOL", "fundId": None, "name": "Indus Polymers Ltd"},
        "quantity": "100000",
        "amount": None,
        "limitPrice": "86.00",
        "filledQuantity": _text(one),
        "averagePrice": None,
        "currency": "PKR",
        "status": one.status,
        "placedAt": millis(one.at),
        "updatedAt": millis(one.at),
        "settlementTransactionId": f"S{one.id[-12:]}" if one.status == LAST["orders"] else None,
        "bookingReference": None,
    }


def _points(one: Entry, manner: Manner) -> Wire:
    return {
        "id": int(one.id),
        "type": one.status,
        "points": "many" if one.garbled else int(one.amount),
        "description": None,
        "at": manner.utc(one.at),
        "source_ref": None,
        "voucher_id": None,
    }


def _voucher(one: Entry, manner: Manner) -> Wire:
    return {
        "voucher_id": one.id,
        "title": "Cinema seat",
        "points": "many" if one.garbled else int(one.amount),
        "status": one.status,
        "issued_at": manner.utc(one.at),
        "expires_on": None,
        "redeemed_at": manner.utc(one.at) if one.status == "REDEEMED" else None,
    }


def _card(one: Entry, manner: Manner, iban: str) -> Wire:
    limit = manner.amount(one.amount)
    return {
        "id": one.id,
        "product": "Zindigi Debit",
        "scheme": "PAYPAK",
        "kind": "DEBIT",
        "last4": "0701",
        "status": one.status,
        "block_reason": None,
        "iban": iban,
        "issued_at": manner.local(one.at),
        "expires": "2031-01",
        "limits": {"atm_daily": limit, "pos_daily": limit, "online_daily": None, "ccy": "PKR"},
        "international": False,
        "updated_at": manner.local(one.at),
    }


def _equity(one: Entry, _manner: Manner) -> Wire:
    return {
        "symbol": one.id,
        "name": "Indus Polymers Ltd",
        "quantity": _text(one),
        "averageCost": "83.1200",
        "marketPrice": "84.50",
        "marketValue": "8450.00",
        "costValue": "8312.00",
        "currency": "PKR",
    }


def _nav(one: Entry, _manner: Manner) -> Wire:
    return {"date": one.id, "nav": _text(one), "publishedAt": millis(one.at)}


def _loan(one: Entry, _manner: Manner) -> Wire:
    day = one.at.strftime("%d-%m-%Y")
    return {
        "LOAN_ID": one.id,
        "PRODUCT": "Advance Cash 28",
        "PRINCIPAL": "25000.00",
        "MARKUP": "1250.00",
        "OUTSTANDING": _text(one),
        "CCY": "PKR",
        "STATUS": one.status,
        "DISBURSED_ON": day,
        "DUE_ON": day,
        "CLOSED_ON": None,
        "DISBURSAL_TXN_ID": None,
        "SCHEDULE": [],
        "REPAYMENTS": [],
    }


_PRINTED: dict[str, Callable[[Entry, Manner], Wire]] = {
    "authorizations": _authorization,
    "bills": _bill,
    "bookings": _booking,
    "orders": _order,
    "points": _points,
    "vouchers": _voucher,
    "holdings": _equity,
    "nav": _nav,
    "loans": _loan,
}


def printed(surface: str, entries: list[Entry], books: Books, manner: Manner, part: str | None = None) -> list[Wire]:
    """Entries in the shape of their surface; one with a twin is shown twice."""
    shown = []
    after = books.balances(str(part)) if surface == "transactions" else {}
    for one in entries:
        forms = [one] if one.twin is None else [one, Entry(one.id, one.at, one.twin, one.status)]
        for form in forms:
            if surface == "transactions":
                shown.append(_transaction(form, manner, after.get(one.id)))
            elif surface == "cards":
                shown.append(_card(form, manner, books.ibans[0]))
            else:
                shown.append(_PRINTED[surface](form, manner))
    return shown


def millis(at: datetime) -> int:
    """Milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def _amount(one: Entry, manner: Manner) -> Raw | str:
    return "n/a" if one.garbled else manner.amount(one.amount)


def _text(one: Entry) -> str:
    return "n/a" if one.garbled else f"{one.amount:.2f}"


# ── How events tell them ────────────────────────────────────────────────────────────────────────────────────────────

Facts = tuple[Decimal, str, Any]
_TOLD: dict[str, tuple[str, str | None, Callable[[Wire], Facts]]] = {
    # kind of record: surface, the field with the bank's id (None: see `telling`), what is told of it
    "transaction": (
        "transactions",
        "transaction_id",
        lambda r: (r["amount"], r["status_source"], _second(r["initiated_at"])),
    ),
    "card_authorization": (
        "authorizations",
        "authorization_id",
        lambda r: (r["amount"], r["state_source"], _second(r["authorized_at"])),
    ),
    "bill": ("bills", "bill_id", lambda r: (r["amount"], r["status_source"], _second(r["presented_at"]))),
    "booking": ("bookings", "booking_id", lambda r: (r["total"], r["status_source"], _second(r["placed_at"]))),
    "order": ("orders", "order_id", lambda r: (r["filled_quantity"], r["status_source"], _second(r["placed_at"]))),
    "points_entry": ("points", "entry_id", lambda r: (Decimal(r["points"]), r["kind_source"], _second(r["at"]))),
    "voucher": (
        "vouchers",
        "voucher_id",
        lambda r: (Decimal(r["points"]), r["status_source"], _second(r["issued_at"])),
    ),
    "card": ("cards", "card_id", lambda r: (r["atm_daily_limit"], r["status_source"], _second(r["issued_at"]))),
    "holding": ("holdings", "instrument_id", lambda r: (r["quantity"], r["instrument_type"], None)),
    "nav": ("nav", "valued_on", lambda r: (r["nav"], "NAV", r["valued_on"])),
    "loan": ("loans", "loan_id", lambda r: (r["outstanding"], r["status_source"], r["disbursed_on"])),
    "balance": ("balance", "iban", lambda r: (r["balance"], r["currency"], None)),
    "bank_account": ("bank_account", "iban", lambda r: (Decimal(0), r["status_source"], None)),
    "holder": ("holder", None, lambda r: (Decimal(0), r["tier_source"], None)),
}


def telling(record: Mapping[str, Any]) -> tuple[str, str, Facts] | None:
    """(surface, the bank's id, facts) of a `before` or `after`; None where it is about nothing in the books."""
    kind = next((name for name, value in record.items() if value is not None), "")
    if kind not in _TOLD or (kind == "holding" and record[kind]["instrument_type"] == "FUND"):
        # The one fund of the portfolio is there for its values by day.
        return None
    surface, id_field, facts = _TOLD[kind]
    value = record[kind]
    return surface, "holder" if id_field is None else str(value[id_field]), facts(value)


def stated(surface: str, one: Entry) -> Facts:
    """The facts of an entry as `telling` gives them."""
    amount, status, at = one.facts
    if surface in {"points", "vouchers"}:
        amount = Decimal(int(amount))
    if surface in {"holdings", "balance", "bank_account", "holder"}:
        return amount, status, None
    if surface == "nav":
        return amount, status, date.fromisoformat(one.id)
    return amount, status, at.date() if surface == "loans" else at


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
