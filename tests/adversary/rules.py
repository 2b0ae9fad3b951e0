"""What the adversary may do to the bank, each rule with two numbers to choose by.

A rule changes the books (that is the truth from then on), or how the bank answers (that is a lie, or trouble). Lies and
troubles end by `heal`, and before they have stood for longer than a change must stand to be believed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.adversary.judge import Lie
from tests.second_bank.bank import Answer, Overlay, Request, SecondBank
from tests.second_bank.books import Books, Entry, Feed
from tests.second_bank.surfaces import FIRST, LAST, LEDGERS, SNAPSHOTS, entry

BURSTS = (30, 60, 130, 600, 1300)
PATHS = {
    "transactions": "/accounts/*/transactions",
    "authorizations": "/cards/*/authorizations",
    "bills": "/bills",
    "bookings": "/bookings",
    "orders": "/invest/v1/orders",
    "points": "/z-miles/ledger",
    "vouchers": "/z-miles/summary",
    "holdings": "/invest/v1/portfolio",
    "loans": "/advance-cash/inquiry",
    "nav": "/invest/*/nav",
    "cards": "/cards",
    "balance": "/accounts/" + "?" * 24,
    "profile": "/me",
    "refresh": "/auth/refresh",
}
CODES: Mapping[str, Answer] = {
    "firewall": Answer(403, b"<html><body>Request blocked.</body></html>", {"content-type": "text/html"}),
    "unknown 401": Answer(401, {"code": "RISK_REVIEW", "message": "No."}),
    "maintenance": Answer(200, b"<html><body>We are back soon.</body></html>", {"content-type": "text/html"}),
    "429": Answer(429, {"code": "RATE_LIMITED", "message": "No."}, {"retry-after": "85092"}),
    "503": Answer(503, {"code": "UNAVAILABLE", "message": "No."}),
    "404": Answer(404, b"", {}),
    "redirect": Answer(302, b"", {"location": "https://bank.example.invalid/maintenance"}),
}


class Adversary:
    """The rules, over one bank and one holder. `lies` is what the judge must know of."""

    def __init__(self, bank: SecondBank, books: Books) -> None:
        self.bank = bank
        self.books = books
        self.lies: list[Lie] = []
        self.troubled_since: datetime | None = None
        self._count = 0

    def start(self, history: int) -> None:
        """What there is when the holder is linked: a line a day or so in every ledger, some of everything else."""
        now = self.bank.now()
        for surface in LEDGERS:
            self.many(surface, history, over=timedelta(days=30))
        for surface in SNAPSHOTS:
            for number in range(4):
                self._add(surface, now - timedelta(days=20 - number), settled=surface not in {"loans", "vouchers"})

    # ── The truth ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, surface: str) -> Feed:
        """The feed of a surface."""
        return self.books.feed(surface)

    def fresh(self, surface: str, at: datetime, *, settled: bool = True, **changes: Any) -> Entry:
        """An entry that was never there before, of that time."""
        self._count += 1
        return replace(entry(surface, self._count, at, settled=settled), **changes)

    def _add(self, surface: str, at: datetime, *, settled: bool = True, **changes: Any) -> Entry:
        added = self.fresh(surface, at, settled=settled, **changes)
        if added.id not in self.feed(surface).history:
            self.feed(surface).add(added)
        return added

    def _ledger(self, a: int) -> str:
        return LEDGERS[a % len(LEDGERS)]

    def _any(self, a: int) -> str:
        return (*LEDGERS, "vouchers", "holdings", "loans", "nav")[a % (len(LEDGERS) + 4)]

    def _pick(self, surface: str, b: int, status: str | None = None) -> Entry | None:
        entries = [one for one in self.feed(surface).ascending()[-60:] if status is None or one.status == status]
        return entries[b % len(entries)] if entries else None

    def add(self, a: int, b: int) -> str:
        """A few new entries."""
        surface = self._any(a)
        for number in range(1 + b % 3):
            self._add(surface, self.bank.now() - timedelta(seconds=3 - number), settled=b % 4 != 0)
        return surface

    def burst(self, a: int, b: int) -> str:
        """Many new entries at once."""
        surface = self._ledger(a)
        count = BURSTS[b % len(BURSTS)]
        self.many(surface, count)
        return surface

    def many(self, surface: str, count: int, *, over: timedelta = timedelta(hours=1)) -> list[Entry]:
        """That many new entries of a ledger, spread over the time until now."""
        fresh = [self.fresh(surface, self.bank.now() - over * (count - number) / count) for number in range(count)]
        self.feed(surface).add(*fresh)
        return fresh

    def back_date(self, a: int, b: int) -> str:
        """An entry that comes late."""
        surface = self._ledger(a)
        if surface != "points":
            self._add(surface, self.bank.now() - timedelta(hours=1 + b * 5 % 500))
        return surface

    def outlier(self, a: int, b: int) -> str:
        """An entry of an odd time or, in the ascending ledger, of an odd number."""
        surface = self._ledger(a)
        if surface == "points":
            self._add(surface, self.bank.now(), id=str(9_000_000_000_000 + b), outlier=True)
        else:
            odd = (datetime(2099, 12, 31, tzinfo=UTC), self.bank.now() + timedelta(days=60))
            past = (datetime(1970, 1, 2, tzinfo=UTC),)
            self._add(surface, (*odd, *past)[b % 3], outlier=True)
        return surface

    def amend(self, a: int, b: int) -> str:
        """Another amount of an entry."""
        surface = self._any(a)
        if one := self._pick(surface, b):
            self.feed(surface).amend(one.id, amount=one.amount + 1 + b % 7)
        return surface

    def settle(self, a: int, b: int) -> str:
        """An entry comes to its end, under its own id, or under one that replaces it."""
        surface = self._any(a)
        if (one := self._pick(surface, b, FIRST[surface])) is None or FIRST[surface] == LAST[surface]:
            return surface
        if surface == "transactions" and b % 2:
            self.feed(surface).remove(one.id)
            self._add(surface, one.at, replaces=one.id, amount=one.amount)
        else:
            self.feed(surface).amend(one.id, status=LAST[surface])
        return surface

    def remove(self, a: int, b: int) -> str:
        """An entry goes."""
        surface = self._any(a)
        if one := self._pick(surface, b):
            self.feed(surface).remove(one.id)
        return surface

    def add_and_remove(self, a: int, b: int) -> str:
        """The newest entry goes."""
        surface = self._ledger(a)
        if one := self._pick(surface, -1 - b % 2):
            self.feed(surface).remove(one.id)
        return surface

    def restore(self, a: int, b: int) -> str:
        """An entry comes back as it was, unless another one stands for it."""
        surface = self._any(a)
        replaced = {one.replaces for one in self.feed(surface).ascending()}
        if gone := [one for one in self.feed(surface).gone() if one.id not in replaced]:
            self.feed(surface).add(gone[b % len(gone)])
        return surface

    def renumber(self, a: int, _b: int) -> str:
        """A release of the bank's gives every entry of a ledger another id."""
        surface = self._ledger(a)
        feed = self.feed(surface)
        old = feed.ascending()
        feed.remove(*[one.id for one in old])
        fresh = [self.fresh(surface, one.at, amount=one.amount, status=one.status) for one in old]
        feed.add(*fresh)
        feed.late.update(one.id for one in fresh)
        return surface

    def garble(self, a: int, b: int) -> str:
        """An entry that nobody can read."""
        surface = self._any(a)
        if one := self._pick(surface, b):
            self.feed(surface).amend(one.id, garbled=True)
        return surface

    def twin(self, a: int, b: int) -> str:
        """An entry that is shown twice, with another amount the second time."""
        surface = self._ledger(a)
        if surface != "orders" and (one := self._pick(surface, b)):
            self.feed(surface).amend(one.id, twin=one.amount + 5)
        return surface

    # ── Lies and troubles ───────────────────────────────────────────────────────────────────────────────────────────

    def _lay(self, surface: str, overlay: Overlay, *, lie: bool = True) -> str:
        self.troubled_since = self.troubled_since or self.bank.now()
        self.bank.overlays.append((PATHS[surface], overlay))
        if lie:
            self.lies.append(Lie(surface, self.bank.now()))
        return surface

    def empty(self, a: int, b: int) -> str:
        """A surface that answers as if there were nothing, with 200, 203 or 206."""
        surface = self._any(a)
        return self._lay(surface, emptied((200, 200, 203, 206)[b % 4]))

    def stale(self, a: int, b: int) -> str:
        """A surface that always says that nothing changed, or whose tag does not change."""
        surface = self._any(a)
        self._lay(surface, frozen if b % 2 else same_tag)
        # What it says is unchanged may be of any time before: nothing that is claimed meanwhile is about the truth.
        self.lies[-1].since = datetime.min.replace(tzinfo=UTC)
        return surface

    def status(self, a: int, b: int) -> str:
        """A surface that does not answer as the contract says."""
        paths = [*PATHS, *("refresh", "profile") * 3]
        surface = paths[a % len(paths)]
        answer = [*CODES.values()][b % len(CODES)]
        return self._lay(surface, lambda _request, _answer: answer, lie=False)

    def vanish(self, _a: int, b: int) -> str:
        """A profile without its accounts, or (in truth, but for a while) a tier that nobody knows."""
        if b % 2:
            return self._lay("profile", profile_of({"accounts": []}), lie=False)
        self.troubled_since = self.troubled_since or self.bank.now()
        self.feed("holder").amend("holder", status="GOLD")
        return "profile"

    def move(self, a: int, b: int) -> str:
        """The bank changes between two pages of the next read of a ledger that has two."""
        surface = self._ledger(a)
        left = [1 + b % 2]

        def moving(_request: Request, answer: Answer) -> None:
            if left[0] and answer.status == 200 and _has_more(answer.value):
                left[0] -= 1
                (self.add, self.remove, self.amend, self.back_date)[b % 4](a, b)

        return self._lay(surface, moving, lie=False)

    def false_date(self, _a: int, b: int) -> str:
        """A `Date` that is not the time."""
        self.troubled_since = self.troubled_since or self.bank.now()
        days = (None, timedelta(days=2), timedelta(hours=-3), timedelta(days=-9000), timedelta(seconds=40))[b % 5]
        self.bank.date_offset = days
        return ""

    def heal(self, _a: int, _b: int) -> str:
        """The bank tells the truth again, and its `Date` is right."""
        self.bank.overlays.clear()
        self.bank.date_offset = timedelta()
        self.troubled_since = None
        if self.books.tier != "L1":
            self.feed("holder").amend("holder", status="L1")
        for lie in self.lies:
            lie.until = lie.until or self.bank.now()
        return ""

    def mend(self, _a: int, _b: int) -> str:
        """Everything can be read."""
        for feed, one in self.unreadable():
            feed.amend(one.id, garbled=False, twin=None)
        return ""

    def unreadable(self) -> list[tuple[Feed, Entry]]:
        """What nobody can read at present."""
        return [(feed, one) for feed in self.books for one in feed.entries.values() if not one.readable]


