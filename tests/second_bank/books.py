"""What the second bank knows of one holder, and what was true when.

An explicit ledger that tests write to. Made from the published contract alone: nothing here is the connector's or the
sandbox's. Every feed keeps each version of each of its entries with the instant from which on it was true, by the
bank's own (true) clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

KARACHI = timezone(timedelta(hours=5))
RETENTION = timedelta(days=400)

Now = Callable[[], datetime]
Order = tuple[int, str]
"""What a feed is ordered by: whole microseconds (or the number itself in the points ledger), then the id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of any feed in neutral terms; `surfaces` says how each feed prints them.

    `outlier`: its time or number is the bank's slip. `twin`: shown a second time with this amount. `garbled`: its
    amount is printed as something that is none.
    """

    id: str
    at: datetime
    amount: Decimal
    status: str
    replaces: str | None = None
    outlier: bool = False
    garbled: bool = False
    twin: Decimal | None = None

    @property
    def readable(self) -> bool:
        """False where nobody could say what it is."""
        return not self.garbled and self.twin is None

    @property
    def facts(self) -> tuple[Decimal, str, datetime]:
        """What must be told of it."""
        return self.amount, self.status, self.at.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Version:
    """What an entry was from `at` on; None: not there."""

    at: datetime
    entry: Entry | None


@dataclass(slots=True)
class Feed:
    """The entries of one surface of the holder, of one part (bank account, card, fund) where it has parts.

    `late` are those that came below one that was there before; `changed` is called after every change.
    """

    surface: str
    part: str | None
    now: Now
    numbered: bool = False
    changed: Callable[[], None] = lambda: None
    entries: dict[str, Entry] = field(default_factory=dict)
    history: dict[str, list[Version]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    newest: Order | None = None
    revision: int = 0

    def order(self, entry: Entry) -> Order:
        """The place of an entry in the feed."""
        if self.numbered:
            return int(entry.id), ""
        return round(entry.at.timestamp() * 1_000_000), entry.id

    def ascending(self) -> list[Entry]:
        """What is served: in order, without what has left by its age."""
        oldest = self.now() - RETENTION
        served = [one for one in self.entries.values() if self.numbered or one.outlier or one.at >= oldest]
        return sorted(served, key=self.order)

    def add(self, *entries: Entry) -> None:
        """Entries that are new, or back."""
        for entry in entries:
            order = self.order(entry)
            if entry.id not in self.history and self.newest is not None and order < self.newest:
                self.late.add(entry.id)
            if not entry.outlier:
                self.newest = max(order, self.newest or order)
            self._set(entry.id, entry)
        self.changed()

    def amend(self, entry_id: str, **changes: object) -> None:
        """An entry that is other from now on."""
        self._set(entry_id, replace(self.entries[entry_id], **changes))  # type: ignore[arg-type]
        self.changed()

    def remove(self, *entry_ids: str) -> None:
        """Entries that are no more."""
        for entry_id in entry_ids:
            self._set(entry_id, None)
        self.changed()

    def gone(self) -> list[Entry]:
        """What was removed and is not back, as it was last."""
        return [
            version.entry
            for entry_id, versions in self.history.items()
            if entry_id not in self.entries
            for version in versions[-2:-1]
            if version.entry is not None
        ]

    def _set(self, entry_id: str, entry: Entry | None) -> None:
        self.revision += 1
        self.history.setdefault(entry_id, []).append(Version(self.now(), entry))
        if entry is None:
            del self.entries[entry_id]
        else:
            self.entries[entry_id] = entry


class Books:
    """One holder: who they are, and their feeds by (surface, part). All names and numbers are invented."""

    def __init__(self, now: Now, *, msisdn: str = "+923000000701", ibans: int = 1) -> None:
        self.now = now
        self.msisdn = msisdn
        self.cnic = "42000-0000701-2"
        self.pin = "2741"
        self.minor = False
        self.ibans = [_iban(number) for number in range(1, ibans + 1)]
        self.card = "C0000000000701A"
        self.fund = "F-INC-07"
        self.opening = {iban: Decimal("1000000.00") for iban in self.ibans}
        self._feeds: dict[tuple[str, str | None], Feed] = {}
        self._balances: dict[str, tuple[int, dict[str, Decimal]]] = {}
        for iban in self.ibans:
            feed = self._feeds["transactions", iban] = Feed("transactions", iban, now)
            feed.changed = self._on_account(iban)
        for surface, part, numbered in (
            ("authorizations", self.card, False),
            ("bills", None, False),
            ("bookings", None, False),
            ("orders", None, False),
            ("points", None, True),
            ("cards", None, False),
            ("vouchers", None, False),
            ("holdings", None, False),
            ("nav", self.fund, False),
            ("loans", None, False),
            ("balance", None, False),
            ("bank_account", None, False),
            ("holder", None, False),
        ):
            self._feeds[surface, part] = Feed(surface, part, now, numbered)
        self.feed("holder").add(Entry("holder", now(), Decimal(0), "L1"))
        for iban in self.ibans:
            self.feed("bank_account").add(Entry(iban, now(), Decimal(0), "ACTIVE"))
            self.feed("balance").add(Entry(iban, now(), self.opening[iban], "PKR"))
        issued = now().replace(microsecond=0) - timedelta(days=200)
        self.feed("cards").add(Entry(self.card, issued, Decimal("50000.00"), "ACTIVE"))

    @property
    def tier(self) -> str:
        """What class of customer the holder is."""
        return self.feed("holder").entries["holder"].status

    def feed(self, surface: str, part: str | None = None) -> Feed:
        """A feed; the first one of its surface where no part is named."""
        if (surface, part) in self._feeds:
            return self._feeds[surface, part]
        return next(feed for feed in self if feed.surface == surface)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def balances(self, iban: str) -> dict[str, Decimal]:
        """The running balance after each posted entry of an account, in the feed's own order."""
        feed = self.feed("transactions", iban)
        revision, after = self._balances.get(iban, (-1, {}))
        if revision != feed.revision:
            standing, after = self.opening[iban], {}
            for entry in feed.ascending():
                if entry.status == "posted":
                    standing += entry.amount
                    after[entry.id] = standing
            self._balances[iban] = feed.revision, after
        return after

    def _on_account(self, iban: str) -> Callable[[], None]:
        def changed() -> None:
            standing = [*self.balances(iban).values()]
            balance = self.feed("balance")
            if standing and balance.entries[iban].amount != standing[-1]:
                balance.amend(iban, amount=standing[-1])

        return changed


def _iban(number: int) -> str:
    bban = f"JSBL{7_000_000_000_000_000 + number}"
    digits = "".join(str(int(letter, 36)) for letter in f"{bban}PK00")
    return f"PK{98 - int(digits) % 97:02d}{bban}"
