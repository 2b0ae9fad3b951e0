"""Short spellings for the tests of the pure core: lines of a feed and what is known of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connector.diff import Change, apply, diff
from connector.domains.model import BookingKey, Entry, Record, Unreadable, Window
from connector.domains.registry import DOMAINS
from connector.domains.transactions import Transaction
from connector.observe import NO_TRUST, Depth, Known, Observation, Read, Trust, observe
from connector.state import EntityState
from tests.golden.samples import PENDING

(KIND,) = DOMAINS["transactions"].resources
POINTS, VOUCHERS = DOMAINS["loyalty"].resources
WINDOW = Window()
START = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)


def line(
    name: str,
    hours: float = 0,
    *,
    status: str = "POSTED",
    amount: str = "-1.00",
    balance: str | None = None,
    replaces: str | None = None,
) -> Transaction:
    return replace(
        PENDING,
        transaction_id=name,
        status=status,
        amount=Decimal(amount),
        balance_after=None if balance is None else Decimal(balance),
        initiated_at=START + timedelta(hours=hours),
        replaces=replaces,
    )


def entry(record: Record, raw: str | None = None) -> Entry:
    return Entry(record, hashlib.blake2b((raw or repr(record)).encode(), digest_size=16).digest())


def unreadable(raw: str, name: str | None = None, key: BookingKey | None = None) -> Unreadable:
    return Unreadable(hashlib.blake2b(raw.encode(), digest_size=16).digest(), "amount: not a number", name, key)


def state(record: Record, version: int = 1, *aliases: str, entity_id: str | None = None) -> EntityState:
    return EntityState(entity_id or record.entity_id, version, record.booking_key, record, aliases=aliases)


def known(*records: Record | EntityState, **facts: object) -> Known:
    states = [record if isinstance(record, EntityState) else state(record) for record in records]
    return Known(KIND, {one.entity_id: one for one in states}, **facts)  # type: ignore[arg-type]


def entries(*shown: Record | Entry | Unreadable) -> tuple[Entry | Unreadable, ...]:
    return tuple(one if isinstance(one, Entry | Unreadable) else entry(one) for one in shown)


def head(*shown: Record | Entry | Unreadable) -> Read:
    return Read(Depth.HEAD, entries(*shown), complete=False)


def sweep(*shown: Record | Entry | Unreadable, lower: BookingKey | None = None) -> Read:
    return Read(Depth.RECONCILE, entries(*shown), complete=True, lower=lower)


class Resource:
    """What is known of one resource, read after read; nothing is let go."""

    def __init__(self, known: Known) -> None:
        self.known = known

    def read(self, read: Read, trust: Trust = NO_TRUST) -> tuple[list[tuple[str, str]], Observation]:
        """The events of the read as (op, entity id), and what was observed."""
        seen = observe(self.known, read, trust)
        changes: tuple[Change, ...] = diff(self.known.entities, seen.believed)
        self.known = replace(self.known, entities=apply(self.known.entities, changes), suspicion=seen.suspicion)
        return [(change.op, change.after.entity_id) for change in changes if change.op is not None], seen
