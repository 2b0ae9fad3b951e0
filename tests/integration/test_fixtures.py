"""Answers recorded from the sandbox, read by the whole client: as they are, and with every field of them shifted.

`tests/fixtures/README.md` says how they are recorded.
"""

from __future__ import annotations

import pytest

from connector.domains.investments import ORDER_STATUSES, SIDES
from tests.support.fixture_check import Finding, check, differences
from tests.support.record_fixtures import record
from tests.support.recorded import DIRECTORY, FIXTURES, Fixture
from tests.support.shifts import ALL_SHIFTS, SHIFTS, Path, fields_of, shifted

pytestmark = pytest.mark.anyio

OK = 200
KINDS: dict[str, set[str]] = {
    "holder.adult": {"holder"},
    "holder.minor": {"holder"},
    "bank-account.active": {"bank_account", "balance"},
    "transactions.first": {"transaction"},
    "transactions.second": {"transaction"},
    "transactions.last": {"transaction"},
    "bills.first": {"bill"},
    "bills.last": {"bill"},
    "bookings.first": {"booking"},
    "bookings.last": {"booking"},
    "advance-cash.loans": {"loan", "installment", "repayment"},
    "advance-cash.no-facility": set(),
    "z-miles.ledger.first": {"points_entry"},
    "z-miles.ledger.last": {"points_entry"},
    "z-miles.summary": {"voucher"},
    "cards.list": {"card"},
    "cards.minor": {"card"},
    "cards.authorizations.first": {"card_authorization"},
    "cards.authorizations.last": {"card_authorization"},
    "brokerage.portfolio": {"holding"},
    "brokerage.orders.first": {"order"},
    "brokerage.orders.last": {"order"},
    "brokerage.nav": {"nav"},
}
IDS = frozenset(
    {
        "items.id", "DATA.LOANS.LOAN_ID", "DATA.LOANS.SCHEDULE.INSTALLMENT_NO", "DATA.LOANS.REPAYMENTS.REPAYMENT_ID",
        "entries.id", "vouchers.voucher_id", "cards.id", "equities.symbol", "funds.fundId",
        "content.orderId", "navs.date",
    }
)  # fmt: skip
"""The fields of which every record has one."""
NOT_READ: dict[str, tuple[str, ...]] = {
    # Of the holder's own data the connector needs what marks own transfers.
    "profile.": ("holder.name", "holder.email", "segment", "accounts.title"),
    # Which accounts there are is the profile's matter.
    "holder.": ("accounts", "accounts.iban", "accounts.title", "accounts.status"),
    # Texts for people: they may name the holder, and are never repeated.
    "auth.": ("message",),
    "transactions.cursor-invalid": ("message",),
    "cards.surface-forbidden": ("message",),
    "advance-cash.": ("RESPONSE_DESC", "message"),
    "brokerage.portfolio": ("portfolioId",),
    "brokerage.session-refused": ("errorMessage", "timestamp"),
    "brokerage.surface-forbidden": ("errorMessage", "timestamp"),
    "brokerage.rate-limited": ("errorMessage", "timestamp"),
    "brokerage.unavailable": ("errorMessage", "timestamp"),
    # A code that says why there is no answer is believed whatever else there is.
    "advance-cash.not-eligible": ("DATA",),
    "advance-cash.session-not-valid": ("DATA",),
    "advance-cash.upstream-timeout": ("DATA",),
    "advance-cash.unavailable": ("DATA",),
    "advance-cash.malfunction": ("DATA",),
    # Whose ledger it is the session says; the balance is no record of its own.
    "z-miles.summary": ("member_id", "balance"),
}  # fmt: skip
"""Fields of which the client reads nothing, by the beginning of a fixture's name. The contract watches over them."""


