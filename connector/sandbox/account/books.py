"""The holder as the bank counts them, their bank accounts, and what stands on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, money

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from connector.sandbox.ledger import Ledger
    from connector.sandbox.scenario import HolderSpec
    from connector.sandbox.transactions.books import Feed

Tier = Literal["L0", "L1", "ULTRA"]
Status = Literal["ACTIVE", "DORMANT", "BLOCKED", "CLOSED"]
HOLDER = "holder"
_TITLES = ("Zindigi Wallet", "Freelancer Account")


@dataclass(frozen=True, slots=True)
class Holder:
    """The person behind the login."""

    name: str
    cnic: str
    msisdn: str
    email: str | None
    tier: Tier
    segment: str
    minor: bool

    def body(self) -> Body:
        """The wire form, without the list of accounts."""
        return {
            "holder": {"name": self.name, "cnic": self.cnic, "msisdn": self.msisdn, "email": self.email},
            "tier": self.tier,
            "segment": self.segment,
            "minor": self.minor,
        }


@dataclass(frozen=True, slots=True)
class BankAccount:
    """One bank account, without what stands on it."""

    iban: str
    title: str
    status: Status = "ACTIVE"

    def body(self, tier: Tier) -> Body:
        """The wire form; the tier is the holder's."""
        return {"iban": self.iban, "title": self.title, "ccy": "PKR", "status": self.status, "tier": tier}


class Account:
    """What the bank keeps of one login. Tier and age decide what its other backends let the holder have.

    Tiers, statuses and balances have few values and may return to one that they had before.
    """

    def __init__(self, ledger: Ledger, spec: HolderSpec, feeds: Mapping[str, Feed], at: datetime) -> None:
        self.ledger = ledger
        self.holder = Holder(spec.name, spec.cnic, spec.msisdn, spec.email, spec.tier, spec.segment, spec.minor)
        self.bank_accounts: dict[str, BankAccount] = {}
        self._feeds = feeds
        ledger.create(HOLDER, self.holder.body(), at, resource=HOLDER, booking=0)
        for iban in feeds:
            self.open(iban, at)

    @property
    def tier(self) -> Tier:
        """The tier that the holder is in now."""
        return self.holder.tier

    @property
    def minor(self) -> bool:
        """Whether the holder is under 18 still."""
        return self.holder.minor

    @property
    def is_verified_adult(self) -> bool:
        """Whether the holder may have credit, a brokerage account and a full card."""
        return self.tier != "L0" and not self.minor

    def admits(self, iban: str, amount_paisa: int) -> bool:
        """Whether the holder can bring about such an entry: none on a closed account, only credits on a stopped one."""
        status = self.bank_accounts[iban].status
        return status == "ACTIVE" or (status != "CLOSED" and amount_paisa > 0)

    def change_holder(self, holder: Holder, at: datetime) -> None:
        """The bank holds other facts of the holder; a new tier is that of every bank account, too."""
        self.holder = holder
        self.ledger.update(HOLDER, holder.body(), at, may_return=True)
        for iban in self.bank_accounts:
            self._store(iban, at)

    def come_of_age(self, at: datetime) -> None:
        """The holder turns 18."""
        segment = "standard" if self.holder.segment == "gen_z" else self.holder.segment
        self.change_holder(replace(self.holder, minor=False, segment=segment), at)

    def open(self, iban: str, at: datetime) -> None:
        """A bank account is opened; its feed is there already."""
        account = BankAccount(iban, _TITLES[len(self.bank_accounts)])
        self.bank_accounts[iban] = account
        resource = bank_account_resource(iban)
        self.ledger.create(resource, account.body(self.tier), at, resource=resource, booking=0)
        self.ledger.create(_balance(iban), self._balance_body(iban), at, resource=resource, booking=0)

    def change_account(self, account: BankAccount, at: datetime) -> None:
        """A bank account gets another title or status."""
        self.bank_accounts[account.iban] = account
        self._store(account.iban, at)

    def follow(self, iban: str, at: datetime) -> None:
        """An entry of the account moved: so may have what stands on it."""
        self.ledger.update(_balance(iban), self._balance_body(iban), at, may_return=True)

    def whole_body(self, iban: str) -> Body:
        """The wire form of a bank account with what stands on it."""
        return {**self.bank_accounts[iban].body(self.tier), **self._balance_body(iban)}

    def listed(self) -> list[Body]:
        """The wire form of the list of accounts."""
        return [
            {"iban": account.iban, "title": account.title, "status": account.status}
            for account in self.bank_accounts.values()
        ]

    def versions(self, *entities: str) -> tuple[tuple[str, int], ...]:
        """Entities with their present versions."""
        return tuple((entity, self.ledger.present[entity].version) for entity in entities)

    def versions_of(self, iban: str) -> tuple[tuple[str, int], ...]:
        """What a look at the bank account shows."""
        return self.versions(bank_account_resource(iban), _balance(iban))

    def _balance_body(self, iban: str) -> Body:
        feed = self._feeds[iban]
        balance, available = money(feed.balance_paisa), money(feed.available_paisa)
        return {"iban": iban, "balance": balance, "available": available, "ccy": "PKR"}

    def _store(self, iban: str, at: datetime) -> None:
        body = self.bank_accounts[iban].body(self.tier)
        self.ledger.update(bank_account_resource(iban), body, at, may_return=True)


def bank_account_resource(iban: str) -> str:
    """What a client reads to see a bank account, which is also the entity of the account itself."""
    return f"bank-account/{iban}"


def _balance(iban: str) -> str:
    return f"balance/{iban}"
