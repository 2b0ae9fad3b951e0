"""What the contract allows is taken, and what it forbids is not: the shapes and the contract, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.avro.state import decode_entity, encode_entity
from connector.domains.model import Entry, Unreadable
from connector.errors import DataError
from connector.limits import (
    MAXIMUM_BOOKING_LINES,
    MAXIMUM_CODE_CHARACTERS,
    MAXIMUM_CURSOR_CHARACTERS,
    MAXIMUM_IDENTIFIER_CHARACTERS,
    MAXIMUM_TEXT_CHARACTERS,
)
from connector.sources.zindigi import account, bills, bookings, brokerage, cards, grant, keyset, wire
from connector.sources.zindigi.wire import Wire
from connector.state import EntityState
from tests.support.scripted_bank import resource
from tests.support.wire_samples import BOOKING, ENVELOPES, POINTS, TRANSACTION, feed, one, read

SCHEMAS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "schemas" / "openapi" / "zindigi.yaml").read_text(encoding="utf-8")
)["components"]["schemas"]
SHAPES: dict[str, type[Wire]] = {
    "Tokens": grant.Grant,
    "Profile": wire.MeWire,
    "Profile.holder": account.PersonWire,
    "BankAccount": account.AccountWire,
    "TransactionPage": keyset.FeedEnvelope,
    "BillPage": keyset.FeedEnvelope,
    "BookingPage": keyset.FeedEnvelope,
    "AuthorizationPage": keyset.FeedEnvelope,
    "Transaction": wire.TransactionWire,
    "Counterparty": wire.CounterpartyWire,
    "EquityPosition": brokerage.EquityWire,
    "FundPosition": brokerage.FundWire,
    "OrderPage": brokerage.OrdersEnvelope,
    "Order": brokerage.OrderWire,
    "Order.instrument": brokerage.InstrumentWire,
    "NavList": brokerage.NavEnvelope,
    "Nav": brokerage.NavWire,
    "Card": cards.CardWire,
    "CardLimits": cards.LimitsWire,
    "Authorization": cards.AuthorizationWire,
    "Merchant": cards.MerchantWire,
    "Bill": bills.BillWire,
    "Bill.biller": bills.BillerWire,
    "Booking": bookings.BookingWire,
    "BookingLine": bookings.LineWire,
    "BookingVoucher": bookings.VoucherWire,
    "Loan": wire.LoanWire,
    "Installment": wire.InstallmentWire,
    "Repayment": wire.RepaymentWire,
    "Voucher": wire.VoucherWire,
    "PointsEntry": wire.PointsWire,
}


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = SCHEMAS[node["$ref"].rsplit("/", 1)[1]]
    return node


def _stated(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The texts that a field may be, by its schema."""
    if "$defs" in node.get("$ref", ""):
        return
    node = _resolved(node)
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in node.get(key, ()):
            yield from _stated(inner)
    kinds = node.get("type", ())
    if "string" in ([kinds] if isinstance(kinds, str) else kinds):
        yield node


def _schema(place: str) -> dict[str, Any]:
    name, *path = place.split(".")
    node = SCHEMAS[name]
    for part in path:
        node = _resolved(node["properties"][part])
    return node


FIELDS = [
    (place, field, model.model_json_schema(by_alias=True)["properties"][field])
    for place, model in SHAPES.items()
    for field in model.model_json_schema(by_alias=True)["properties"]
]


@pytest.mark.parametrize(("place", "field", "taken"), FIELDS, ids=[f"{place}.{field}" for place, field, _ in FIELDS])
def test_a_text_is_taken_as_long_as_the_contract_allows_and_no_longer(
    place: str, field: str, taken: dict[str, Any]
) -> None:
    stated = list(_stated(_schema(place)["properties"][field]))
    texts = list(_stated(taken))
    if any(text.keys() & {"pattern", "format"} and "maxLength" not in text for text in (*stated, *texts)):
        # Held to a form, not to a length.
        return
    assert all("maxLength" in text for text in stated), "the contract states no length"
    if not texts or not stated:
        return
    assert [text.get("maxLength") for text in texts] == [text["maxLength"] for text in stated]
    # An enumeration has no empty text in it.
    least = [1 if "enum" in text else text.get("minLength", 0) for text in stated]
    assert [text.get("minLength", 0) for text in texts] == least


def test_every_text_of_the_contract_has_a_bound() -> None:
    def unbounded(node: Any, at: str) -> Iterator[str]:
        if isinstance(node, dict):
            kinds = node.get("type", ())
            text = (
                "string" in ([kinds] if isinstance(kinds, str) else kinds) if isinstance(kinds, str | list) else False
            )
            if text and not node.keys() & {"maxLength", "pattern", "format", "enum", "const"}:
                yield at
            for name, inner in node.items():
                yield from unbounded(inner, f"{at}.{name}")
        elif isinstance(node, list):
            for inner in node:
                yield from unbounded(inner, at)

    assert list(unbounded({name: node for name, node in SCHEMAS.items() if name != "UpgradeRequired"}, "")) == []


