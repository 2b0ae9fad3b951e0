"""Invented families: joint accounts, shared phones, numbers that change hands, and what a bank says of them.

Mobiles are +92 300 0000xxx, CNIC serials are running numbers, IBANs have valid check digits over invented accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import strategies as st

from connector.sandbox.people import iban, second_iban, wallet_iban

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = ("0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩", "0123456789")
BETWEEN = (
    "",
    "",
    " ",
    "-",
    "\N{NO-BREAK SPACE}",
    "\N{EN DASH}",
    "\N{RIGHT-TO-LEFT MARK}",
    "\N{ZERO WIDTH JOINER}",
    ".",
)
MOBILE_PREFIXES = ("+92", "0092", "92", "0")


@dataclass(frozen=True)
class Payment:
    """A payment as it was, and the identifiers that the bank states of it, in some spelling."""

    number: int
    at: datetime
    account: str
    person: int
    iban: str | None
    cnic: str | None
    alias: str | None
    cnic_of: int | None


@dataclass(frozen=True)
class Families:
    """Person 0 is the holder. `owners` are those of each account (canonical IBAN)."""

    cnics: tuple[str, ...]
    owners: dict[str, frozenset[int]]
    holder_mobile: str
    payments: tuple[Payment, ...]


def mobile(number: int) -> str:
    return f"+92300{number:07d}"


def cnic(number: int) -> str:
    return f"42000{number:07d}{number % 9 + 1}"


def spelled(characters: str) -> st.SearchStrategy[str]:
    """The characters with other digits, letters of any case, and what separates or shows nothing in between."""
    return st.integers(0, 2**32).map(lambda seed: _spell(characters, Random(seed)))


def _spell(characters: str, random: Random) -> str:
    digits = random.choice(DIGITS)
    lower = random.random() < 0.5
    shown = [digits[int(one)] if one.isdigit() else one.lower() if lower else one for one in characters]
    return "".join(random.choice(BETWEEN) + one for one in shown) + random.choice(BETWEEN)


def spelled_mobile(e164: str) -> st.SearchStrategy[str]:
    return st.sampled_from(MOBILE_PREFIXES).flatmap(lambda prefix: spelled(f"{prefix}{e164.removeprefix('+92')}"))


@st.composite
def families(draw: st.DrawFn) -> Families:
    """People, their accounts and phones, and payments to them over a year."""
    count = draw(st.integers(2, 5))
    people = range(count)
    owners: dict[str, frozenset[int]] = {}
    for person in people:
        owners[wallet_iban(mobile(person))] = frozenset({person})
        if draw(st.booleans()):
            owners[second_iban(mobile(person))] = frozenset({person})
    for number in range(draw(st.integers(0, 2))):
        owners[iban("MEZN", f"{number:016d}")] = frozenset(
            draw(st.sets(st.sampled_from(people), min_size=2, max_size=2))
        )
    accounts = sorted(owners)
    # Where each number points, from day to day: shared in a family, ported, given out again to somebody else.
    phones = {
        mobile(number): draw(st.lists(st.sampled_from(accounts), min_size=1, max_size=3)) for number in range(count)
    }
    payments = tuple(draw(_payment(number, owners, phones)) for number in range(draw(st.integers(1, 12))))
    return Families(tuple(cnic(person) for person in people), owners, mobile(0), payments)


@st.composite
def _payment(draw: st.DrawFn, number: int, owners: dict[str, frozenset[int]], phones: dict[str, list[str]]) -> Payment:
    phone = draw(st.sampled_from(sorted(phones)))
    era = draw(st.integers(0, len(phones[phone]) - 1))
    account = phones[phone][era]
    person = draw(st.sampled_from(sorted(owners[account])))
    states = {"iban": draw(st.booleans()), "cnic": draw(st.booleans()), "alias": draw(st.booleans())}
    if not states["alias"]:
        # Not by way of a number: to any account.
        account = draw(st.sampled_from(sorted(owners)))
        person = draw(st.sampled_from(sorted(owners[account])))
    return Payment(
        number=number,
        at=BEGIN + timedelta(days=100 * era, seconds=number),
        account=account,
        person=person,
        iban=draw(spelled(account)) if states["iban"] else None,
        cnic=draw(spelled(cnic(person))) if states["cnic"] else None,
        alias=draw(spelled_mobile(phone)) if states["alias"] else None,
        cnic_of=person if states["cnic"] else None,
    )
