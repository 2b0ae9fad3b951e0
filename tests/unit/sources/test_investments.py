"""The brokerage's answers as records: numbers that are text, times that are milliseconds, pages that are numbered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.avro import decode_entity, encode_entity
from connector.domains.investments import Holding, Nav, Order
from connector.domains.model import BookingKey, Entry, Unreadable, micros, midnight_micros
from connector.errors import DataError
from connector.state import EntityState
from tests.support.scripted_bank import FUND
from tests.support.wire_samples import AS_OF, NAV, ORDER, SHARES, UNITS, navs, one, orders, portfolio, read


def record(name: str, item: Any) -> Any:
    entry = one(name, item)
    assert isinstance(entry, Entry), entry
    return entry.record


def test_a_portfolio_is_shares_then_funds() -> None:
    page = read("holdings", portfolio(SHARES, UNITS))
    records = [entry.record for entry in page.entries if isinstance(entry, Entry)]
    as_of = datetime(2026, 2, 27, 13, 45, tzinfo=UTC)
    assert records == [
        Holding(
            instrument_type="EQUITY",
            instrument_id="INDPOL",
            name="Invented Polymers Ltd",
            asset_class="EQUITY",
            asset_class_source=None,
            quantity=Decimal(100),
            average_cost=Decimal("83.12"),
            price=Decimal("84.5"),
            priced_on=None,
            market_value=Decimal("8450.00"),
            cost_value=Decimal("8312.00"),
            currency="PKR",
            as_of=as_of,
        ),
        Holding(
            instrument_type="FUND",
            instrument_id=FUND,
            name="Invented Income Fund",
            asset_class="INCOME_FUND",
            asset_class_source="INCOME",
            quantity=Decimal("123.4567"),
            average_cost=Decimal("52.11"),
            price=Decimal("52.53100001"),
            priced_on=date(2026, 2, 27),
            market_value=Decimal("6485.31"),
            cost_value=Decimal("6433.33"),
            currency="PKR",
            as_of=as_of,
        ),
    ]
    assert [one.effective for one in records] == [as_of, as_of]
    assert page.next_cursor is None
    assert page.unknown_fields == {}


def test_a_portfolio_stated_anew_shows_the_same_holdings() -> None:
    stated = [read("holdings", {**portfolio(SHARES, UNITS), "asOf": as_of}).entries for as_of in (AS_OF, AS_OF + 1)]
    assert stated[0] == stated[1]
    [first, second] = [[entry.record.as_of for entry in entries] for entries in stated]  # type: ignore[union-attr]
    assert first != second


def test_an_order_is_canonical() -> None:
    placed_at = datetime(2026, 2, 27, 8, 30, 0, 123_000, tzinfo=UTC)
    assert record("orders", ORDER) == Order(
        order_id="O-5",
        side="BUY",
        side_source="BUY",
        instrument_type="EQUITY",
        instrument_type_source="EQUITY",
        instrument_id="INDPOL",
        instrument_name="Invented Polymers Ltd",
        quantity=Decimal(100),
        amount=None,
        limit_price=Decimal(86),
        filled_quantity=Decimal(40),
        average_price=Decimal("84.5"),
        currency="PKR",
        status="PARTIALLY_FILLED",
        status_source="PARTIALLY_FILLED",
        placed_at=placed_at,
        placed_at_source="1772181000123",
        updated_at=datetime(2026, 2, 27, 10, 30, tzinfo=UTC),
        updated_at_source="1772188200000",
        settlement_transaction_id=None,
        booking_reference=None,
    )
    assert record("orders", ORDER).booking_key == BookingKey(micros(placed_at), "O-5")


def test_a_funds_value_is_canonical() -> None:
    nav = record("nav", NAV)
    at = datetime(2026, 2, 27, 13, 45, tzinfo=UTC)
    assert nav == Nav(FUND, date(2026, 2, 27), Decimal("52.53100001"), at, "1772199900000")
    assert nav.booking_key == BookingKey(midnight_micros(date(2026, 2, 27)), "")
    assert nav.effective == date(2026, 2, 27)


def test_values_of_another_fund_are_not_taken_for_ours() -> None:
    with pytest.raises(DataError, match=r"^fundId: not the fund that was asked for$"):
        read("nav", {**navs(NAV), "fundId": "F-OTHER"})


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("orders", {"side": "LEND"}, "side"),
        ("orders", {"status": "PARKED"}, "status"),
        ("orders", {"instrument": {**ORDER["instrument"], "type": "BOND"}}, "instrument_type"),
        ("holdings", {"fundClass": "BALANCED"}, "asset_class"),
    ],
)
def test_codes_that_are_new_are_kept_and_flagged(name: str, change: dict[str, Any], field: str) -> None:
    found = record(name, {**(ORDER if name == "orders" else UNITS), **change})
    stated = next(iter(change.values()))
    assert getattr(found, field) == "UNKNOWN"
    assert getattr(found, f"{field}_source") == (stated["type"] if isinstance(stated, dict) else stated)


# ── Numbers and times ───────────────────────────────────────────────────────────────────────────────────────────────


@given(st.decimals(0, Decimal(10) ** 16 - 1, places=8) | st.integers(0, 10**16 - 1).map(Decimal))
def test_every_quantity_keeps_every_digit_through_text_and_avro(number: Decimal) -> None:
    found = record("holdings", {**UNITS, "units": format(number, "f")})
    assert found.quantity == number
    assert found.quantity.as_tuple().exponent == -8
    entity = EntityState(found.entity_id, 1, found.booking_key, found)
    assert decode_entity("investments", encode_entity("investments", entity)).record == found


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"units": 12}, "units: not a string"),
        ({"units": "1.123456789"}, "units: more than 8 decimals"),
        ({"units": "-1"}, "units: less than 0"),
        ({"units": "1e3"}, "units: not a decimal number"),
        ({"units": "٣"}, "units: not a decimal number"),
        ({"units": ""}, "units: not a decimal number"),
        ({"units": "1" * 17}, "units: more than 24 significant digits"),
        ({"marketValue": "1.234"}, "marketValue: more than 2 decimals"),
        ({"navDate": "27-02-2026"}, "navDate: not a date of the form YYYY-MM-DD"),
    ],
)
def test_a_number_of_another_form_is_not_guessed_at(change: dict[str, Any], fault: str) -> None:
    entry = one("holdings", {**UNITS, **change})
    assert isinstance(entry, Unreadable)
    assert (entry.reason, entry.entity_id) == (fault, f"holding/fund/{FUND}")


@pytest.mark.parametrize("moment", ["1772181000123", 1772181000123.5, True, None, -1, 253402300800000, 10**30])
def test_a_time_that_is_no_count_of_milliseconds_is_not_guessed_at(moment: Any) -> None:
    entry = one("orders", {**ORDER, "placedAt": moment})
    assert isinstance(entry, Unreadable)
    assert entry.reason.startswith("placedAt: ")
    assert (entry.entity_id, entry.key) == ("order/O-5", None)


def test_what_cannot_be_read_has_its_place_where_that_can_be() -> None:
    order, nav = one("orders", {**ORDER, "status": 7}), one("nav", {**NAV, "nav": 7})
    assert isinstance(order, Unreadable)
    assert isinstance(nav, Unreadable)
    assert order.key == record("orders", ORDER).booking_key
    assert (nav.entity_id, nav.key) == (record("nav", NAV).entity_id, record("nav", NAV).booking_key)


# ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_go_on_by_number_and_state_how_many_there_are() -> None:
    numbered = {"size": 1, "totalPages": 3, "totalElements": 3}
    cursors = [read("orders", {**orders(ORDER), **numbered, "page": page}).next_cursor for page in range(3)]
    assert cursors == ["1", "2", None]
    assert read("orders", {**orders(), **numbered, "page": 3}).next_cursor is None
    assert read("orders", {**orders(ORDER), **numbered}).total == 3
    nothing = read("orders", orders())
    assert (nothing.entries, nothing.next_cursor, nothing.total) == ((), None, 0)


def test_a_page_that_contradicts_itself_is_not_read() -> None:
    with pytest.raises(DataError, match=r"^content: "):
        read("orders", {**orders(), "totalPages": 2, "totalElements": 101})
    with pytest.raises(DataError, match=r"^totalPages: "):
        read("orders", {**orders(ORDER), "totalPages": 2})
    for change in ({"page": 1}, {"totalElements": 2}, {"content": []}):
        with pytest.raises(DataError, match=r"^content: "):
            read("orders", {**orders(ORDER), **change})


def test_fields_that_are_new_are_counted_by_their_dotted_names() -> None:
    new = {**ORDER, "new": 1, "instrument": {**ORDER["instrument"], "isin": "planted"}}
    assert read("orders", orders(new)).unknown_fields == {"content.new": 1, "content.instrument.isin": 1}
    shares, units = {**SHARES, "new": 1}, {**UNITS, "new": 1}
    assert read("holdings", portfolio(shares, units)).unknown_fields == {"equities.new": 1, "funds.new": 1}
    assert read("nav", navs({**NAV, "new": 1})).unknown_fields == {"navs.new": 1}


def test_a_share_and_a_fund_of_one_name_are_two() -> None:
    share = record("holdings", {key: value for key, value in SHARES.items() if key != "symbol"} | {"symbol": FUND})
    assert share.entity_id != replace(share, instrument_type="FUND").entity_id
