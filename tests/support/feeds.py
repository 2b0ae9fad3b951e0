"""The bank's newest-first feeds, for tests that hold of each of them alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.domains.registry import DOMAINS

if TYPE_CHECKING:
    from tests.support.world import World


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed: its domain, which is its resource kind's name, too, and the calls that read it."""

    domain: str
    path: str

    @property
    def reconcile_seconds(self) -> float:
        """After how long the whole window is read again, for sure."""
        [kind] = [kind for kind in DOMAINS[self.domain].resources if kind.name == self.domain]
        return kind.reconcile_interval_seconds + 1

    def fill(self, world: World, holder: str, entries: int, *, days: float = 28.0) -> None:
        """Let it have at least so many entries, the new ones spread evenly over the days before now."""
        standing = len(world.bank.life(holder).ledgers[self.domain].present)  # type: ignore[index]
        wanted = entries - standing
        for number in range(wanted):
            age = days * (wanted - number) / (wanted + 1)
            world.mutate(holder=holder, domain=self.domain, op="back_date", age_days=age)


FEEDS = (Feed("transactions", "/accounts/*/transactions"), Feed("bills", "/bills"), Feed("bookings", "/bookings"))
TRANSACTIONS = FEEDS[0]
