"""The holder and the bank accounts from wire to canonical: each half of an answer is read or set aside by itself."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from connector.domains.account import Balance, BankAccountRecord, Holder
from connector.domains.model import Entry, Unreadable
from connector.errors import DataError
from tests.support.scripted_bank import IBAN
from tests.support.shifts import SHIFTS
from tests.support.wire_samples import BANK_ACCOUNT, ME, encode, read

HALVES = {
    "iban": {"bank-account", "balance"},
    "ccy": {"bank-account", "balance"},
    "title": {"bank-account"},
    "status": {"bank-account"},
    "tier": {"bank-account"},
    "balance": {"balance"},
    "available": {"balance"},
}


def records(name: str, value: Any) -> list[Any]:
    return [entry.record for entry in read(name, value).entries if isinstance(entry, Entry)]


def test_the_holder_is_canonical() -> None:
    assert records("holder", ME) == [
        Holder("L1", "L1", minor=False, segment="adult", name="Planted", cnic="12345-1234567-1",
               msisdn="+923000000001", email=None)
    ]  # fmt: skip


def test_a_bank_account_and_what_stands_on_it_are_two_records() -> None:
    assert records("bank_account", BANK_ACCOUNT) == [
        BankAccountRecord(IBAN, "Planted", "ACTIVE", "ACTIVE", "L1", "L1", "PKR"),
        Balance(IBAN, Decimal("-12.50"), Decimal("1000.00"), "PKR"),
    ]


def test_no_iban_stands_in_an_id() -> None:
    names = [entry.record.entity_id for name, value in (("holder", ME), ("bank_account", BANK_ACCOUNT))
             for entry in read(name, value).entries if isinstance(entry, Entry)]  # fmt: skip
    assert names == ["holder", "bank-account", "balance"]


def test_codes_that_are_new_to_us_are_kept_and_flagged() -> None:
    [holder] = records("holder", {**ME, "tier": "L9"})
    assert (holder.tier, holder.tier_source) == ("UNKNOWN", "L9")
    account, _ = records("bank_account", {**BANK_ACCOUNT, "tier": "L9", "status": "FROZEN"})
    assert (account.tier, account.tier_source) == ("UNKNOWN", "L9")
    assert (account.status, account.status_source) == ("UNKNOWN", "FROZEN")


def test_the_digest_of_a_half_moves_with_its_own_fields_only() -> None:
    before = [entry.raw_digest for entry in read("bank_account", BANK_ACCOUNT).entries]
    spent = [entry.raw_digest for entry in read("bank_account", {**BANK_ACCOUNT, "balance": "@-13.50"}).entries]
    shut = [entry.raw_digest for entry in read("bank_account", {**BANK_ACCOUNT, "status": "CLOSED"}).entries]
    assert [one == other for one, other in zip(before, spent, strict=True)] == [True, False]
    assert [one == other for one, other in zip(before, shut, strict=True)] == [False, True]
    listed = {**ME, "accounts": []}
    assert read("holder", ME).entries == read("holder", listed).entries


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("field", HALVES)
def test_a_shifted_field_sets_aside_the_halves_that_it_is_part_of(field: str, shift: str) -> None:
    shifted = deepcopy(BANK_ACCOUNT)
    SHIFTS[shift](shifted, field)
    bad = {entry.entity_id: entry for entry in read("bank_account", shifted).entries if isinstance(entry, Unreadable)}
    assert set(bad) == HALVES[field]
    assert all(entry.reason.startswith(f"{field}: ") for entry in bad.values())
    assert all(entry.key is not None for entry in bad.values())
    assert "planted" not in str(bad)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("field", ["holder", "tier", "segment", "minor", "name", "cnic", "msisdn", "email"])
def test_a_holder_with_a_shifted_field_is_set_aside_and_stays(field: str, shift: str) -> None:
    shifted = deepcopy(ME)
    SHIFTS[shift](shifted if field in shifted else shifted["holder"], field)
    [bad] = read("holder", shifted).entries
    assert isinstance(bad, Unreadable)
    assert (bad.entity_id, field in bad.reason) == ("holder", True)
    assert "planted" not in bad.reason


def test_another_account_than_was_asked_for_is_not_believed() -> None:
    with pytest.raises(DataError, match=r"^iban: another account than was asked for$"):
        read("bank_account", {**BANK_ACCOUNT, "iban": "PK65JSBL9999903000000011"})


@pytest.mark.parametrize("name", ["holder", "bank_account"])
@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"code": "planted"}'])
def test_what_is_another_answer_is_no_page(name: str, body: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read(name, body)
    assert "planted" not in str(caught.value)


def test_unknown_fields_are_counted_by_dotted_name() -> None:
    fresh: Any = deepcopy(ME)
    fresh["new"] = fresh["holder"]["new"] = fresh["accounts"][0]["new"] = "planted"
    assert read("holder", fresh).unknown_fields == {"new": 1, "holder.new": 1, "accounts.new": 1}
    page = read("bank_account", encode({**BANK_ACCOUNT, "new": 1}))
    assert (page.unknown_fields, len(page.entries)) == ({"new": 1}, 2)
