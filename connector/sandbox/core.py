"""The sandbox bank as an object: lives, truth, front desk, faults and watch, and what a driver may do to them.

The ledger clock is worked out, not run: each call first lets everything happen that ledger time has reached, so the
bank needs no task of its own and is the same however often it is asked.
"""

from __future__ import annotations

import operator
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from connector.sandbox import report
from connector.sandbox.clock import Clock, SystemClock
from connector.sandbox.departments import DEPARTMENTS, routines_of
from connector.sandbox.faults import Faults
from connector.sandbox.ledger import DOMAINS, Change, Domain
from connector.sandbox.life import Life
from connector.sandbox.mutations import Mutation
from connector.sandbox.orders import Orders
from connector.sandbox.routines import start_routine
from connector.sandbox.sessions import FrontDesk
from connector.sandbox.simulation import Simulation
from connector.sandbox.transactions.routines import fill_history
from connector.sandbox.watch import Watch
from connector.sandbox.wire import micros

if TYPE_CHECKING:
    from collections.abc import Collection

    from connector.sandbox.scenario import Scenario
    from connector.sandbox.wire import Json

_EMPTY_STEPS_AT_MOST = 50
_CALLS_KEPT = 5_000
_BETWEEN_COMMANDS = timedelta(milliseconds=1)


class ControlError(Exception):
    """A driver asked for something that this scenario, or its present state, does not allow."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as it was answered."""

    ordinal: int
    method: str
    path: str
    msisdn: str | None
    status: int


