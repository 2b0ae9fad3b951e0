"""A field that is missing, renamed or retyped is named by its path, never by a value, and spoils no neighbour."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domains.model import Entry, Unreadable
from connector.errors import DataError
from tests.support.shifts import SHIFTS
from tests.support.wire_samples import (
    AUTHORIZATION,
    CARD,
    ENVELOPES,
    LOAN,
    POINTS,
    TRANSACTION,
    VOUCHER,
    card_list,
    encode,
    feed,
    inquiry,
    ledger,
    one,
    read,
    summary,
)

FIELDS = [
    (name, field) for name, (_, item) in ENVELOPES.items() for field in item if field not in {"SCHEDULE", "REPAYMENTS"}
]

IDENTIFIES = {
    "loan": "LOAN_ID",
    "vouchers": "voucher_id",
    "holdings": "fundId",
    "orders": "orderId",
    "nav": "date",
}
"""The field that an entry is named by; else `id`."""
OTHERS: dict[str, Any] = {"points": 8, "nav": "2026-02-26"}
"""What names another entry, where it is no text."""


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_one_shifted_field_is_named(name: str, field: str, shift: str) -> None:
    wrap, item = ENVELOPES[name]
    shifted, whole = deepcopy(item), deepcopy(item)
    SHIFTS[shift](shifted, field)
    whole[IDENTIFIES.get(name, "id")] = OTHERS.get(name, "another")
    page = read(name, wrap(shifted, whole) if name != "loan" else wrap(shifted))
    bad = page.entries[0]
    assert isinstance(bad, Unreadable)
    assert field in bad.reason
    assert "planted" not in bad.reason
    assert "Planted" not in bad.reason
    assert (bad.entity_id is None) == (field == IDENTIFIES.get(name, "id"))
    if name != "loan":
        assert isinstance(page.entries[1], Entry)
    if shift == "renamed":
        assert any(unknown.endswith(f".{field}_new") for unknown in page.unknown_fields)


PARTS = [
    (name, part, field)
    for name, part in (
        ("transactions", "counterparty"),
        ("bills", "biller"),
        ("bookings", "voucher"),
        ("cards", "limits"),
        ("authorizations", "merchant"),
    )
    for field in ENVELOPES[name][1][part]
]


@pytest.mark.parametrize(("name", "part", "field"), PARTS)
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_field_within_an_entry_is_named_by_its_path(name: str, part: str, field: str, shift: str) -> None:
    shifted = deepcopy(ENVELOPES[name][1])
    SHIFTS[shift](shifted[part], field)
    entry = one(name, shifted)
    assert isinstance(entry, Unreadable)
    assert f"{part}.{field}: " in entry.reason


@pytest.mark.parametrize(
    ("part", "field", "entity_id"),
    [
        ("SCHEDULE", "INSTALLMENT_NO", None),
        ("SCHEDULE", "DUE_ON", "installment/L-1/1"),
        ("SCHEDULE", "AMOUNT", "installment/L-1/1"),
        ("SCHEDULE", "PAID_AMOUNT", "installment/L-1/1"),
        ("SCHEDULE", "STATUS", "installment/L-1/1"),
        ("REPAYMENTS", "REPAYMENT_ID", None),
        ("REPAYMENTS", "AMOUNT", "repayment/RP-1"),
        ("REPAYMENTS", "PAID_ON", "repayment/RP-1"),
        ("REPAYMENTS", "TXN_ID", "repayment/RP-1"),
    ],
)
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_field_of_a_part_leaves_its_loan_readable(
    part: str, field: str, entity_id: str | None, shift: str
) -> None:
    shifted = deepcopy(LOAN)
    SHIFTS[shift](shifted[part][0], field)
    loan, *parts = read("loan", inquiry(shifted)).entries
    assert isinstance(loan, Entry)
    (bad,) = [entry for entry in parts if isinstance(entry, Unreadable)]
    assert field in bad.reason
    assert bad.entity_id == entity_id


@pytest.mark.parametrize("part", ["SCHEDULE", "REPAYMENTS"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_lost_list_of_parts_makes_the_read_incomplete(part: str, shift: str) -> None:
    shifted = deepcopy(LOAN)
    SHIFTS[shift](shifted, part)
    entries = read("loan", inquiry(shifted)).entries
    (bad,) = [entry for entry in entries if isinstance(entry, Unreadable)]
    assert bad.reason.startswith(f"{part}: ")
    assert bad.entity_id is None
    assert len(entries) == 3


def test_parts_of_a_loan_without_currency_are_unreadable_with_their_ids() -> None:
    entries = read("loan", inquiry({**LOAN, "CCY": 586})).entries
    assert [(type(entry), getattr(entry, "entity_id", None)) for entry in entries] == [
        (Unreadable, "loan/L-1"),
        (Unreadable, "installment/L-1/1"),
        (Unreadable, "repayment/RP-1"),
    ]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("transactions", "items"),
        ("transactions", "next_cursor"),
        ("bills", "items"),
        ("bills", "next_cursor"),
        ("bookings", "items"),
        ("bookings", "next_cursor"),
        ("cards", "cards"),
        ("authorizations", "items"),
        ("authorizations", "next_cursor"),
        ("points", "entries"),
        ("points", "has_more"),
        ("vouchers", "vouchers"),
        ("loan", "RESPONSE_CODE"),
        ("loan", "DATA"),
        ("holdings", "asOf"),
        ("holdings", "equities"),
        ("holdings", "funds"),
        ("orders", "content"),
        ("orders", "page"),
        ("orders", "size"),
        ("orders", "totalPages"),
        ("orders", "totalElements"),
        ("nav", "fundId"),
        ("nav", "navs"),
    ],
)
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shifted_field_of_the_envelope_fails_the_page(name: str, field: str, shift: str) -> None:
    wrap, item = ENVELOPES[name]
    page = wrap(deepcopy(item))
    SHIFTS[shift](page, field)
    with pytest.raises(DataError, match=field) as caught:
        read(name, page)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("data", [{"LOANS": []}, {"LOANS": [LOAN]}, [], "planted", False])
def test_no_facility_with_something_in_it_is_no_empty_page(data: Any) -> None:
    with pytest.raises(DataError, match=r"^DATA: not null$"):
        read("loan", {"RESPONSE_CODE": "01", "RESPONSE_DESC": "no facility", "DATA": data})
    with pytest.raises(DataError, match=r"^DATA: missing$"):
        read("loan", {"RESPONSE_CODE": "01", "RESPONSE_DESC": "no facility"})


@pytest.mark.parametrize("item", [None, 7, "planted", [], True])
@pytest.mark.parametrize(
    "name", ["transactions", "cards", "authorizations", "points", "vouchers", "holdings", "orders", "nav"]
)
def test_an_item_that_is_no_object_is_unreadable(name: str, item: Any) -> None:
    entry = one(name, item)
    assert isinstance(entry, Unreadable)
    assert (entry.reason, entry.entity_id) == ("the entry: not an object", None)


def test_unknown_fields_are_tolerated_and_counted_by_dotted_name() -> None:
    fresh = {**TRANSACTION, "fresh": "planted", "counterparty": {**TRANSACTION["counterparty"], "bank": "planted"}}
    page = read("transactions", {**feed(fresh, fresh), "total": 2})
    assert all(isinstance(entry, Entry) for entry in page.entries)
    assert page.unknown_fields == {"total": 1, "items.fresh": 2, "items.counterparty.bank": 2}
    loan = deepcopy(LOAN)
    loan["SCHEDULE"][0]["NEW"] = 1
    loan["NEW"] = 1
    assert read("loan", inquiry(loan)).unknown_fields == {"DATA.LOANS.NEW": 1, "DATA.LOANS.SCHEDULE.NEW": 1}
    card = {**CARD, "new": 1, "limits": {**CARD["limits"], "new": 1}}
    assert read("cards", card_list(card)).unknown_fields == {"cards.new": 1, "cards.limits.new": 1}
    line = {**AUTHORIZATION, "new": 1, "merchant": {**AUTHORIZATION["merchant"], "new": 1}}
    assert read("authorizations", feed(line)).unknown_fields == {"items.new": 1, "items.merchant.new": 1}
    assert read("points", ledger({**POINTS, "new": 1})).unknown_fields == {"entries.new": 1}
    assert read("vouchers", summary({**VOUCHER, "new": 1})).unknown_fields == {"vouchers.new": 1}


def test_text_that_is_no_text_is_unreadable() -> None:
    body = encode(feed({**TRANSACTION, "biller": "@@"})).replace(b"@", b'"\\ud800"')
    entry = read("transactions", body).entries[0]
    assert isinstance(entry, Unreadable)
    assert entry.reason == "biller: not valid text"
    body = encode(feed({**TRANSACTION, "id": "@@"})).replace(b"@", b'"\\ud800"')
    entry = read("transactions", body).entries[0]
    assert isinstance(entry, Unreadable)
    assert entry.entity_id is None


TEXTS = st.text(st.characters(exclude_characters="@"))
JSON_SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(
    name=st.sampled_from(sorted(ENVELOPES)),
    changes=st.lists(st.tuples(st.integers(0, 30), JSON_SCRAPS), min_size=1, max_size=3),
)
def test_no_item_whatever_it_holds_can_break_the_page(name: str, changes: list[tuple[int, Any]]) -> None:
    wrap, item = ENVELOPES[name]
    changed = deepcopy(item)
    fields = list(changed)
    for place, scrap in changes:
        changed[fields[place % len(fields)]] = scrap
    page = read(name, encode(wrap(changed)))
    assert page.entries
    for entry in page.entries:
        assert isinstance(entry, Entry | Unreadable)
        assert len(entry.raw_digest) == 16
