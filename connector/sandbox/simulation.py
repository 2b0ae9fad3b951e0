"""The ledger's own time: what is planned happens in order, and the same seed always plans the same.

A simulation is a queue of happenings. Each may change the bank and plan further ones; how often and how far time is
advanced makes no difference to what happens. No clock is read here.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Act = Callable[[datetime], None]

_DEFERRAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class _Happening:
    at: datetime
    order: int
    act: Act = field(compare=False)
    touched: set[str] = field(compare=False)
    claims: tuple[str, ...] = field(compare=False)


class Simulation:
    """Ledger time and what is planned in it. `now` is the ledger's present instant."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._queue: list[_Happening] = []
        self._order = 0

    def plan(self, at: datetime, act: Act, touched: set[str], claims: tuple[str, ...] = ()) -> None:
        """Let `act` happen at a ledger instant.

        `claims` names the entities that it will change, and `touched` is where its holder's changed entities are
        collected: in a step, an act whose claim was already touched waits for the next one.
        """
        self._order += 1
        heapq.heappush(self._queue, _Happening(at, self._order, act, touched, claims))

    def advance(self, to: datetime) -> None:
        """Everything planned up to and including `to` happens; time that has passed already stays passed."""
        while self._queue and self._queue[0].at <= to:
            happening = heapq.heappop(self._queue)
            self.now = max(self.now, happening.at)
            happening.act(self.now)
            happening.touched.clear()
        self.now = max(self.now, to)

    def step(self, length: timedelta, touched: Iterable[set[str]]) -> None:
        """Advance by `length`, changing no entity twice; what would is put off to the next step."""
        for entities in touched:
            entities.clear()
        until = self.now + length
        while self._queue and self._queue[0].at <= until:
            happening = heapq.heappop(self._queue)
            if happening.touched.isdisjoint(happening.claims):
                self.now = max(self.now, happening.at)
                happening.act(self.now)
                happening.touched.update(happening.claims)
            else:
                self.plan(until + _DEFERRAL, happening.act, happening.touched, happening.claims)
        self.now = until
