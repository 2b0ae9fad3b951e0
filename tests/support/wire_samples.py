"""One sample of every shape that the bank sends, and ways to wrap, encode and read it. Everybody in it is invented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from connector.domains.model import Entry, Unreadable
from connector.ports import Page
from tests.support.scripted_bank import FUND, IBAN, Bench, resource

TRANSACTION: dict[str, Any] = {
    "id": "TXN-1",
    "rail": "RAAST_P2P",
    "amount": "@-2500.00",
    "ccy": "PKR",
    "counterparty": {"alias": "+923000000002", "iban": None, "cnic": None, "name": "Planted Person"},
    "biller": None,
    "initiated_at": "2026-03-01T09:30:00.250+05:00",
    "posted_at": "2026-03-01T09:30:02+05:00",
    "balance_after": "@12345.60",
    "status": "posted",
    "replaces": None,
    "receipt_ref": "R-1",
}
BILL: dict[str, Any] = {
    "id": "BILL-1",
    "biller": {"code": "INGAS", "name": "Indus Gas", "category": "GAS"},
    "consumer_number": "020000000001",
    "bill_month": "2026-02",
    "amount": "@1840.50",
    "amount_after_due": "@1990.50",
    "ccy": "PKR",
    "presented_at": "2026-03-01T09:30:00+05:00",
    "due_on": "2026-03-11",
    "status": "paid",
    "paid_at": "2026-03-05T18:00:00.500+05:00",
    "paid_amount": "@1840.50",
    "payment_transaction_id": "TXN-4",
}
BOOKING: dict[str, Any] = {
    "id": "BOOK-1",
    "category": "E_VOUCHER",
    "vendor": "Planted Cafe",
    "title": "Gift voucher",
    "placed_at": "2026-03-01T09:30:00+05:00",
    "status": "confirmed",
    "starts_at": "2026-03-02T00:00:00+05:00",
    "ends_at": "2026-04-01T00:00:00+05:00",
    "lines": [
        {"no": 1, "description": "Voucher", "quantity": 2, "unit_amount": "@500.00", "amount": "@1000.00"},
        {"no": 2, "description": "Card", "quantity": 1, "unit_amount": "@50", "amount": "@50.00"},
    ],
    "total": "@1050.00",
    "ccy": "PKR",
    "payment_transaction_id": "TXN-5",
    "refund_transaction_id": None,
    "voucher": {"id": "W-1", "code": "BEARER-CODE-7Q4X", "valid_until": "2026-06-01"},
    "policy_ref": None,
}
CARD: dict[str, Any] = {
    "id": "C-1",
    "product": "Zindigi Debit",
    "scheme": "PAYPAK",
    "kind": "DEBIT",
    "last4": "0417",
    "status": "BLOCKED",
    "block_reason": "HOLDER_REQUEST",
    "iban": IBAN,
    "issued_at": "2026-01-16T10:12:00+05:00",
    "expires": "2031-01",
    "limits": {"atm_daily": "@50000.00", "pos_daily": "@100000.00", "online_daily": None, "ccy": "PKR"},
    "international": False,
    "updated_at": "2026-03-01T08:40:11.5+05:00",
}
AUTHORIZATION: dict[str, Any] = {
    "id": "AU-1",
    "amount": "@-5022.00",
    "ccy": "PKR",
    "original_amount": "@-18.00",
    "original_ccy": "USD",
    "merchant": {"name": "Planted Merchant", "mcc": "7372", "city": "Dublin", "country": "IE"},
    "channel": "ONLINE",
    "state": "cleared",
    "decline_reason": None,
    "authorized_at": "2026-02-26T13:09:43+05:00",
    "updated_at": "2026-02-27T09:11:02+05:00",
    "cleared_transaction_id": "TXN-1",
}
LOAN: dict[str, Any] = {
    "LOAN_ID": "L-1",
    "PRODUCT": "ADVANCE_CASH",
    "PRINCIPAL": "25000.00",
    "MARKUP": "1250.00",
    "OUTSTANDING": "26250.00",
    "CCY": "PKR",
    "STATUS": "ACTIVE",
    "DISBURSED_ON": "01-03-2026",
    "DUE_ON": "29-03-2026",
    "CLOSED_ON": None,
    "DISBURSAL_TXN_ID": "TXN-9",
    "SCHEDULE": [
        {"INSTALLMENT_NO": 1, "DUE_ON": "08-03-2026", "AMOUNT": "6562.50", "PAID_AMOUNT": "0.00", "STATUS": "DUE"}
    ],
    "REPAYMENTS": [{"REPAYMENT_ID": "RP-1", "AMOUNT": "100.00", "PAID_ON": "05-03-2026", "TXN_ID": None}],
}
POINTS: dict[str, Any] = {
    "id": 7,
    "type": "EARN",
    "points": 120,
    "description": "Bill paid",
    "at": "2026-03-01T04:30:00Z",
    "source_ref": None,
    "voucher_id": None,
}
VOUCHER: dict[str, Any] = {
    "voucher_id": "V-1",
    "title": "Coffee",
    "points": 100,
    "status": "ISSUED",
    "issued_at": "2026-03-01T04:30:00Z",
    "expires_on": "2026-06-01",
    "redeemed_at": None,
}
SHARES: dict[str, Any] = {
    "symbol": "INDPOL",
    "name": "Invented Polymers Ltd",
    "quantity": "100",
    "averageCost": "83.1200",
    "marketPrice": "84.50",
    "marketValue": "8450.00",
    "costValue": "8312.00",
    "currency": "PKR",
}
UNITS: dict[str, Any] = {
    "fundId": FUND,
    "name": "Invented Income Fund",
    "fundClass": "INCOME",
    "units": "123.4567",
    "averageNav": "52.1100",
    "nav": "52.53100001",
    "navDate": "2026-02-27",
    "marketValue": "6485.31",
    "costValue": "6433.33",
    "currency": "PKR",
}
ORDER: dict[str, Any] = {
    "orderId": "O-5",
    "side": "BUY",
    "instrument": {"type": "EQUITY", "symbol": "INDPOL", "fundId": None, "name": "Invented Polymers Ltd"},
    "quantity": "100",
    "amount": None,
    "limitPrice": "86.00",
    "filledQuantity": "40",
    "averagePrice": "84.5000",
    "currency": "PKR",
    "status": "PARTIALLY_FILLED",
    "placedAt": 1772181000123,
    "updatedAt": 1772188200000,
    "settlementTransactionId": None,
    "bookingReference": None,
}
NAV: dict[str, Any] = {"date": "2026-02-27", "nav": "52.53100001", "publishedAt": 1772199900000}
AS_OF = 1772199900000
ME: dict[str, Any] = {
    "holder": {"name": "Planted", "cnic": "12345-1234567-1", "msisdn": "+923000000001", "email": None},
    "tier": "L1",
    "segment": "adult",
    "minor": False,
    "accounts": [{"iban": IBAN, "title": "Planted", "status": "ACTIVE"}],
}

BANK_ACCOUNT: dict[str, Any] = {
    "iban": IBAN,
    "title": "Planted",
    "balance": "@-12.50",
    "available": "@1000.00",
    "ccy": "PKR",
    "status": "ACTIVE",
    "tier": "L1",
}


def encode(value: Any) -> bytes:
    """JSON in which a text that begins with @ stands for a bare number."""
    return re.sub(r'"@([^"]*)"', r"\1", json.dumps(value)).encode()


def feed(*items: Any) -> Any:
    return {"items": list(items), "next_cursor": None}


def card_list(*cards: Any) -> Any:
    return {"cards": list(cards)}


def inquiry(*loans: Any) -> Any:
    return {"RESPONSE_CODE": "00", "RESPONSE_DESC": "OK", "DATA": {"LOANS": list(loans)}}


def ledger(*entries: Any) -> Any:
    return {"entries": list(entries), "has_more": False}


def summary(*vouchers: Any) -> Any:
    return {"member_id": "planted", "balance": 1, "vouchers": list(vouchers)}


def portfolio(*positions: Any) -> Any:
    funds = [item for item in positions if not isinstance(item, dict) or {"fundId", "units"} & item.keys()]
    equities = [item for item in positions if item not in funds]
    return {"portfolioId": "planted", "asOf": AS_OF, "equities": equities, "funds": funds}


def orders(*content: Any) -> Any:
    counted = {"page": 0, "size": 100, "totalPages": 1 if content else 0, "totalElements": len(content)}
    return {"content": list(content), **counted}


def navs(*days: Any) -> Any:
    return {"fundId": FUND, "navs": list(days)}


ENVELOPES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "transactions": (feed, TRANSACTION),
    "bills": (feed, BILL),
    "bookings": (feed, BOOKING),
    "cards": (card_list, CARD),
    "authorizations": (feed, AUTHORIZATION),
    "loan": (inquiry, LOAN),
    "points": (ledger, POINTS),
    "vouchers": (summary, VOUCHER),
    "holdings": (portfolio, UNITS),
    "orders": (orders, ORDER),
    "nav": (navs, NAV),
}


def read(name: str, value: Any) -> Page:
    return Bench().source.normalise(resource(name), value if isinstance(value, bytes) else encode(value))


def one(name: str, item: Any) -> Entry | Unreadable:
    return read(name, ENVELOPES[name][0](item)).entries[0]
