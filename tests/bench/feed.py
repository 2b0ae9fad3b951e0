"""Canned feeds: histories of invented accounts, rendered once as the sandbox bank renders them, cut into pages.

The same seed gives the same bytes. Everything lies within five weeks before `NEWEST`, so that a window holds it all.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from connector.sandbox.people import BILLERS, Counterparty, Hand, invent_contacts, wallet_iban
from connector.sandbox.transactions.books import Rail, Transaction, with_balance
from connector.sandbox.wire import decode_cursor, dumps, encode_cursor, etag, local_date

NEWEST = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)
"""When the last entry of every history was initiated; the canned bank's clock stands half an hour later."""

RAILS: tuple[tuple[Rail, int], ...] = (
    ("CARD", 30),
    ("RAAST_P2P", 25),
    ("RAAST_P2M", 15),
    ("BILL_PAY", 8),
    ("ATM", 7),
    ("IBFT", 7),
    ("TOPUP", 5),
    ("FEE", 3),
)
"""How money moves, by weight out of 100: about as in the sandbox's own lives."""
MAXIMUM_ENTRIES = 800
"""An entry an hour: more would reach back beyond the 35 days of a window."""


def iban_of(number: int) -> str:
    """The one bank account of the holder with that number."""
    return wallet_iban(msisdn_of(number))


def msisdn_of(number: int) -> str:
    """The holder's invented mobile number."""
    return f"+92300{number:07d}"


def invent_history(seed: int, number: int, count: int) -> list[Transaction]:
    """Posted entries of one account, oldest first, one an hour."""
    if count > MAXIMUM_ENTRIES:
        raise ValueError(f"a history has at most {MAXIMUM_ENTRIES} entries, not {count}")
    hand = Hand(f"bench/{seed}/{number}")
    contacts = invent_contacts(hand.rng, 5_000_000 + number * 20)
    rails = [rail for rail, _ in RAILS]
    weights = [weight for _, weight in RAILS]
    history = []
    for age in reversed(range(count)):
        rail = hand.rng.choices(rails, weights)[0]
        at = NEWEST - timedelta(hours=age, seconds=hand.rng.randint(0, 1800))
        if hand.rng.random() < 0.25:
            at += timedelta(microseconds=hand.rng.randint(1, 999_999))
        party: Counterparty | None = None
        if rail in {"CARD", "RAAST_P2M"}:
            party = hand.rng.choice(contacts.shops)
        elif rail in {"RAAST_P2P", "IBFT"}:
            party = hand.rng.choice(contacts.people)
        sign = 1 if rail in {"RAAST_P2P", "IBFT"} and hand.rng.random() < 0.4 else -1
        history.append(
            Transaction(
                id=hand.id("T"),
                iban=iban_of(number),
                rail=rail,
                amount_paisa=sign * hand.rupees(80, 9_000),
                initiated_at=at,
                posted_at=at + timedelta(seconds=hand.rng.randint(1, 20)),
                counterparty=party,
                biller=hand.rng.choice(BILLERS).name if rail in {"BILL_PAY", "TOPUP"} else None,
                receipt_ref=hand.id("R") if rail in {"RAAST_P2M", "BILL_PAY", "IBFT"} else None,
            )
        )
    return history


@dataclass(frozen=True, slots=True)
class CannedPage:
    """One answer, ready to be sent."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes) -> CannedPage:
        """A body with its tag."""
        return cls(body, etag(body))


class CannedFeed:
    """One history as pages. Positions count from the oldest entry, so that a cursor never shifts."""

    def __init__(self, history: list[Transaction], opening_paisa: int = 500_000_000) -> None:
        self.items: list[bytes] = []
        self._days = [local_date(transaction.initiated_at) for transaction in history]
        balance = opening_paisa
        for transaction in history:
            balance += transaction.amount_paisa
            self.items.append(dumps(with_balance(transaction.body(), balance)))
        self.page = lru_cache(maxsize=4096)(self._page)

    def _page(self, shown: int, cursor: str | None, since: str | None, limit: int) -> CannedPage | None:
        """A page of the oldest `shown` entries, newest first; None where the cursor is none of ours."""
        end = shown
        if cursor is not None:
            parts = decode_cursor(cursor)
            if parts is None:
                return None
            end = int(parts[0])
        first = 0 if since is None else bisect_left(self._days, datetime.fromisoformat(since).date())
        start = max(first, end - limit)
        items = b",".join(reversed(self.items[start:end]))
        following = f'"{encode_cursor(str(start))}"' if start > first else "null"
        body = b'{"items":[%s],"next_cursor":%s}' % (items, following.encode())
        return CannedPage.of(body)


def profile_of(number: int) -> bytes:
    """What `/me` says of a holder."""
    name = f"Holder {number}"
    body: dict[str, Any] = {
        "holder": {"name": name, "cnic": f"42000-{number:07d}-1", "msisdn": msisdn_of(number), "email": None},
        "tier": "L1",
        "segment": "adult",
        "minor": False,
        "accounts": [{"iban": iban_of(number), "title": name, "status": "ACTIVE"}],
    }
    return dumps(body)