# ── Reached ─────────────────────────────────────────────────────────────────────────────────────────────────────────

LONGEST: dict[str, dict[str, int]] = {
    "transactions": {
        "id": MAXIMUM_IDENTIFIER_CHARACTERS,
        "replaces": MAXIMUM_IDENTIFIER_CHARACTERS,
        "rail": MAXIMUM_CODE_CHARACTERS,
        "status": MAXIMUM_CODE_CHARACTERS,
        "biller": MAXIMUM_TEXT_CHARACTERS,
        "receipt_ref": MAXIMUM_TEXT_CHARACTERS,
    },
    "bills": {"id": MAXIMUM_IDENTIFIER_CHARACTERS, "consumer_number": MAXIMUM_IDENTIFIER_CHARACTERS},
    "bookings": {"vendor": MAXIMUM_TEXT_CHARACTERS, "policy_ref": MAXIMUM_IDENTIFIER_CHARACTERS},
    "cards": {"product": MAXIMUM_TEXT_CHARACTERS, "scheme": MAXIMUM_CODE_CHARACTERS},
    "authorizations": {"id": MAXIMUM_IDENTIFIER_CHARACTERS, "channel": MAXIMUM_CODE_CHARACTERS},
    "loan": {"LOAN_ID": MAXIMUM_IDENTIFIER_CHARACTERS, "PRODUCT": MAXIMUM_TEXT_CHARACTERS},
    "points": {"type": MAXIMUM_CODE_CHARACTERS, "description": MAXIMUM_TEXT_CHARACTERS},
    "vouchers": {"voucher_id": MAXIMUM_IDENTIFIER_CHARACTERS, "title": MAXIMUM_TEXT_CHARACTERS},
    "holdings": {"fundId": MAXIMUM_IDENTIFIER_CHARACTERS, "name": MAXIMUM_TEXT_CHARACTERS},
    "orders": {"orderId": MAXIMUM_IDENTIFIER_CHARACTERS, "bookingReference": MAXIMUM_IDENTIFIER_CHARACTERS},
}


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_texts_come_through_to_the_state_and_one_more_is_refused(name: str) -> None:
    item = ENVELOPES[name][1]
    # Characters, not bytes: four bytes each.
    longest = {field: "\U0001f600" * length for field, length in LONGEST[name].items()}
    entry = one(name, {**item, **longest})
    assert isinstance(entry, Entry)
    entity = EntityState(entry.record.entity_id, 1, entry.record.booking_key, entry.record)
    domain = resource(name).domain
    assert decode_entity(domain, encode_entity(domain, entity)).record == entry.record
    for field, text in longest.items():
        refused = one(name, {**item, field: f"{text}x"})
        assert isinstance(refused, Unreadable)
        assert f"{field}: too long" in refused.reason


REFERENCES = [
    ("transactions", "replaces", "replaces"),
    ("bills", "payment_transaction_id", "payment_transaction_id"),
    ("bookings", "payment_transaction_id", "payment_transaction_id"),
    ("bookings", "refund_transaction_id", "refund_transaction_id"),
    ("bookings", "policy_ref", "policy_ref"),
    ("authorizations", "cleared_transaction_id", "cleared_transaction_id"),
    ("loan", "DISBURSAL_TXN_ID", "disbursal_transaction_id"),
    ("points", "voucher_id", "voucher_id"),
    ("orders", "settlementTransactionId", "settlement_transaction_id"),
    ("orders", "bookingReference", "booking_reference"),
]


@pytest.mark.parametrize(("name", "field", "attribute"), REFERENCES)
def test_an_empty_reference_names_nothing(name: str, field: str, attribute: str) -> None:
    entry = one(name, {**deepcopy(ENVELOPES[name][1]), field: ""})
    assert isinstance(entry, Entry)
    assert getattr(entry.record, attribute) is None


def test_a_cursor_is_as_long_as_the_contract_allows() -> None:
    longest = "c" * MAXIMUM_CURSOR_CHARACTERS
    assert read("transactions", {**feed(TRANSACTION), "next_cursor": longest}).next_cursor == longest
    for cursor in (f"{longest}c", ""):
        with pytest.raises(DataError, match="next_cursor"):
            read("transactions", {**feed(TRANSACTION), "next_cursor": cursor})


def test_an_order_has_no_more_lines_than_its_bound() -> None:
    (line, _) = BOOKING["lines"]
    assert isinstance(one("bookings", {**BOOKING, "lines": [line] * MAXIMUM_BOOKING_LINES}), Entry)
    entry = one("bookings", {**BOOKING, "lines": [line] * (MAXIMUM_BOOKING_LINES + 1)})
    assert isinstance(entry, Unreadable)
    assert entry.reason == "lines: too many"


def test_the_ledger_goes_on_after_its_last_entry_and_no_freak_id_skips_any() -> None:
    freak = {**POINTS, "id": 2**53 - 1}
    page = read("points", {"entries": [POINTS, freak, {**POINTS, "id": 9}], "has_more": True})
    assert page.next_cursor == "9"
