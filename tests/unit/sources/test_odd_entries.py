"""One odd entry never stops a page: what it has wrong is its own matter, in every domain."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest

from connector.domains.model import Entry, Unreadable
from connector.sources.zindigi.duplicates import REASON
from connector.sources.zindigi.surface import examine_json
from tests.support.scripted_bank import resource
from tests.support.shifts import Path, fields_of
from tests.support.wire_samples import BANK_ACCOUNT, ENVELOPES, LOAN, ME, encode, feed, inquiry, read

ODD: dict[str, bytes] = {
    "half an emoji": b'"planted \\ud83d"',
    "bytes of half an emoji": b'"planted \xed\xa0\xbd"',
    "no UTF-8": b'"planted \xff"',
    "1e400": b"1e400",
    "1e309": b"-1e309",
    "an exponent beyond Decimal": b"1e99999999999999999999",
    "an exponent that must cost nothing": b"1e999999999",
    "a tiny one": b"1e-999999999",
    "310 digits": b"9" * 310,
    "5,000 digits": b"9" * 5000,
    "NaN": b"NaN",
    "an infinity": b"-Infinity",
    "lists 1,500 deep": b"[" * 1500 + b"]" * 1500,
    "objects 1,500 deep": b'{"a":' * 1500 + b"0" + b"}" * 1500,
}
OTHER: dict[str, tuple[str, Any]] = {
    "loan": ("LOAN_ID", "L-2"),
    "points": ("id", 8),
    "vouchers": ("voucher_id", "V-2"),
    "holdings": ("fundId", "F-2"),
    "orders": ("orderId", "O-2"),
    "nav": ("date", "2026-02-26"),
}
"""What makes a second sample another entry; else `id`."""
FIELDS = [(name, path) for name, (_, item) in ENVELOPES.items() for path in fields_of(item)]


def neighbour(name: str) -> dict[str, Any]:
    field, value = OTHER.get(name, ("id", "another"))
    other = {**deepcopy(ENVELOPES[name][1]), field: value}
    for part in ("SCHEDULE", "REPAYMENTS") if name == "loan" else ():
        other[part] = []
    return other


def planted(name: str, path: Path, odd: bytes) -> bytes:
    """A page in which the field at `path` of the first entry is `odd`, and the second entry is whole."""
    item = deepcopy(ENVELOPES[name][1])
    at: Any = item
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = "@ODD"
    return re.sub(rb"\bODD\b", lambda _: odd, encode(ENVELOPES[name][0](item, neighbour(name))))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ENVELOPES)
def test_what_is_odd_in_a_field_that_nobody_reads_is_ignored(name: str, odd: str) -> None:
    body = planted(name, ("NEW_FIELD",), ODD[odd])
    examine_json(body)
    page = read(name, body)
    assert all(isinstance(entry, Entry) for entry in page.entries)
    assert len({entry.raw_digest for entry in page.entries}) == len(page.entries)
    assert [entry.raw_digest for entry in read(name, body).entries] == [entry.raw_digest for entry in page.entries]


@pytest.mark.parametrize(
    ("name", "path"), FIELDS, ids=lambda value: value if isinstance(value, str) else ".".join(map(str, value))
)
def test_what_is_odd_in_a_field_makes_that_entry_unreadable_and_no_other(name: str, path: Path) -> None:
    untouched = read(name, ENVELOPES[name][0](neighbour(name))).entries
    for title, odd in ODD.items():
        body = planted(name, path, odd)
        examine_json(body)
        page = read(name, body)
        bad = [entry for entry in page.entries if isinstance(entry, Unreadable)]
        assert bad, title
        assert all("planted" not in entry.reason for entry in bad)
        assert all(entry in page.entries for entry in untouched), title
        assert len({entry.raw_digest for entry in bad}) == len(bad)
        assert page == read(name, body)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_beside_the_entries_is_ignored(odd: str) -> None:
    for name, (wrap, item) in ENVELOPES.items():
        whole = {**wrap(item), "NEW_FIELD": "@ODD"}
        page = read(name, re.sub(rb"\bODD\b", lambda _: ODD[odd], encode(whole)))
        assert all(isinstance(entry, Entry) for entry in page.entries)
        assert page.unknown_fields == {"NEW_FIELD": 1}


@pytest.mark.parametrize("odd", ODD)
def test_one_half_of_a_bank_account_does_not_stop_the_other(odd: str) -> None:
    for field, spoilt in (("title", 0), ("balance", 1)):
        body = re.sub(rb"\bODD\b", lambda _: ODD[odd], encode({**BANK_ACCOUNT, field: "@ODD"}))
        kinds = [type(entry) for entry in read("bank_account", body).entries]
        assert kinds == [Unreadable if number == spoilt else Entry for number in range(2)]
    body = re.sub(rb"\bODD\b", lambda _: ODD[odd], encode({**ME, "new": "@ODD"}))
    assert [type(entry) for entry in read("holder", body).entries] == [Entry]


# ── The same entity twice in one answer ─────────────────────────────────────────────────────────────────────────────

CHANGES: dict[str, dict[str, Any]] = {
    "transactions": {"receipt_ref": "R-2"},
    "bills": {"status": "cancelled"},
    "bookings": {"title": "Another"},
    "cards": {"status": "ACTIVE"},
    "authorizations": {"state": "reversed"},
    "loan": {"STATUS": "CLOSED"},
    "points": {"points": 121},
    "vouchers": {"title": "Tea"},
    "holdings": {"units": "1"},
    "orders": {"status": "FILLED"},
    "nav": {"nav": "1.5"},
}


def samples(name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An entry, the same one with other content, and another one."""
    item = deepcopy(ENVELOPES[name][1])
    if name == "loan":
        item |= {"SCHEDULE": [], "REPAYMENTS": []}
    return item, {**item, **CHANGES[name]}, neighbour(name)


