"""What people do, and how often: a persona is a set of routines; each recurs with a mean gap and does one thing.

The routines of each domain are its own (`transactions/routines.py`, …). Rates are chosen so that an account sees fewer
than ten transactions a ledger day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from connector.sandbox.people import Hand
from connector.sandbox.wire import KARACHI

if TYPE_CHECKING:
    from connector.sandbox.life import Life

Persona = Literal["salaried", "small", "freelancer", "borrower", "teen", "still"]
Act = Callable[["Life", Hand, datetime], None]
Routines = dict[Persona, tuple["Routine", ...]]


@dataclass(frozen=True, slots=True)
class Routine:
    """Something that recurs every `every_hours` on average; `regular` keeps the gap itself, as for a salary."""

    name: str
    every_hours: float
    act: Act
    regular: bool = False


def start_routine(life: Life, routine: Routine, at: datetime) -> None:
    """Plan a routine for ever, from `at` on."""
    hand = life.hand(routine.name)

    def happen(now: datetime) -> None:
        routine.act(life, hand, now)
        plan_next(now)

    def plan_next(now: datetime) -> None:
        hours = routine.every_hours if routine.regular else hand.rng.expovariate(1 / routine.every_hours)
        life.plan(waking(now + timedelta(hours=hours, seconds=hand.rng.randint(61, 3600)), hand), happen)

    first = hand.rng.uniform(0, routine.every_hours if routine.regular else 12.0)
    life.plan(waking(at + timedelta(hours=first), hand), happen)


def waking(at: datetime, hand: Hand) -> datetime:
    """The instant itself, or one in the following morning where it would fall into the night in Karachi."""
    fraction = hand.rng.choice((0, 0, 0, hand.rng.randint(1, 999_999)))
    local = at.astimezone(KARACHI).replace(microsecond=fraction)
    if 7 <= local.hour < 24:
        return local
    return local.replace(hour=hand.rng.randint(7, 11), minute=hand.rng.randint(0, 59))
