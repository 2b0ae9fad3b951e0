"""Spellings, what is kept and flagged, and what evidence is worth. Everybody here is invented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.diff import diff
from connector.parties import (
    NOBODY,
    Own,
    Party,
    PartyNaming,
    Spelled,
    Stated,
    name_party,
    own_identifiers,
    read_cnic,
    read_iban,
    read_mobile,
    wallet_mobile,
)
from connector.state import EntityState
from tests.golden.samples import NAMED

MOBILE = "+923000000123"
CNIC = "4200000001231"
WALLET = "PK65JSBL9999903000000011"
ACCOUNT = "PK36SCBL0000001123456702"


def key(text: str) -> str:
    return f"<{text}>"


def named(iban: str | None = None, cnic: str | None = None, alias: str | None = None, own: Own = NOBODY) -> Party:
    return name_party(Stated(iban, cnic, alias), own, key)


# ── Spellings ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "+923000000123",
        "03000000123",
        "00923000000123",
        "923000000123",
        "3000000123",
        "+92 300 0000123",
        "0300-0000123",
        "(0300) 0000123",
        "0300.000.0123",
        "+92 (0)300 0000123",
        "۰۳۰۰۰۰۰۰۱۲۳",
        "٠٣٠٠-٠٠٠٠١٢٣",
        "+۹۲ ۳۰۰ ۰۰۰۰۱۲۳",
        "\N{RIGHT-TO-LEFT MARK}+923000000123\N{POP DIRECTIONAL FORMATTING}",
        "\N{ZERO WIDTH NO-BREAK SPACE}0300\N{NARROW NO-BREAK SPACE}0000123\n",
        "0300\N{EN DASH}0000\N{MINUS SIGN}123\N{VARIATION SELECTOR-16}",
    ],
)
def test_spellings_of_a_mobile(text: str) -> None:
    assert read_mobile(text) == Spelled(MOBILE)


@pytest.mark.parametrize(
    "text",
    [
        "4200000001231",
        "42000-0000123-1",
        "42000 0000123 1",
        "۴۲۰۰۰-۰۰۰۰۱۲۳-۱",
        "42000\N{HYPHEN}0000123\N{FIGURE DASH}1",
    ],
)
def test_spellings_of_a_cnic(text: str) -> None:
    assert read_cnic(text) == Spelled(CNIC)


@pytest.mark.parametrize(
    "text",
    [
        "PK36SCBL0000001123456702",
        "pk36scbl0000001123456702",
        "PK36 SCBL 0000 0011 2345 6702",
        "PK36-SCBL-0000-0011-2345-6702",
        "PK۳۶ SCBL ۰۰۰۰ ۰۰۱۱ ۲۳۴۵ ۶۷۰۲",
        "\N{LEFT-TO-RIGHT ISOLATE}PK36SCBL0000001123456702\N{POP DIRECTIONAL ISOLATE}",
    ],
)
def test_spellings_of_an_iban(text: str) -> None:
    assert read_iban(text) == Spelled(ACCOUNT)


def test_an_iban_of_another_country() -> None:
    assert read_iban("de89 3704 0044 0532 0130 00") == Spelled("DE89370400440532013000")


def test_a_wallet_is_known_by_its_form() -> None:
    assert read_iban(WALLET) == Spelled(WALLET, ("WALLET_IBAN",))
    assert wallet_mobile(WALLET) == "+923000000011"
    assert wallet_mobile(ACCOUNT) is None


# ── Kept and flagged ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+923800000123", Spelled("+923800000123", ("ALIAS_UNLIKELY",))),
        ("021-35123456", Spelled("+922135123456", ("ALIAS_NOT_MOBILE",))),
        ("+971501234567", Spelled("+971501234567")),
        ("+92300****123", Spelled(None, ("ALIAS_INVALID",))),
        ("0300-0000123 ext 5", Spelled(None, ("ALIAS_INVALID",))),
        ("0300-LIBRARY", Spelled(None, ("ALIAS_INVALID",))),
        ("someone@example.invalid", Spelled(None, ("ALIAS_INVALID",))),
        ("0300-0000123/0300-0000124", Spelled(None, ("ALIAS_INVALID",))),
        ("03000000123 03000000124", Spelled(None, ("ALIAS_INVALID",))),
        ("5123456", Spelled(None, ("ALIAS_INVALID",))),
        ("111", Spelled(None, ("ALIAS_INVALID",))),
        ("+", Spelled(None, ("ALIAS_INVALID",))),
    ],
)
def test_an_odd_alias_is_flagged(text: str, found: Spelled) -> None:
    assert read_mobile(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("82101-0000123-1", Spelled("8210100001231", ("CNIC_UNLIKELY",))),
        ("42000-*****23-1", Spelled(None, ("CNIC_INVALID",))),
        ("42000-0000123", Spelled(None, ("CNIC_INVALID",))),
        ("42000-0000123-0", Spelled(None, ("CNIC_INVALID",))),
        ("00000-0000000-0", Spelled(None, ("CNIC_INVALID",))),
        ("11111-1111111-1", Spelled(None, ("CNIC_INVALID",))),
        ("502-89-123456", Spelled(None, ("CNIC_INVALID",))),
    ],
)
def test_an_odd_cnic_is_flagged(text: str, found: Spelled) -> None:
    assert read_cnic(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "PK37SCBL0000001123456702",
        "PK36SCBL000000112345670",
        "0000001123456702",
        "PK36 SCBL **** **** 2345 6702",
        "\N{CYRILLIC CAPITAL LETTER ER}K36SCBL0000001123456702",
        "DE89370400440532013001",
        "XX36SCBL0000001123456702",
    ],
)
def test_an_iban_that_is_none_is_flagged(text: str) -> None:
    assert read_iban(text) == Spelled(None, ("IBAN_INVALID",))


def test_what_cannot_be_read_names_nobody_and_is_kept_by_the_record() -> None:
    assert named("PK37SCBL0000001123456702", "42000-*****23-1", "****123") == Party(
        None, None, None, None, None, None, False, ("IBAN_INVALID", "CNIC_INVALID", "ALIAS_INVALID")
    )


# ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_strongest_evidence_names_the_party() -> None:
    everything = named(ACCOUNT, "42000-0000123-1", "03000000123")
    assert (everything.party_kind, everything.party_id) == ("ACCOUNT", key(ACCOUNT))
    assert (everything.person, everything.alias) == (key(f"cnic/{CNIC}"), key(f"mobile/{MOBILE}"))
    person = named(None, CNIC, MOBILE)
    assert (person.party_kind, person.party_id) == ("PERSON", key(f"cnic/{CNIC}"))
    alias = named(alias=MOBILE)
    assert (alias.party_kind, alias.party_id, alias.person) == ("ALIAS", key(f"mobile/{MOBILE}"), None)
    weaker = named("PK37SCBL0000001123456702", CNIC)
    assert (weaker.party_kind, weaker.flags) == ("PERSON", ("IBAN_INVALID",))


def test_the_number_in_a_wallet_s_iban_compares_with_an_alias() -> None:
    assert named(WALLET).wallet_mobile == named(alias="0300 0000011").alias
    assert named(WALLET, alias="0300 0000011").wallet_mobile == named(WALLET, alias="0300 0000011").alias


OWN = own_identifiers(ibans=[WALLET, "not an IBAN"], cnic="42000-0000011-2", mobile="+923000000011", key=key)
MINE = "PK36SCBL0000001123456702"


@pytest.mark.parametrize(
    ("iban", "cnic", "alias", "own_transfer", "own_mobile"),
    [
        (WALLET.lower(), None, None, True, True),
        (None, "4200000000112", None, True, False),
        # An account at another bank that is held under the holder's CNIC.
        (ACCOUNT, "42000-0000011-2", None, True, False),
        # A joint account of the holder, and the other who holds it.
        (WALLET, "42000-0000123-1", None, True, True),
        (ACCOUNT, "42000-0000123-1", None, False, False),
        # The family's shared phone.
        (ACCOUNT, None, "03000000011", False, True),
        (None, None, "03000000011", False, True),
        (None, None, None, False, False),
    ],
)
def test_own_transfers(
    iban: str | None, cnic: str | None, alias: str | None, own_transfer: bool, own_mobile: bool
) -> None:
    party = named(iban, cnic, alias, OWN)
    assert party.own_transfer == own_transfer
    assert ("OWN_MOBILE" in party.flags) == own_mobile


def test_what_is_not_known_of_the_holder_marks_nothing() -> None:
    own = own_identifiers(ibans=[], cnic="42000-*****11-2", mobile=None, key=key)
    assert own == NOBODY
    assert not named(None, "42000-*****11-2", "nonsense", own).own_transfer


def test_naming_remembers_and_names_nobody_where_nothing_is_stated() -> None:
    asked: list[str] = []

    def counting(text: str) -> str:
        asked.append(text)
        return key(text)

    naming = PartyNaming(NOBODY, counting)
    assert naming.of(Stated()) is None
    assert naming.of(Stated(None, "", None)) is None
    assert naming.of(Stated(ACCOUNT)) == naming.of(Stated(ACCOUNT)) == named(ACCOUNT)
    assert asked == [ACCOUNT]


def test_another_naming_of_the_same_statement_is_no_change() -> None:
    """A better parser, or one more own account: the bank has said nothing new."""
    before = EntityState(NAMED.entity_id, 1, NAMED.booking_key, NAMED)
    for party in (None, named(alias="0300 0000011")):
        after = before.at(1, replace(NAMED, party=party))
        assert diff({NAMED.entity_id: before}, {NAMED.entity_id: after}) == ()
    amended = before.at(1, replace(NAMED, counterparty=None, party=None))
    [change] = diff({NAMED.entity_id: before}, {NAMED.entity_id: amended})
    assert change.changed == ("counterparty",)