Rule = Callable[[Adversary, int, int], str]
"""Answers with the surface that it touched."""


def emptied(status: int = 200) -> Overlay:
    """An answer of a surface without anything in it."""

    def empty(_request: Request, answer: Answer) -> Answer:
        value = json.loads(json.dumps(answer.value, default=str)) if isinstance(answer.value, dict) else {}
        hollow: dict[str, Any] = {
            name: [] if isinstance(one, list) else one for name, one in value.items() if name != "DATA"
        }
        if "DATA" in value:
            hollow["DATA"] = {"LOANS": []}
        if "next_cursor" in hollow:
            hollow["next_cursor"] = None
        if "has_more" in hollow:
            hollow["has_more"] = False
        if "totalElements" in hollow:
            hollow |= {"totalElements": 0, "totalPages": 0}
        return Answer(status, hollow, tagged=True)

    return empty


def lacking(count: int, status: int = 200) -> Overlay:
    """An answer in which some entries of the middle are not there."""

    def lacks(_request: Request, answer: Answer) -> Answer | None:
        return Answer(status, _without(answer.value, count)) if isinstance(answer.value, dict) else None

    return lacks


def _without(value: Any, count: int) -> Any:
    if isinstance(value, dict):
        shown = {name: _without(one, count) for name, one in value.items()}
        if "content" in shown:
            shown["totalElements"] = len(shown["content"])
        return shown
    if isinstance(value, list):
        middle = len(value) // 2
        return value[:middle] + value[middle + count :]
    return value


def frozen(request: Request, _answer: Answer) -> Answer | None:
    """304, whatever happened."""
    return Answer(304, b"", {"etag": tag}) if (tag := request.headers.get("if-none-match")) else None


def same_tag(_request: Request, answer: Answer) -> Answer:
    """Always the same weak tag."""
    return replace(answer, headers={**answer.headers, "etag": 'W/"constant"'})


def profile_of(changes: Mapping[str, Any]) -> Overlay:
    """A profile with other values."""
    return lambda _request, answer: (
        replace(answer, value={**answer.value, **changes}) if isinstance(answer.value, dict) else answer
    )


def _has_more(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return bool(value.get("next_cursor") or value.get("has_more") or value.get("totalPages", 0) > 1)