class Bank:
    """A running sandbox bank.

    The same scenario, seed and sequence of steps (or, in free running, the same ledger time) give the same changes,
    whatever clients do.
    """

    def __init__(self, scenario: Scenario, seed: int, clock: Clock | None = None) -> None:
        self.scenario = scenario
        self.seed = seed
        self.clock: Clock = clock or SystemClock()
        self.desk: FrontDesk = FrontDesk(scenario.holders, scenario.front_door, self.clock)
        self.faults = Faults(scenario.faults, seed)
        self.calls: deque[CallRecord] = deque(maxlen=_CALLS_KEPT)
        self.call_counts: Counter[tuple[str, str, str | None, int]] = Counter()
        self._ordinals = count(1)
        self.watch = Watch(self.next_ordinal)
        opens_at = scenario.opens_at
        self._simulation = Simulation(opens_at - timedelta(days=scenario.history_days))
        self.lives = {
            spec.msisdn: Life(spec, seed, self._simulation, scenario.rates, self.next_ordinal)
            for spec in scenario.holders
        }
        self._orders = {msisdn: Orders(life) for msisdn, life in self.lives.items()}
        self._live_through_history(opens_at)
        self._story = iter(scenario.story)
        self._base = opens_at
        self._since = self.clock.monotonic()
        self._frozen = False
        self._commanded_at = opens_at

    def _live_through_history(self, opens_at: datetime) -> None:
        for life in self.lives.values():
            fill_history(life, self._simulation.now, opens_at)
            for routine in routines_of(life.spec.persona, self.scenario.rates.back_date):
                start_routine(life, routine, self._simulation.now)
        self._simulation.advance(opens_at)
        for life in self.lives.values():
            for ledger in life.ledgers.values():
                ledger.compact()
            life.touched.clear()

    def next_ordinal(self) -> int:
        """The next number of the order in which things happen in this sandbox."""
        return next(self._ordinals)

    def life(self, holder: str) -> Life:
        """A holder by msisdn or label.

        Raises:
            ControlError: Nobody is called that.
        """
        for msisdn, life in self.lives.items():
            if holder in (msisdn, life.spec.label):
                return life
        raise ControlError(f"there is no holder {holder!r}; there are {', '.join(self.labels())}")

    def labels(self) -> list[str]:
        """What the holders are called."""
        return [life.spec.label for life in self.lives.values()]

    def ledger_now(self) -> datetime:
        """The ledger's present instant, everything up to which has happened."""
        self.catch_up()
        return self._simulation.now

    def oldest_booking(self) -> int:
        """The booking key below which entries have left the feeds by age."""
        kept = timedelta(days=self.scenario.front_door.retention_days)
        return micros(self.ledger_now().astimezone(UTC) - kept)

    def catch_up(self) -> None:
        """In free running: let happen what ledger time has reached."""
        if self.scenario.mode == "free" and not self._frozen:
            self._simulation.advance(self._reached())

    def _reached(self) -> datetime:
        return self._base + timedelta(seconds=(self.clock.monotonic() - self._since) * self.scenario.pace)

    def step(self, steps: int = 1) -> list[Change]:
        """Lockstep: let the next changes happen, at most one an entity a step, at least one a step.

        While the scenario's story lasts, a step is its next command.

        Raises:
            ControlError: The scenario runs freely, or nothing is left to happen.
        """
        if self.scenario.mode != "lockstep":
            raise ControlError("only a lockstep scenario is stepped; this one runs freely")
        before = self._lengths()
        for _ in range(steps):
            command = next(self._story, None)
            if command is not None:
                self.mutate(command)
            else:
                self._one_step()
        return self._changes_since(before)

    @property
    def story_left(self) -> int:
        """How many commands of the scenario's story are still to be carried out."""
        return operator.length_hint(self._story)

    def _one_step(self) -> None:
        before = self._lengths()
        touched = [life.touched for life in self.lives.values()]
        for _ in range(_EMPTY_STEPS_AT_MOST):
            self._simulation.step(self.scenario.step, touched)
            if self._lengths() != before:
                return
        raise ControlError("nothing is left to happen in this scenario")

    def freeze(self) -> None:
        """Free running: stop ledger time."""
        self.catch_up()
        self._frozen = True

    def thaw(self) -> None:
        """Free running: let ledger time go on from where it stopped."""
        if self._frozen:
            self._base, self._since, self._frozen = self._simulation.now, self.clock.monotonic(), False

    @property
    def frozen(self) -> bool:
        """Whether ledger time stands still."""
        return self._frozen or self.scenario.mode == "lockstep"

    def mutate(self, mutation: Mutation) -> list[Change]:
        """Carry out a command now, each a moment of ledger time after the one before; what it changed, balances apart.

        Raises:
            ControlError: Nobody is called that.
            MutationError: There is nothing to do it to.
        """
        life = self.life(mutation.holder)
        self.catch_up()
        before = self._lengths()
        self._commanded_at = max(self._simulation.now, self._commanded_at + _BETWEEN_COMMANDS)
        DEPARTMENTS[mutation.domain].obey(self._orders[life.spec.msisdn], mutation, self._commanded_at)
        return [change for change in self._changes_since(before) if not change.derived]

    def client_lost(self) -> None:
        """The driver says that the client process was killed; to be said before another one starts."""
        self.watch.lose_client()

    def truth(self, *, holder: str | None = None, domains: Collection[Domain] = DOMAINS) -> Json:
        """See `report.truth`."""
        return report.truth(self, holder=holder, domains=domains)

    def reads(self) -> Json:
        """See `report.reads`."""
        return report.reads(self)

    def settled(self, complete_reads: int = 3, *, domains: Collection[Domain] = DOMAINS) -> Json:
        """See `report.settled`."""
        return report.settled(self, complete_reads=complete_reads, domains=domains)

    def record_call(self, method: str, path: str, msisdn: str | None, status: int) -> None:
        """Remember a call."""
        self.calls.append(CallRecord(self.next_ordinal(), method, path, msisdn, status))
        self.call_counts[method, path, msisdn, status] += 1

    def last_change_ordinal(self) -> int:
        """When the bank last changed."""
        return max(
            (
                ledger.changes[-1].ordinal
                for life in self.lives.values()
                for ledger in life.ledgers.values()
                if ledger.changes
            ),
            default=0,
        )

    def _lengths(self) -> dict[tuple[str, Domain], int]:
        return {
            (msisdn, domain): len(life.ledgers[domain].changes)
            for msisdn, life in self.lives.items()
            for domain in DOMAINS
        }

    def _changes_since(self, lengths: dict[tuple[str, Domain], int]) -> list[Change]:
        return [
            change
            for (msisdn, domain), length in lengths.items()
            for change in self.lives[msisdn].ledgers[domain].changes[length:]
        ]
