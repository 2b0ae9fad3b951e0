"""The truth: every change of every entity, numbered, in the order in which the bank made it.

One `Ledger` belongs to one (holder, domain). Nothing is ever changed in it behind its back; the API renders what its
changes add up to. It knows nothing of who reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connector.sandbox.wire import Body

Domain = Literal["account", "transactions", "cards", "bills", "investments", "lending", "loyalty", "bookings"]
Op = Literal["c", "u", "d"]
_PER_BANK_ACCOUNT = frozenset({"transactions", "bank-account"})
_DERIVED = "balance/"
DOMAINS: tuple[Domain, ...] = get_args(Domain)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one entity.

    `holder` is a msisdn. `n` counts from 1 within the ledger, `version` from 1 within the entity; `at` is the ledger
    instant. `body` is the rendered wire JSON of the new version, None for a removal. `resource` is what a client reads
    to see the entity, and `booking` orders the entity within it (initiated_at in microseconds, a points id, 0
    elsewhere). `ordinal` places the change among everything else that happened in the sandbox, such as pages served.
    """

    holder: str
    domain: Domain
    n: int
    entity: str
    version: int
    op: Op
    at: datetime
    body: Body | None
    resource: str
    booking: int
    ordinal: int

    @property
    def iban(self) -> str | None:
        """The bank account that it is of, where each has a resource of its own."""
        kind, _, part = self.resource.partition("/")
        return part if kind in _PER_BANK_ACCOUNT else None

    @property
    def name(self) -> str:
        """What events call the entity: its first id; what every bank account has one of, by its kind."""
        kind = self.entity.partition("/")[0]
        return kind if self.iban is not None and kind != self.entity else self.entity

    @property
    def derived(self) -> bool:
        """Whether it moves with other changes, several of which may fall into one step: a balance."""
        return self.entity.startswith(_DERIVED)


class Ledger:
    """The changes of one (holder, domain), and the state they add up to.

    `ordinal` gives the next number of the sandbox's own order of things; `touched` collects the entities changed since
    whoever owns the set cleared it.
    """

    def __init__(self, holder: str, domain: Domain, ordinal: Callable[[], int], touched: set[str]) -> None:
        self.holder = holder
        self.domain = domain
        self.changes: list[Change] = []
        self.present: dict[str, Change] = {}
        self.history: dict[str, list[Change]] = {}
        self._ordinal = ordinal
        self._touched = touched

    def create(self, entity: str, body: Body, at: datetime, *, resource: str, booking: int) -> Change:
        """A new entity. An id is never used again, not even after a removal."""
        if entity in self.history:
            raise ValueError(f"{entity} was given out before")
        return self._record(entity, 1, "c", at, body, resource, booking)

    def update(self, entity: str, body: Body, at: datetime, *, may_return: bool = False) -> Change | None:
        """A new version of an entity; None where nothing differs.

        A body that the entity had before is refused: nobody who reads twice could tell it from no change at all. What
        has few values `may_return` to one of them; what then can be told is the oracle's to work out.
        """
        last = self.present[entity]
        if body == last.body:
            return None
        if not may_return and any(body == earlier.body for earlier in self.history[entity]):
            raise ValueError(f"{entity} would return to an earlier version")
        return self._record(entity, last.version + 1, "u", at, body, last.resource, last.booking)

    def delete(self, entity: str, at: datetime) -> Change:
        """The entity leaves the bank."""
        last = self.present[entity]
        return self._record(entity, last.version + 1, "d", at, None, last.resource, last.booking)

    def compact(self) -> None:
        """Forget how the present came about: what exists was created, once, and what does not never was.

        Called when the bank opens: a history that nobody could have watched holds no change that anybody could miss.
        """
        standing = sorted(self.present.values(), key=lambda change: (change.booking, change.n))
        first_seen = {entity: versions[0].at for entity, versions in self.history.items()}
        self.changes = []
        self.present = {}
        self.history = {}
        for change in standing:
            at = first_seen[change.entity]
            self._record(change.entity, 1, "c", at, change.body, change.resource, change.booking)

    def _record(
        self, entity: str, version: int, op: Op, at: datetime, body: Body | None, resource: str, booking: int
    ) -> Change:
        number, ordinal = len(self.changes) + 1, self._ordinal()
        change = Change(self.holder, self.domain, number, entity, version, op, at, body, resource, booking, ordinal)
        self.changes.append(change)
        self.history.setdefault(entity, []).append(change)
        if op == "d":
            del self.present[entity]
        else:
            self.present[entity] = change
        self._touched.add(entity)
        return change
