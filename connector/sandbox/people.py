"""Invented people, merchants and billers.

Nobody here exists: mobiles are all of the form +92 300 0000xxx, CNIC serials are zeros with a running number, and
IBANs carry valid check digits over invented account numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.sandbox.wire import Body

_GIVEN = ("Aamna", "Bilal", "Dania", "Farhan", "Hira", "Imran", "Komal", "Naveed", "Rabia", "Saad", "Tania", "Zubair")
_FAMILY = ("Abroo", "Chandio", "Durrani", "Gabol", "Jogezai", "Kakar", "Laghari", "Mirani", "Panhwar", "Tiwana")
_BANKS = ("JSBL", "MEZN", "HABB", "UNIL", "ALFH", "MUCB")
_SHOPS = (
    "Sufi Bazaar Clifton",
    "Chaandni Fabrics",
    "Kinara Cafe",
    "Dastarkhwan Grill",
    "Raftaar Rides",
    "Bolan Books",
    "Peshawari Dry Fruit",
    "Nadiya Pharmacy",
    "Attock Fuel Stop 12",
    "Tara Electronics",
)


def iban(bank: str, account: str) -> str:
    """A Pakistani IBAN with valid check digits (ISO 13616) over a 16-character account number."""
    digits = "".join(str(int(character, 36)) for character in f"{bank}{account}PK00")
    return f"PK{98 - int(digits) % 97:02d}{bank}{account}"


def wallet_iban(msisdn: str) -> str:
    """The IBAN of a wallet: 99999 and the mobile number in its national form."""
    return iban("JSBL", "99999" + "0" + msisdn.removeprefix("+92"))


def second_iban(msisdn: str) -> str:
    """The IBAN of a holder's second, ordinary account."""
    return iban("JSBL", "00012" + "0" + msisdn.removeprefix("+92"))


@dataclass(frozen=True, slots=True)
class Counterparty:
    """The other side of an entry, as far as the rail makes it known; any part may be missing."""

    alias: str | None = None
    iban: str | None = None
    cnic: str | None = None
    name: str | None = None

    def body(self) -> Body:
        """The wire form."""
        return {"alias": self.alias, "iban": self.iban, "cnic": self.cnic, "name": self.name}


@dataclass(frozen=True, slots=True)
class Biller:
    """Who presents bills."""

    code: str
    name: str
    category: str

    def body(self) -> Body:
        """The wire form."""
        return {"code": self.code, "name": self.name, "category": self.category}


BILLERS = (
    Biller("MEHEL", "Mehran Electric", "ELECTRICITY"),
    Biller("INGAS", "Indus Gas", "GAS"),
    Biller("RVWAT", "Ravi Water Board", "WATER"),
    Biller("MGFIB", "Margalla Fibre", "INTERNET"),
    Biller("CHMOB", "Cholistan Mobile", "MOBILE"),
)
"""Invented billers."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Whom a holder deals with."""

    people: tuple[Counterparty, ...]
    shops: tuple[Counterparty, ...]
    employer: Counterparty
    client: Counterparty


def invent_contacts(rng: Random, first_number: int) -> Contacts:
    """A circle of acquaintances; `first_number` keeps the numbers of different holders apart."""
    people = tuple(_invent_person(rng, first_number + n) for n in range(8))
    shops = tuple(Counterparty(name=name) for name in rng.sample(_SHOPS, 6))
    return Contacts(
        people=people,
        shops=shops,
        employer=Counterparty(iban=iban("HABB", f"{first_number:016d}"), name="Sindbad Textiles (Pvt) Ltd"),
        client=Counterparty(iban=iban("MEZN", f"{first_number + 9:016d}"), name="Brightwater Studio LLC"),
    )


def _invent_person(rng: Random, number: int) -> Counterparty:
    alias = f"+92300{number:07d}"
    bank = rng.choice(_BANKS)
    account = wallet_iban(alias) if rng.random() < 0.3 else iban(bank, f"{number:016d}")
    return Counterparty(
        alias=alias,
        iban=account,
        cnic=f"42000-{number:07d}-{rng.randint(1, 9)}",
        name=f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)}",
    )


class Hand:
    """A source of seeded choices and of ids that are never given twice; every routine has its own.

    Two hands with different seed texts draw independently, so that what one does never changes what another will.
    """

    def __init__(self, seed_text: str) -> None:
        self.rng = Random(seed_text)
        self._seed_text = seed_text
        self._given = 0

    def id(self, prefix: str) -> str:
        """A fresh id, the same one at the same turn for the same seed."""
        self._given += 1
        digest = hashlib.blake2b(f"{self._seed_text}#{self._given}".encode(), digest_size=7).hexdigest()
        return f"{prefix}{digest.upper()}"

    def rupees(self, least: int, most: int) -> int:
        """An amount in paisa; every third one has paisa in it."""
        paisa = self.rng.randint(1, 99) if self.rng.random() < 0.34 else 0
        return self.rng.randint(least, most) * 100 + paisa