GOES_ON_WITHOUT: dict[str, tuple[str, ...]] = {
    # Both tokens are all that a session takes.
    "auth.session": ("expires_in", "refresh_expires_in"),
    "auth.refresh": ("expires_in", "refresh_expires_in"),
    # One row that cannot be read is counted; the others are read.
    "profile.": ("accounts.iban", "accounts.status"),
}
"""Fields that the client does without, by the beginning of a fixture's name: it notices, the contract names them."""


def dotted(path: Path) -> str:
    """The name of a field whatever its place in a list."""
    return ".".join(key for key in path if isinstance(key, str))


def is_read(fixture: Fixture, path: Path) -> bool:
    return not any(dotted(path) in names for beginning, names in NOT_READ.items() if fixture.name.startswith(beginning))


def goes_on(fixture: Fixture, path: Path) -> bool:
    return any(
        dotted(path) in names for beginning, names in GOES_ON_WITHOUT.items() if fixture.name.startswith(beginning)
    )


def names(finding: Finding, field: str) -> bool:
    return field in finding.path or f"{field}_new" in finding.path


async def test_recording_again_gives_the_same_files() -> None:
    recorded = await record()
    assert list(recorded) == list(FIXTURES)
    for name, page in recorded.items():
        assert page == FIXTURES[name].page_path.read_bytes(), f"{name}: python -m tests.support.record_fixtures"


def test_every_file_is_a_fixture() -> None:
    expected = {path.name for fixture in FIXTURES.values() for path in (fixture.page_path, fixture.outcome_path)}
    assert {path.name for path in DIRECTORY.iterdir()} == expected | {"README.md"}


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_a_recorded_answer_is_read_as_expected(fixture: Fixture) -> None:
    """By client and contract; a finding names field, value expected and value found."""
    assert [str(finding) for finding in await check(fixture, fixture.page())] == []


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
def test_a_difference_from_the_expected_outcome_names_its_field(fixture: Fixture, shift: str) -> None:
    expected = fixture.outcome()
    for path in fields_of(expected):
        findings = list(differences(expected, shifted(expected, path, shift), ()))
        assert any(names(finding, str(path[-1])) for finding in findings), path


@pytest.mark.parametrize("name", KINDS)
def test_a_recorded_page_has_its_records(name: str) -> None:
    outcome = FIXTURES[name].outcome()
    assert {entry["kind"] for entry in outcome["entries"].values()} == KINDS[name]
    stated = [path for path in fields_of(FIXTURES[name].page()) if dotted(path) in IDS]
    # What there is one of needs no id.
    assert len(outcome["entries"]) == (len(stated) or len(KINDS[name]))
    assert outcome["unreadable"] == []
    assert outcome["unknown_fields"] == {}


