"""The bank's books: entries of one or more accounts, and the feed of each in the order in which the bank shows it."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.keyset import Position, cut
from connector.sandbox.wire import Body, Json, local_instant, micros, money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from connector.sandbox.ledger import Ledger
    from connector.sandbox.people import Counterparty

Rail = Literal[
    "RAAST_P2P",
    "RAAST_P2M",
    "RAAST_RETURN",
    "IBFT",
    "ZINDIGI_INTERNAL",
    "CNIC_TRANSFER",
    "CARD",
    "ATM",
    "BILL_PAY",
    "TOPUP",
    "INVESTMENT",
    "LOAN_DISBURSAL",
    "LOAN_REPAYMENT",
    "REWARD",
    "FEE",
    "REVERSAL",
]
Status = Literal["pending", "posted", "reversed"]
PostingWay = Literal["same_id", "replaces", "new_id"]


@dataclass(frozen=True, slots=True)
class Transaction:
    """One entry. `id` is the bank's present id of it; amounts are paisa, credit positive."""

    id: str
    iban: str
    rail: Rail
    amount_paisa: int
    initiated_at: datetime
    status: Status = "posted"
    posted_at: datetime | None = None
    counterparty: Counterparty | None = None
    biller: str | None = None
    replaces: str | None = None
    receipt_ref: str | None = None

    @property
    def position(self) -> Position:
        """Its place in the feed."""
        return micros(self.initiated_at), self.id

    def body(self) -> Body:
        """The wire form without `balance_after`, which belongs to the feed and not to the entry."""
        return {
            "id": self.id,
            "rail": self.rail,
            "amount": money(self.amount_paisa),
            "ccy": "PKR",
            "counterparty": self.counterparty.body() if self.counterparty else None,
            "biller": self.biller,
            "initiated_at": local_instant(self.initiated_at),
            "posted_at": local_instant(self.posted_at) if self.posted_at else None,
            "status": self.status,
            "replaces": self.replaces,
            "receipt_ref": self.receipt_ref,
        }


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """An entity as its feed shows it."""

    entity: str
    transaction: Transaction
    balance_paisa: int | None

    def body(self) -> dict[str, Json]:
        """The whole wire item."""
        return with_balance(self.transaction.body(), self.balance_paisa)


def with_balance(body: Body, balance_paisa: int | None) -> dict[str, Json]:
    """The wire item of an entry that is rendered already."""
    return {**body, "balance_after": None if balance_paisa is None else money(balance_paisa)}


class Feed:
    """The entries of one bank account and the running balance over the posted ones, oldest to newest."""

    def __init__(self, opening_paisa: int) -> None:
        self._opening_paisa = opening_paisa
        self._positions: list[Position] = []
        self._entries: dict[str, tuple[str, Transaction]] = {}
        self._balances: dict[str, int] | None = None
        self.balance_paisa = opening_paisa
        self.available_paisa = opening_paisa

    def put(self, entity: str, transaction: Transaction) -> None:
        """Show an entry."""
        insort(self._positions, transaction.position)
        self._entries[transaction.id] = (entity, transaction)
        self._balances = None
        self._move(transaction, transaction.amount_paisa)

    def drop(self, transaction: Transaction) -> None:
        """Show it no longer."""
        del self._positions[bisect_left(self._positions, transaction.position)]
        del self._entries[transaction.id]
        self._balances = None
        self._move(transaction, -transaction.amount_paisa)

    def _move(self, transaction: Transaction, paisa: int) -> None:
        if transaction.status != "reversed":
            self.available_paisa += paisa
        if transaction.status == "posted":
            self.balance_paisa += paisa

    def page(self, *, since: int, before: Position | None, limit: int) -> tuple[list[FeedEntry], bool]:
        """At most `limit` entries, newest first, and whether older ones follow; see `keyset.cut`."""
        positions, more = cut(self._positions, since=since, before=before, limit=limit)
        return list(self._show(positions)), more

    def newest_first(self) -> list[FeedEntry]:
        """Every entry."""
        return list(self._show(reversed(self._positions)))

    def _show(self, positions: Iterable[Position]) -> Iterable[FeedEntry]:
        balances = self._running_balances()
        for _, transaction_id in positions:
            entity, transaction = self._entries[transaction_id]
            yield FeedEntry(entity, transaction, balances.get(transaction_id))

    def _running_balances(self) -> dict[str, int]:
        if self._balances is None:
            self._balances = {}
            balance = self._opening_paisa
            for _, transaction_id in self._positions:
                transaction = self._entries[transaction_id][1]
                if transaction.status == "posted":
                    balance += transaction.amount_paisa
                    self._balances[transaction_id] = balance
        return self._balances


class Transactions:
    """What the bank can do to entries; every act is one change of one entity, posting under a new id being two.

    The entity of an entry is the first id it had, whatever the bank calls it later. `moved` is told, with the IBAN, of
    every act that may have moved what stands on an account.
    """

    def __init__(self, ledger: Ledger, opening_paisa: dict[str, int]) -> None:
        self.ledger = ledger
        self.moved: Callable[[str, datetime], None] = lambda _iban, _at: None
        self.feeds = {iban: Feed(opening) for iban, opening in opening_paisa.items()}
        self._present: dict[str, Transaction] = {}

    def open(self, iban: str) -> None:
        """A bank account with nothing on it."""
        self.feeds[iban] = Feed(0)

    def get(self, entity: str) -> Transaction | None:
        """The entry as it stands, or None where it is gone."""
        return self._present.get(entity)

    def enter(self, transaction: Transaction, at: datetime) -> str:
        """A new entry; its id becomes the entity."""
        entity = transaction.id
        self.ledger.create(
            entity,
            transaction.body(),
            at,
            resource=f"transactions/{transaction.iban}",
            booking=micros(transaction.initiated_at),
        )
        self._present[entity] = transaction
        self.feeds[transaction.iban].put(entity, transaction)
        self.moved(transaction.iban, at)
        return entity

    def post(self, entity: str, at: datetime, way: PostingWay, new_id: str) -> str:
        """A pending entry is settled; gives the entity that stands for it from here on.

        `same_id` changes the status. `replaces` gives the entry `new_id` and names the former one. `new_id` removes the
        pending entry and enters another, with nothing to tell that they are the same.
        """
        pending = self._present[entity]
        posted = replace(pending, status="posted", posted_at=at)
        if way == "same_id":
            self._replace(entity, posted, at)
        elif way == "replaces":
            self._replace(entity, replace(posted, id=new_id, replaces=pending.id), at)
        else:
            self.remove(entity, at)
            return self.enter(replace(posted, id=new_id), at)
        return entity

    def amend(self, entity: str, at: datetime, amended: Transaction) -> None:
        """Replace the entry in place."""
        self._replace(entity, amended, at)

    def reverse(self, entity: str, at: datetime) -> None:
        """The entry counts no more but stays in the feed."""
        self._replace(entity, replace(self._present[entity], status="reversed"), at)

    def remove(self, entity: str, at: datetime) -> None:
        """The entry leaves the feed."""
        transaction = self._present.pop(entity)
        self.ledger.delete(entity, at)
        self.feeds[transaction.iban].drop(transaction)
        self.moved(transaction.iban, at)

    def _replace(self, entity: str, new: Transaction, at: datetime) -> None:
        old = self._present[entity]
        if self.ledger.update(entity, new.body(), at) is None:
            return
        self._present[entity] = new
        self.feeds[old.iban].drop(old)
        self.feeds[new.iban].put(entity, new)
        self.moved(new.iban, at)
