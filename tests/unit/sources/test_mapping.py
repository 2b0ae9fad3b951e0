"""Wire to canonical: exact on money and time, unknown codes kept and flagged."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domains.bills import Bill, Biller
from connector.domains.bookings import Booking, BookingLine, BookingVoucher
from connector.domains.lending import Installment, Loan, Repayment
from connector.domains.loyalty import PointsEntry, Voucher
from connector.domains.model import BankAccount, BookingKey, Entry, Holder, Profile, Unreadable, micros
from connector.domains.transactions import Counterparty, Transaction
from connector.errors import DataError
from connector.ports import Page
from connector.sources.zindigi.profile import read_profile
from tests.support.scripted_bank import IBAN
from tests.support.wire_samples import (
    BILL,
    BOOKING,
    ENVELOPES,
    LOAN,
    ME,
    POINTS,
    TRANSACTION,
    VOUCHER,
    encode,
    feed,
    inquiry,
    one,
    read,
)


def test_a_transaction_is_canonical() -> None:
    entry = one("transactions", TRANSACTION)
    assert isinstance(entry, Entry)
    assert entry.record == Transaction(
        iban=IBAN,
        transaction_id="TXN-1",
        replaces=None,
        rail="RAAST_P2P",
        rail_source="RAAST_P2P",
        bank_transaction_code="PMNT-IRCT-ESCT",
        amount=Decimal("-2500.00"),
        currency="PKR",
        status="POSTED",
        status_source="posted",
        initiated_at=datetime(2026, 3, 1, 4, 30, 0, 250_000, tzinfo=UTC),
        initiated_at_source="2026-03-01T09:30:00.250+05:00",
        posted_at=datetime(2026, 3, 1, 4, 30, 2, tzinfo=UTC),
        posted_at_source="2026-03-01T09:30:02+05:00",
        balance_after=Decimal("12345.60"),
        counterparty=Counterparty("+923000000002", None, None, "Planted Person"),
        biller=None,
        receipt_ref="R-1",
    )
    assert len(entry.raw_digest) == 16


@pytest.mark.parametrize(
    ("rail", "amount", "code"),
    [
        ("IBFT", "@-1.00", "PMNT-ICDT-ESCT"),
        ("IBFT", "@1.00", "PMNT-RCDT-ESCT"),
        ("RAAST_P2P", "@1.00", "PMNT-RRCT-ESCT"),
        ("CARD", "@1.00", "PMNT-CCRD-POSD"),
        ("TELEPORT", "@1.00", None),
    ],
)
def test_the_bank_transaction_code_knows_which_way_money_went(rail: str, amount: str, code: str | None) -> None:
    entry = one("transactions", {**TRANSACTION, "rail": rail, "amount": amount})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Transaction)
    assert entry.record.bank_transaction_code == code


def test_unknown_codes_are_kept_and_flagged() -> None:
    entry = one("transactions", {**TRANSACTION, "rail": "TELEPORT", "status": "held"})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Transaction)
    assert (entry.record.rail, entry.record.rail_source) == ("UNKNOWN", "TELEPORT")
    assert (entry.record.status, entry.record.status_source) == ("UNKNOWN", "held")
    for name, wire_field, field in (
        ("loan", "STATUS", "status"),
        ("points", "type", "kind"),
        ("vouchers", "status", "status"),
        ("cards", "kind", "kind"),
        ("cards", "status", "status"),
        ("authorizations", "channel", "channel"),
        ("authorizations", "state", "state"),
    ):
        entry = one(name, {**ENVELOPES[name][1], wire_field: "NEW_ONE"})
        assert isinstance(entry, Entry)
        record: Any = entry.record
        assert getattr(record, field) == "UNKNOWN"
        assert getattr(record, f"{field}_source") == "NEW_ONE"


def test_a_bill_is_canonical() -> None:
    entry = one("bills", BILL)
    assert isinstance(entry, Entry)
    assert entry.record == Bill(
        bill_id="BILL-1",
        biller=Biller("INGAS", "Indus Gas", "GAS", "GAS"),
        consumer_number="020000000001",
        bill_month="2026-02",
        amount=Decimal("1840.50"),
        amount_after_due=Decimal("1990.50"),
        currency="PKR",
        presented_at=datetime(2026, 3, 1, 4, 30, tzinfo=UTC),
        presented_at_source="2026-03-01T09:30:00+05:00",
        due_on=date(2026, 3, 11),
        status="PAID",
        status_source="paid",
        paid_at=datetime(2026, 3, 5, 13, 0, 0, 500_000, tzinfo=UTC),
        paid_at_source="2026-03-05T18:00:00.500+05:00",
        paid_amount=Decimal("1840.50"),
        payment_transaction_id="TXN-4",
    )


def test_codes_of_a_bill_that_are_new_to_us_are_kept_and_flagged() -> None:
    entry = one("bills", {**BILL, "status": "disputed", "biller": {**BILL["biller"], "category": "TOLLS"}})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Bill)
    assert (entry.record.status, entry.record.status_source) == ("UNKNOWN", "disputed")
    assert (entry.record.biller.category, entry.record.biller.category_source) == ("UNKNOWN", "TOLLS")


@pytest.mark.parametrize("month", ["2026-13", "2026-2", "02-2026", "2026-02-01", ""])
def test_a_month_of_another_form_is_unreadable(month: str) -> None:
    entry = one("bills", {**BILL, "bill_month": month})
    assert isinstance(entry, Unreadable)
    assert (entry.reason, entry.entity_id) == ("bill_month: of another form", "bill/BILL-1")
    assert entry.key == BookingKey(micros(datetime(2026, 3, 1, 4, 30, tzinfo=UTC)), "BILL-1")


def test_an_order_is_canonical() -> None:
    entry = one("bookings", BOOKING)
    assert isinstance(entry, Entry)
    assert entry.record == Booking(
        booking_id="BOOK-1",
        category="E_VOUCHER",
        category_source="E_VOUCHER",
        vendor="Planted Cafe",
        title="Gift voucher",
        placed_at=datetime(2026, 3, 1, 4, 30, tzinfo=UTC),
        placed_at_source="2026-03-01T09:30:00+05:00",
        status="CONFIRMED",
        status_source="confirmed",
        starts_at=datetime(2026, 3, 1, 19, 0, tzinfo=UTC),
        starts_at_source="2026-03-02T00:00:00+05:00",
        ends_at=datetime(2026, 3, 31, 19, 0, tzinfo=UTC),
        ends_at_source="2026-04-01T00:00:00+05:00",
        lines=(
            BookingLine(1, "Voucher", 2, Decimal("500.00"), Decimal("1000.00")),
            BookingLine(2, "Card", 1, Decimal("50.00"), Decimal("50.00")),
        ),
        total=Decimal("1050.00"),
        currency="PKR",
        payment_transaction_id="TXN-5",
        refund_transaction_id=None,
        voucher=BookingVoucher("W-1", "7Q4X", date(2026, 6, 1)),
        policy_ref=None,
    )
    assert str(entry.record.lines[1].unit_amount) == "50.00"


def test_codes_of_an_order_that_are_new_to_us_are_kept_and_flagged() -> None:
    entry = one("bookings", {**BOOKING, "status": "waitlisted", "category": "CONCERT"})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Booking)
    assert (entry.record.status, entry.record.status_source) == ("UNKNOWN", "waitlisted")
    assert (entry.record.category, entry.record.category_source) == ("UNKNOWN", "CONCERT")


def test_an_inquiry_is_loans_then_instalments_then_repayments() -> None:
    second = {**deepcopy(LOAN), "LOAN_ID": "L-2", "STATUS": "CLOSED", "CLOSED_ON": "10-03-2026"}
    second["REPAYMENTS"][0]["REPAYMENT_ID"] = "RP-2"
    records: list[Any] = [
        entry.record for entry in read("loan", inquiry(LOAN, second)).entries if isinstance(entry, Entry)
    ]
    kinds = [type(record) for record in records]
    assert kinds == [Loan, Loan, Installment, Installment, Repayment, Repayment]
    assert records[0] == Loan(
        loan_id="L-1",
        product="ADVANCE_CASH",
        principal=Decimal("25000.00"),
        markup=Decimal("1250.00"),
        outstanding=Decimal("26250.00"),
        currency="PKR",
        status="ACTIVE",
        status_source="ACTIVE",
        disbursed_on=date(2026, 3, 1),
        due_on=date(2026, 3, 29),
        closed_on=None,
        disbursal_transaction_id="TXN-9",
    )
    assert records[2].entity_id == "installment/L-1/1"
    assert records[2].due_on == date(2026, 3, 8)
    assert records[4].amount == Decimal("100.00")
    assert records[5].loan_id == "L-2"


def test_no_facility_is_an_empty_read() -> None:
    page = read("loan", {"RESPONSE_CODE": "01", "RESPONSE_DESC": "no facility", "DATA": None})
    assert page == Page(entries=(), next_cursor=None, unknown_fields={})


def test_a_loan_digest_stays_when_only_its_schedule_moved() -> None:
    moved = deepcopy(LOAN)
    moved["SCHEDULE"][0]["STATUS"] = "PAID"
    before, after = read("loan", inquiry(LOAN)), read("loan", inquiry(moved))
    assert [x.raw_digest == y.raw_digest for x, y in zip(before.entries, after.entries, strict=True)] == [
        True,
        False,
        True,
    ]


def test_points_and_vouchers_are_canonical() -> None:
    entry, voucher = one("points", POINTS), one("vouchers", VOUCHER)
    assert isinstance(entry, Entry)
    assert isinstance(voucher, Entry)
    at = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    assert entry.record == PointsEntry(7, "EARNED", "EARN", 120, at, "2026-03-01T04:30:00Z", "Bill paid", None, None)
    assert voucher.record == Voucher(
        "V-1", "Coffee", 100, "ISSUED", "ISSUED", at, "2026-03-01T04:30:00Z", date(2026, 6, 1), None, None
    )


def test_the_ledger_goes_on_after_its_highest_id() -> None:
    page = read("points", {"entries": [POINTS, {**POINTS, "id": 9}], "has_more": True})
    assert page.next_cursor == "9"
    assert read("points", {"entries": [], "has_more": False}).next_cursor is None
    for entries in ([], [{**POINTS, "id": "9"}]):
        with pytest.raises(DataError, match="has_more"):
            read("points", {"entries": entries, "has_more": True})


def test_the_profile_is_read() -> None:
    assert read_profile(encode(ME)) == Profile(
        "L1",
        minor=False,
        bank_accounts=(BankAccount(IBAN, "ACTIVE"),),
        holder=Holder("12345-1234567-1", "+923000000001"),
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"minor": 0}, "minor: not a boolean"),
        ({"minor": None}, "minor: not a boolean"),
        ({"tier": None}, "tier: not a string"),
        ({"accounts": None}, "accounts: not a list"),
    ],
)
def test_a_profile_is_never_guessed(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError) as caught:
        read_profile(encode({**ME, **change}))
    assert str(caught.value) == fault


# ── Money ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stated", "exact"),
    [
        ("-2500.00", "-2500.00"),
        ("0.10", "0.10"),
        ("0.1", "0.10"),
        ("-2500.0", "-2500.00"),
        ("-2500", "-2500.00"),
        ("1e3", "1000.00"),
        ("1.5E+2", "150.00"),
        ("15e-1", "1.50"),
        ("-2500.500", "-2500.50"),
        ("-2500.50000000000000000000000000000000000000000000000000", "-2500.50"),
        ("1.100", "1.10"),
        ("0e999999999", "0.00"),
        ("0e-999999999", "0.00"),
        ("0", "0.00"),
        ("-0.00", "0.00"),
        ("0e5", "0.00"),
        ("9999999999999.99", "9999999999999.99"),
        ("9999999999999", "9999999999999.00"),
    ],
)
def test_amounts_are_exact_and_have_two_decimals(stated: str, exact: str) -> None:
    entry = one("transactions", {**TRANSACTION, "amount": f"@{stated}"})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Transaction)
    assert str(entry.record.amount) == exact


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ('"-2500.00"', "not a JSON number"),
        ("null", "not a JSON number"),
        ("true", "not a JSON number"),
        ("[1]", "not a JSON number"),
        ("0.105", "more than 2 decimals"),
        ("1.101", "more than 2 decimals"),
        ("1e-999999999", "more than 2 decimals"),
        ("1e400", "more than 15 significant digits"),
        ("1e999999999", "more than 15 significant digits"),
        ("1e99999999999999999999", "not a JSON number"),
        ("NaN", "not a JSON number"),
        ("-Infinity", "not a JSON number"),
        ("9" * 310, "not a JSON number"),
        ("9" * 50, "more than 15 significant digits"),
        ("1e-3", "more than 2 decimals"),
        ("12345678901234.56", "more than 15 significant digits"),
        ("10000000000000", "more than 15 significant digits"),
        ("1e13", "more than 15 significant digits"),
        ("1e9999", "more than 15 significant digits"),
    ],
)
def test_amounts_that_cannot_be_exact_are_unreadable(stated: str, fault: str) -> None:
    body = encode(feed({**TRANSACTION, "amount": "@@"})).replace(b"@", stated.encode())
    assert read("transactions", body).entries == (
        Unreadable(
            raw_digest=read("transactions", body).entries[0].raw_digest,
            reason=f"amount: {fault}",
            entity_id="TXN-1",
            key=BookingKey(micros(datetime(2026, 3, 1, 4, 30, 0, 250_000, tzinfo=UTC)), "TXN-1"),
        ),
    )


@given(st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_every_amount_of_15_digits_comes_through(paisas: int) -> None:
    amount = Decimal(paisas).scaleb(-2)
    entry = one("transactions", {**TRANSACTION, "amount": f"@{amount:.2f}"})
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Transaction)
    assert entry.record.amount == amount
    assert entry.record.amount.as_tuple().exponent == -2


@pytest.mark.parametrize("stated", ["25,000.00", "1e3", " 1.00", "", "PKR 1.00", "\u0661.00", "NaN", "1." + "0" * 63])
def test_amount_texts_have_one_form(stated: str) -> None:
    entry = one("loan", {**LOAN, "PRINCIPAL": stated})
    assert isinstance(entry, Unreadable)
    assert entry.reason == "PRINCIPAL: not a decimal number"


@pytest.mark.parametrize(
    ("stated", "fault"),
    [("25000.001", "more than 2 decimals"), ("10000000000000.00", "more than 15 significant digits")],
)
def test_amount_texts_that_cannot_be_exact_are_unreadable(stated: str, fault: str) -> None:
    for name, field in (("loan", "PRINCIPAL"), ("holdings", "marketValue"), ("orders", "amount")):
        entry = one(name, {**ENVELOPES[name][1], field: stated})
        assert isinstance(entry, Unreadable)
        assert entry.reason == f"{field}: {fault}"


@pytest.mark.parametrize(
    ("name", "field", "attribute", "stated", "exact"),
    [
        ("loan", "PRINCIPAL", "principal", "25000.5000", "25000.50"),
        ("loan", "PRINCIPAL", "principal", "25000", "25000.00"),
        ("holdings", "marketValue", "market_value", "6485.310", "6485.31"),
        ("holdings", "units", "quantity", "123.456700000000", "123.45670000"),
        ("holdings", "units", "quantity", "0000123.4567", "123.45670000"),
        ("orders", "limitPrice", "limit_price", "86.0000000000", "86.00000000"),
        ("nav", "nav", "nav", "52.531000010", "52.53100001"),
        ("authorizations", "amount", "amount", "@-5022.000", "-5022.00"),
        ("authorizations", "original_amount", "original_amount", "@-18.12500", "-18.125"),
        ("bills", "amount_after_due", "amount_after_due", "@1990.5000", "1990.50"),
        ("bookings", "total", "total", "@1050.000", "1050.00"),
        ("points", "points", "points", "@5.0", "5"),
        ("points", "points", "points", "@-1.2e3", "-1200"),
        ("points", "id", "entry_id", "@7.00", "7"),
        ("vouchers", "points", "points", "@100.0", "100"),
        ("orders", "placedAt", "placed_at_source", "@1772181000123.0", "1772181000123"),
    ],
)
def test_the_value_decides_and_not_its_literal(name: str, field: str, attribute: str, stated: str, exact: str) -> None:
    entry = one(name, {**ENVELOPES[name][1], field: stated})
    assert isinstance(entry, Entry)
    assert str(getattr(entry.record, attribute)) == exact


@pytest.mark.parametrize("stated", ["@5.5", "@5e-1", "@1e999999999", "@1e-999999999", "@1e30", "@true", "5"])
def test_points_are_whole_numbers(stated: str) -> None:
    entry = one("points", {**POINTS, "points": stated})
    assert isinstance(entry, Unreadable)
    assert entry.reason in {"points: not a whole number", "points: out of range"}


@pytest.mark.parametrize("stated", ["-1", "1.000000001", "1" * 17])
def test_units_that_cannot_be_exact_are_unreadable(stated: str) -> None:
    entry = one("holdings", {**ENVELOPES["holdings"][1], "units": stated})
    assert isinstance(entry, Unreadable)
    assert entry.reason.startswith("units: ")


# ── Times and dates ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "stated",
    [
        "2026-03-01T09:30:00",
        "2026-03-01",
        "2026-03-01 09:30:00+05:00",
        "20260301T093000+0500",
        "2026-03-01T09:30+05:00",
        "2026-02-30T09:30:00+05:00",
        "2026-03-01T09:30:60+05:00",
        "0001-01-01T00:00:00+05:00",
        "",
        "planted",
    ],
)
def test_a_time_without_a_clear_instant_is_unreadable(stated: str) -> None:
    entry = one("transactions", {**TRANSACTION, "initiated_at": stated})
    assert isinstance(entry, Unreadable)
    assert entry.reason.startswith("initiated_at: ")
    assert (entry.entity_id, entry.key) == ("TXN-1", None)
    assert "planted" not in entry.reason


@pytest.mark.parametrize("stated", ["2026-03-01", "31-02-2026", "1-3-2026", "01/03/2026", "", "00-00-0000"])
def test_lending_dates_have_one_form(stated: str) -> None:
    entry = one("loan", {**LOAN, "DISBURSED_ON": stated})
    assert isinstance(entry, Unreadable)
    assert entry.reason.startswith("DISBURSED_ON: ")
    assert (entry.entity_id, entry.key) == ("loan/L-1", None)
