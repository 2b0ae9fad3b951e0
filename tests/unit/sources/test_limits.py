"""What lists more than one answer may list is refused as a whole, at once; what lists as many is read."""

from __future__ import annotations

from typing import Any

import pytest

from connector.domains.model import BankAccount, Entry
from connector.errors import DataError
from connector.limits import (
    MAXIMUM_BANK_ACCOUNTS,
    MAXIMUM_CARDS,
    MAXIMUM_ENTRIES_A_PAGE,
    MAXIMUM_ENTRIES_A_WHOLE,
    MAXIMUM_FUNDS,
)
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.profile import read_profile
from tests.support.scripted_bank import BASE_URL, IBAN
from tests.support.wire_samples import ENVELOPES, LOAN, ME, SHARES, encode, inquiry, portfolio, read

BOUNDS: dict[str, tuple[str, int]] = {
    "transactions": ("items", MAXIMUM_ENTRIES_A_PAGE),
    "bills": ("items", MAXIMUM_ENTRIES_A_PAGE),
    "bookings": ("items", MAXIMUM_ENTRIES_A_PAGE),
    "authorizations": ("items", MAXIMUM_ENTRIES_A_PAGE),
    "points": ("entries", MAXIMUM_ENTRIES_A_PAGE),
    "orders": ("content", MAXIMUM_ENTRIES_A_PAGE),
    "cards": ("cards", MAXIMUM_CARDS),
    "holdings": ("funds", MAXIMUM_FUNDS),
    "nav": ("navs", MAXIMUM_ENTRIES_A_WHOLE),
    "vouchers": ("vouchers", MAXIMUM_ENTRIES_A_WHOLE),
    "loan": ("DATA.LOANS", MAXIMUM_ENTRIES_A_WHOLE),
}


def listing(name: str, count: int) -> Any:
    """An answer that lists `count` things that nobody can read: only their number matters."""
    thing: dict[str, Any] = {"units": None} if name == "holdings" else {}
    page = ENVELOPES[name][0](*[thing] * count)
    return {**page, "size": count, "totalPages": 1} if name == "orders" else page


@pytest.mark.parametrize("name", BOUNDS)
def test_an_answer_lists_no_more_than_its_bound(name: str) -> None:
    field, maximum = BOUNDS[name]
    with pytest.raises(DataError, match=f"^{field}: more than {maximum}"):
        read(name, listing(name, maximum + 1))
    # Loans without their parts have two more entries each: those that say so.
    allowed = listing(name, maximum)
    assert len(read(name, allowed).entries) >= maximum


def test_every_surface_with_a_list_has_a_bound() -> None:
    assert set(BOUNDS) == set(ENVELOPES)


def test_shares_have_a_bound_too() -> None:
    with pytest.raises(DataError, match=r"^equities: more than"):
        read("holdings", portfolio(*[SHARES] * (MAXIMUM_ENTRIES_A_WHOLE + 1)))


def test_parts_of_a_loan_count_with_the_loans() -> None:
    line, repayment = LOAN["SCHEDULE"][0], LOAN["REPAYMENTS"][0]
    few = {**LOAN, "SCHEDULE": [line] * (MAXIMUM_ENTRIES_A_WHOLE - 2), "REPAYMENTS": [repayment]}
    assert len(read("loan", inquiry(few)).entries) == 3
    with pytest.raises(DataError, match=r"^DATA\.LOANS: more than"):
        read("loan", inquiry({**few, "REPAYMENTS": [repayment] * 2}))


def test_the_page_that_is_asked_for_is_far_from_the_bound() -> None:
    options = ZindigiOptions(base_url=BASE_URL)
    asked = max(options.transactions_page_limit, options.points_page_limit, options.orders_page_size)
    assert asked * 5 <= MAXIMUM_ENTRIES_A_PAGE


# ── Bank accounts ───────────────────────────────────────────────────────────────────────────────────────────────────


def rows(count: int) -> list[dict[str, Any]]:
    return [{"iban": f"PK36JSBL{number:016}", "title": "", "status": "ACTIVE"} for number in range(count)]


def test_a_login_has_no_more_bank_accounts_than_its_bound() -> None:
    listed = read_profile(encode({**ME, "accounts": rows(MAXIMUM_BANK_ACCOUNTS)}))
    assert len(listed.bank_accounts) == MAXIMUM_BANK_ACCOUNTS
    with pytest.raises(DataError) as caught:
        read_profile(encode({**ME, "accounts": rows(MAXIMUM_BANK_ACCOUNTS + 1)}))
    assert str(caught.value) == "accounts: more than 50 bank accounts"


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        {},
        {"iban": "planted", "title": "", "status": "ACTIVE"},
        {"iban": "PK36JSBL0000001123456799", "title": "", "status": None},
        {"iban": "@1e400", "title": "", "status": "ACTIVE"},
        {"iban": "\ud83d", "title": "", "status": "ACTIVE"},
        {"iban": "PK36JSBL0000001123456799", "title": "", "status": "\ud83d"},
    ],
)
def test_one_row_that_cannot_be_read_does_not_stop_the_others(row: Any) -> None:
    profile = read_profile(encode({**ME, "accounts": [row, *ME["accounts"], row]}))
    assert profile.bank_accounts == (BankAccount(IBAN, "ACTIVE"),)
    assert profile.unreadable_accounts == 2


def test_an_account_that_is_listed_twice_is_one_and_in_two_ways_none() -> None:
    again = [*ME["accounts"], *rows(1), *ME["accounts"]]
    assert len(read_profile(encode({**ME, "accounts": again})).bank_accounts) == 2
    contradicting = [*ME["accounts"], *rows(1), {**ME["accounts"][0], "status": "CLOSED"}]
    profile = read_profile(encode({**ME, "accounts": contradicting}))
    assert [account.iban for account in profile.bank_accounts] == [rows(1)[0]["iban"]]
    assert profile.unreadable_accounts == 1


def test_what_an_empty_list_or_a_new_tier_means_is_not_decided_while_reading() -> None:
    profile = read_profile(
        encode(
            {**ME, "accounts": [], "tier": "L2_PLUS", "title": "\ud83d", "holder": {**ME["holder"], "name": "\ud83d"}}
        )
    )
    assert (profile.tier, profile.bank_accounts, profile.unreadable_accounts) == ("L2_PLUS", (), 0)
    assert profile.holder is not None
    assert (profile.holder.cnic, profile.holder.msisdn) == ("12345-1234567-1", "+923000000001")


def test_half_of_an_answer_is_no_entry_to_set_aside() -> None:
    for name in ("bank_account", "holder"):
        with pytest.raises(DataError, match="less than half"):
            read(
                name,
                {"status": "DOWN", "title": "Maintenance", "tier": "L1"} if name == "bank_account" else {"tier": "L1"},
            )
    assert all(isinstance(entry, Entry) for entry in read("holder", ME).entries)