def test_the_recorded_pages_show_what_a_bank_does() -> None:
    items = [item for name in ("first", "second", "last") for item in FIXTURES[f"transactions.{name}"].page()["items"]]
    assert {item["status"] for item in items} == {"pending", "posted", "reversed"}
    assert any(item["replaces"] for item in items)
    assert {item["counterparty"] is None for item in items} == {True, False}
    bills = [item for name in ("first", "last") for item in FIXTURES[f"bills.{name}"].page()["items"]]
    assert {bill["status"] for bill in bills} == {"presented", "paid", "overdue", "cancelled"}
    assert {bill["amount_after_due"] is None for bill in bills} == {True, False}
    orders = [item for name in ("first", "last") for item in FIXTURES[f"bookings.{name}"].page()["items"]]
    assert {order["status"] for order in orders} == {"placed", "confirmed", "cancelled", "completed"}
    assert {order["category"] for order in orders} == {"TRAVEL", "CINEMA", "HOTEL", "E_VOUCHER", "INSURANCE"}
    for field in ("voucher", "policy_ref", "refund_transaction_id"):
        assert {order[field] is None for order in orders} == {True, False}
    cards = FIXTURES["cards.list"].page()["cards"]
    assert {card["status"] for card in cards} == {"ACTIVE", "BLOCKED", "HOTLISTED"}
    [reduced] = FIXTURES["cards.minor"].page()["cards"]
    assert (reduced["limits"]["online_daily"], reduced["international"]) == (None, False)
    lines = [item for name in ("first", "last") for item in FIXTURES[f"cards.authorizations.{name}"].page()["items"]]
    assert {line["state"] for line in lines} == {
        "authorized", "adjusted", "cleared", "reversed", "expired", "declined",
    }  # fmt: skip
    assert {line["original_ccy"] for line in lines} == {None, "USD"}
    loans = FIXTURES["advance-cash.loans"].page()["DATA"]["LOANS"]
    assert {loan["STATUS"] for loan in loans} == {"ACTIVE", "OVERDUE", "CLOSED"}
    entries = [entry for name in ("first", "last") for entry in FIXTURES[f"z-miles.ledger.{name}"].page()["entries"]]
    assert {entry["type"] for entry in entries} == {"EARN", "REDEEM", "EXPIRE", "ADJUST"}
    vouchers = FIXTURES["z-miles.summary"].page()["vouchers"]
    assert {voucher["status"] for voucher in vouchers} == {"ISSUED", "REDEEMED", "EXPIRED"}
    orders = [item for name in ("first", "last") for item in FIXTURES[f"brokerage.orders.{name}"].page()["content"]]
    assert {order["status"] for order in orders} == ORDER_STATUSES
    assert {order["side"] for order in orders} == SIDES
    assert {order["settlementTransactionId"] is None for order in orders} == {True, False}
    portfolio = FIXTURES["brokerage.portfolio"].page()
    assert portfolio["equities"]
    assert portfolio["funds"]
    assert [FIXTURES[f"profile.{who}"].page()["minor"] for who in ("adult", "minor")] == [False, True]


@pytest.mark.parametrize("shift", [shift for shift in ALL_SHIFTS if shift != "revalued"])
@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_every_shifted_field_is_found_and_named(fixture: Fixture, shift: str) -> None:
    page = fixture.page()
    unnamed, unnoticed = [], []
    for path in fields_of(page):
        findings = await check(fixture, shifted(page, path, shift))
        clients = [finding for finding in findings if finding.by == "client"]
        # What comes with a refusal changes what the client says, but only the contract says which field it was.
        alone = is_read(fixture, path) and fixture.status == OK and not goes_on(fixture, path)
        naming = clients if alone else findings
        if not any(names(finding, str(path[-1])) for finding in naming):
            unnamed.append((path, [str(finding) for finding in findings]))
        if is_read(fixture, path) and not clients:
            unnoticed.append(path)
    assert unnamed == []
    assert unnoticed == []


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_every_other_value_is_found(fixture: Fixture) -> None:
    """Also one that has the right type: what the client reads is compared, all of it."""
    page = fixture.page()
    unnoticed = []
    for path in fields_of(page):
        changed = shifted(page, path, "revalued")
        if changed != page and is_read(fixture, path):
            findings = await check(fixture, changed)
            if not any(finding.by == "client" for finding in findings):
                unnoticed.append(path)
    assert unnoticed == []


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_what_the_client_does_not_read_is_known(fixture: Fixture) -> None:
    """The list of it is held to: a field that is on it by mistake, or has come to be read, is found here."""
    page = fixture.page()
    for path in fields_of(page):
        if not is_read(fixture, path):
            findings = await check(fixture, shifted(page, path, "missing"))
            assert {finding.by for finding in findings} == {"contract"}, path


@pytest.mark.parametrize("fixture", [FIXTURES[name] for name in KINDS], ids=list(KINDS))
async def test_a_renamed_field_of_a_page_is_an_unknown_field(fixture: Fixture) -> None:
    """Where the page can still be read at all: then the client's counters name the new field."""
    page = fixture.page()
    for path in fields_of(page):
        findings = await check(fixture, shifted(page, path, "renamed"))
        if not any(finding.path == () for finding in findings):
            new = ["unknown_fields", *dotted(path).split(".")]
            new[-1] += "_new"
            assert tuple(new) in {finding.path for finding in findings}, path
