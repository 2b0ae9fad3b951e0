"""A small bank whose feed changes under the reader's eyes; the truth that the pure core is held to.

It shares nothing with the core but the record types. Times are hours on its own ledger clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from connector.domains.loyalty import PointsEntry, Voucher
from connector.domains.model import BookingKey, Entry, Feed, Record, ResourceKind, Unreadable, Window
from connector.domains.transactions import Transaction

IBAN = "PK25JSBL9999903000000101"  # invented
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RETENTION_DAYS = 40

NEWEST_FIRST = ResourceKind(
    name="transactions",
    backend="bank",
    surface="wallet",
    feed=Feed.NEWEST_FIRST,
    window=Window(days=2, minimum_entries=3, maximum_entries=7, retention_days=RETENTION_DAYS),
    head_interval_seconds=1.0,
    reconcile_interval_seconds=1.0,
)
ASCENDING = replace(
    NEWEST_FIRST,
    name="points",
    backend="z-miles",
    feed=Feed.ASCENDING,
    window=Window(days=None, minimum_entries=3, maximum_entries=7, retention_days=None),
)
WHOLE = replace(NEWEST_FIRST, name="vouchers", backend="z-miles", feed=Feed.WHOLE, window=None)

Hidden = Literal["", "named", "keyed", "nameless"]


def instant(hours: int) -> datetime:
    return EPOCH + timedelta(hours=hours)


@dataclass(frozen=True)
class Line:
    """What the bank holds of one entry. `hidden` says how much of it cannot be understood just now."""

    name: str
    hours: int
    status: str = "POSTED"
    note: int = 0
    replaces: str | None = None
    hidden: Hidden = ""
    scar: int = 0


def transaction(line: Line) -> Transaction:
    return Transaction(
        iban=IBAN,
        transaction_id=line.name,
        replaces=line.replaces,
        rail="RAAST_P2P",
        rail_source="RAAST_P2P",
        bank_transaction_code="PMNT-IRCT-ESCT",
        amount=Decimal(100 + line.note),
        currency="PKR",
        status=line.status,
        status_source=line.status.lower(),
        initiated_at=instant(line.hours),
        initiated_at_source=instant(line.hours).isoformat(),
        posted_at=None,
        posted_at_source=None,
        balance_after=None,
        counterparty=None,
        biller=None,
        receipt_ref=None,
    )


def points_entry(line: Line) -> PointsEntry:
    return PointsEntry(
        entry_id=int(line.name),
        kind="EARNED",
        kind_source="EARN",
        points=10 + line.note,
        at=instant(line.hours),
        at_source=instant(line.hours).isoformat(),
        description=None,
        source_ref=None,
        voucher_id=None,
    )


def voucher(line: Line) -> Voucher:
    status = {"PENDING": "ISSUED", "POSTED": "ISSUED", "REVERSED": "REDEEMED"}[line.status]
    return Voucher(
        voucher_id=line.name,
        title="Tea",
        points=50 + line.note,
        status=status,
        status_source=status,
        issued_at=instant(line.hours),
        issued_at_source=instant(line.hours).isoformat(),
        expires_on=None,
        redeemed_at=None,
        redeemed_at_source=None,
    )


RENDER = {Feed.NEWEST_FIRST: transaction, Feed.ASCENDING: points_entry, Feed.WHOLE: voucher}


class Bank:
    """Lines by name, and every way in which they may change. Each change takes two numbers to choose by."""

    def __init__(self, feed: Feed, history: int) -> None:
        self.feed = feed
        self.now = 0
        self.lines: dict[str, Line] = {}
        self.gone: list[Line] = []
        self.count = 0
        self.served: set[Record] = set()
        self.returned: set[str] = set()
        self.taken_over: set[str] = set()
        for number in range(history):
            self.add(number * 5 % 11, number)

    # ── What it shows ───────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, line: Line) -> Record:
        return RENDER[self.feed](line)

    @property
    def served_from(self) -> int:
        """Hours: what is older has silently left the feed."""
        return self.now - RETENTION_DAYS * 24 if self.feed is Feed.NEWEST_FIRST else 0

    def shown(self) -> list[Line]:
        lines = [line for line in self.lines.values() if line.hours >= self.served_from]
        return sorted(lines, key=lambda line: self.record(line).booking_key, reverse=self.feed is Feed.NEWEST_FIRST)

    def entry(self, line: Line) -> Entry | Unreadable:
        digest = hashlib.blake2b(repr(line).encode(), digest_size=16).digest()
        record = self.record(line)
        if line.hidden == "":
            self.served.add(record)
            return Entry(record, digest)
        name = None if line.hidden == "nameless" else record.entity_id
        key = record.booking_key if line.hidden == "keyed" else None
        return Unreadable(digest, "amount: not a number", name, key)

    def feed_entries(self) -> list[Entry | Unreadable]:
        return [self.entry(line) for line in self.shown()]

    def present(self) -> dict[str, Record]:
        """The bank's present state by its own ids: what another shown line took over from does not count beside it."""
        taken_over = {line.replaces for line in self.shown()}
        return {
            record.entity_id: record
            for line in self.shown()
            if line.name not in taken_over
            for record in [self.record(line)]
        }

    def ambiguous(self) -> set[str | None]:
        """Ids that were taken over by one that left in its turn: nobody can say whether they count."""
        replaces = {line.name: line.replaces for line in (*self.gone, *self.lines.values())}
        ids = set()
        for line in self.shown():
            earlier = line.replaces
            while earlier is not None:
                earlier = replaces.get(earlier)
                ids.add(earlier)
        return ids

    # ── What happens in it ──────────────────────────────────────────────────────────────────────────────────────────

    def _name(self) -> str:
        self.count += 1
        # Ids are in no order of time, so that ties break either way.
        return str(self.count) if self.feed is Feed.ASCENDING else f"t{self.count * 7 % 10}-{self.count}"

    def _pick(self, a: int, status: str | None = None) -> Line | None:
        lines = [line for line in self.shown() if status is None or line.status == status]
        return lines[a % len(lines)] if lines else None

    def _put(self, line: Line) -> None:
        self.lines[line.name] = line

    def add(self, a: int, b: int) -> None:
        self.now += a % 30
        self._put(Line(self._name(), self.now, "PENDING" if b % 3 == 0 else "POSTED"))

    def back_date(self, a: int, b: int) -> None:
        hours = max(0, self.now - a % 120) if self.feed is Feed.NEWEST_FIRST else self.now
        self._put(Line(self._name(), hours, "PENDING" if b % 4 == 0 else "POSTED"))

    def amend(self, a: int, b: int) -> None:
        if line := self._pick(a):
            self._put(replace(line, note=b % 3))

    def amended(self, a: int) -> Line | None:
        """The line that was there before one of the first was amended."""
        if line := self._pick(a % 2):
            self._put(replace(line, note=line.note + 1))
        return line

    def settle(self, a: int, _b: int) -> None:
        """Pending to posted, the id kept."""
        if line := self._pick(a, "PENDING"):
            self._put(replace(line, status="POSTED"))

    def reverse(self, a: int, _b: int) -> None:
        if line := self._pick(a):
            self._put(replace(line, status="REVERSED"))

    def unsettle(self, a: int, _b: int) -> None:
        if line := self._pick(a):
            self._put(replace(line, status="PENDING"))

    def take_over(self, a: int, b: int) -> None:
        """Pending to posted under another id, naming the pending one or not; at times both stay in the feed."""
        line = self._pick(a, "PENDING")
        if line is None or line.hidden or self.feed is not Feed.NEWEST_FIRST:
            return
        status = "PENDING" if b % 5 == 0 else "POSTED"
        if b % 4 != 0:
            self._leave(line)
        replaces = None if b % 3 == 0 else line.name
        self._put(Line(self._name(), line.hours, status, line.note, replaces))
        if replaces is not None:
            self.taken_over.add(replaces)

    def remove(self, a: int, _b: int) -> None:
        if line := self._pick(a):
            self._leave(line)

    def _leave(self, line: Line) -> None:
        self.gone.append(self.lines.pop(line.name))

    def bring_back(self, a: int, _b: int) -> None:
        if self.gone:
            line = self.gone.pop(a % len(self.gone))
            self.returned.add(self.record(line).entity_id)
            self._put(line)

    def hide(self, a: int, b: int) -> None:
        if line := self._pick(a):
            kinds: tuple[Hidden, ...] = ("named", "keyed", "nameless")
            self._put(replace(line, hidden=kinds[b % 3], scar=line.scar + 1))

    def show(self, a: int, _b: int) -> None:
        hidden = [line for line in self.shown() if line.hidden]
        if hidden:
            self._put(replace(hidden[a % len(hidden)], hidden=""))

    def show_all(self) -> None:
        for line in list(self.lines.values()):
            self._put(replace(line, hidden=""))

    def key(self, hours: int) -> BookingKey:
        return BookingKey(int((instant(hours) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)), "")


CHANGES = (
    "add",
    "add",
    "back_date",
    "amend",
    "settle",
    "reverse",
    "unsettle",
    "take_over",
    "remove",
    "bring_back",
    "hide",
    "show",
)