@pytest.mark.parametrize("name", ENVELOPES)
def test_one_entity_stated_twice_in_two_ways_cannot_be_read_and_the_rest_goes_on(name: str) -> None:
    wrap = ENVELOPES[name][0]
    item, changed, other = samples(name)
    first, second = read(name, wrap(item, other, changed)).entries
    assert isinstance(first, Unreadable)
    assert isinstance(second, Entry)
    whole = read(name, wrap(item)).entries[0]
    assert isinstance(whole, Entry)
    assert (first.reason, first.entity_id, first.key) == (REASON, whole.record.entity_id, whole.record.booking_key)
    turned = read(name, wrap(changed, other, item)).entries[0]
    assert turned.raw_digest == first.raw_digest
    assert first.raw_digest not in {whole.raw_digest, read(name, wrap(changed)).entries[0].raw_digest}


@pytest.mark.parametrize("name", ENVELOPES)
def test_one_entity_stated_twice_in_one_way_is_one_entry(name: str) -> None:
    wrap = ENVELOPES[name][0]
    item, _, other = samples(name)
    once = read(name, wrap(item, other)).entries
    assert read(name, wrap(item, other, item)).entries == once
    # What differs is read by nobody.
    assert read(name, wrap(item, other, {**item, "NEW_FIELD": 1})).entries == once


def test_a_running_balance_that_is_stated_in_two_ways_is_content() -> None:
    item = ENVELOPES["transactions"][1]
    (entry,) = read("transactions", feed(item, {**item, "balance_after": "@1.00"})).entries
    assert isinstance(entry, Unreadable)


def test_an_entry_that_cannot_be_read_beside_one_that_can_is_not_believed() -> None:
    item = ENVELOPES["transactions"][1]
    (entry,) = read("transactions", feed(item, {**item, "amount": None})).entries
    assert isinstance(entry, Unreadable)
    assert entry.reason == REASON


def test_parts_of_loans_are_told_apart_too() -> None:
    line = LOAN["SCHEDULE"][0]
    doubled = {**LOAN, "SCHEDULE": [line, {**line, "STATUS": "PAID"}], "REPAYMENTS": LOAN["REPAYMENTS"] * 2}
    kinds = [
        (type(entry).__name__, getattr(entry, "entity_id", None)) for entry in read("loan", inquiry(doubled)).entries
    ]
    assert kinds == [("Entry", None), ("Unreadable", "installment/L-1/1"), ("Entry", None)]


def test_entries_without_an_id_are_left_as_they_are() -> None:
    page = read("transactions", feed({"amount": 1}, {"amount": 2}, {"amount": 2}))
    assert len(page.entries) == 3


def test_every_ledger_and_snapshot_is_walked() -> None:
    assert set(CHANGES) == set(ENVELOPES)
    assert all(resource(name) for name in ENVELOPES)
