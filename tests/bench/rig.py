"""What every subject is given: where to measure, how much, in which process, and whom to tell how far it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.canned_bank import BankSpec, RunningBank, running_bank
from tests.bench.measure import apart


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. `rounds` alternate between what is compared, so that both meet the same weather."""

    rounds: int = 3
    sync_holders: int = 50
    sync_entries: int = 400
    idle_holders: int = 50
    idle_polls: int = 2_000
    commits: int = 100
    commits_back_to_back: int = 300
    restore_records: int = 20_000
    restore_entities: tuple[int, ...] = (20, 100, 400)
    resident_points: tuple[tuple[int, int], ...] = ((400, 20), (2000, 20), (400, 100))
    """Holders and entities each: a base, one with more holders, one with more entities."""
    change_windows: tuple[int, ...] = (50, 500)
    change_holders: int = 10
    changes: int = 20
    hour_accounts: int = 1_000
    hour_active: int = 220
    hour_adults: int = 3
    """Accounts with all domains; how many of them are read while the bank lives on; lives of each kind of adult."""


FULL = Scale()
QUICK = Scale(
    rounds=1,
    sync_holders=10,
    idle_holders=20,
    idle_polls=500,
    commits=20,
    commits_back_to_back=50,
    restore_records=6_000,
    resident_points=((100, 20), (500, 20), (100, 100)),
    changes=4,
    hour_accounts=66,
    hour_active=33,
)
"""For a look: the figures are rough."""


@dataclass(frozen=True, slots=True)
class Rig:
    """One run of benchmarks.

    `journals` maps the kinds of journal to their brokers (None: the embedded one); `broker_data` is where the broker
    keeps its logs; `run` does work apart, in a fresh process.
    """

    directory: Path
    journals: dict[str, str | None]
    scale: Scale
    seed: int = 1
    broker_data: Path | None = None
    run: Callable[..., Any] = field(default=apart)

    def say(self, text: str) -> None:
        """Tell how far it is, on standard error."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextmanager
    def bank(self, holders: int, histories: int, entries: int, *, tags: bool = True) -> Iterator[RunningBank]:
        """A canned bank for the block."""
        with running_bank(BankSpec(self.seed, holders, histories, entries, tags)) as bank:
            yield bank
