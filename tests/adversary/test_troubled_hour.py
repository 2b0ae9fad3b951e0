"""An hour of many accounts in which a firewall stands in the way, the bank asks to slow down, and the clock is set.

Bills and points of each, on virtual time, as the connector runs by itself. In the end nothing is behind, held or lost,
no link waits for its holder, and no session was refreshed: each was good for the whole hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from connector.cadence import Intervals
from connector.runtime import job_board
from connector.runtime.backend import BackendLimits
from connector.runtime.job_runner import DOUBT_SECONDS
from tests.adversary.broken_rules import NEIGHBOURS
from tests.adversary.machine import KINDS
from tests.adversary.rules import CODES
from tests.second_bank.bank import Answer, SecondBank
from tests.second_bank.books import Books
from tests.second_bank.surfaces import entry, telling
from tests.second_bank.world import OPTIONS_HERE, SecondWorld
from tests.support.virtual_clock import VirtualClock
from tests.support.world import BACKENDS

pytestmark = pytest.mark.anyio

MINUTE, HOUR = 60.0, 3600.0
DOMAINS_READ = frozenset({"bills", "loyalty"})
SURFACES = ("bills", "points")
OPTIONS = replace(
    OPTIONS_HERE,
    intervals=dict.fromkeys(KINDS, Intervals(5 * MINUTE, 30 * MINUTE)),
    backends=dict.fromkeys(BACKENDS, BackendLimits(rate_per_second=60.0)),
    linger_seconds=0.2,
    command_interval_seconds=MINUTE,
    checkpoint_seconds=MINUTE,
    profile_interval_seconds=10 * MINUTE,
    jitter_ratio=0.1,
)
STORM = Answer(429, {"code": "RATE_LIMITED", "message": "No."}, {"retry-after": "120"})
STEP_SECONDS = 3 * HOUR
TROUBLES = ("behind_count", "held", "holes", "isolated", "quarantined", "set_aside")


class Street:
    """Many holders of one bank, all linked."""

    def __init__(self, world: SecondWorld) -> None:
        self.world = world
        self.bank = cast("SecondBank", world.bank)
        self.clock = cast("VirtualClock", world.clock)
        self.holders: dict[str, Books] = {}
        self._count = 0

    async def move_in(self, number: int) -> None:
        """One more holder, with a short history."""
        books = Books(self.bank.now, msisdn=f"+923000000{number:03d}")
        books.cnic = f"42000-{number:07d}-1"
        self.bank.open(books)
        self.add(books, hours_ago=30)
        self.add(books, hours_ago=3)
        self.holders[await self.world.link_holder(books, domains=DOMAINS_READ)] = books

    def add(self, books: Books, hours_ago: float = 0.0) -> None:
        """Something new in every ledger of a holder."""
        self._count += 1
        for surface in SURFACES:
            at = self.bank.now() - timedelta(hours=hours_ago)
            books.feed(surface).add(entry(surface, self._count, at))

    def add_everywhere(self) -> None:
        for books in self.holders.values():
            self.add(books)

    async def live_on(self, minutes: float) -> None:
        """Something happens to everybody, and time goes on."""
        self.add_everywhere()
        await self.clock.advance(minutes * MINUTE)

    @contextmanager
    def stepped(self) -> Iterator[None]:
        """The host's clock is set ahead meanwhile."""
        self.clock.step(STEP_SECONDS)
        yield
        self.clock.step(-STEP_SECONDS)

    async def missing(self) -> list[str]:
        """What was not told exactly once, and what was told of links that should not have been."""
        told: Counter[tuple[str, str, str]] = Counter()
        found = []
        for topic, event in await self.world.events():
            if topic == "lifecycle":
                if event["event_type"] in {"LinkActionRequired", "LinkClosed", "ConsentExpired"}:
                    found.append(f"{event['event_type']} of {event['account_id']}")
                continue
            entity = telling(event["after"] or {})
            if event["op"] == "c" and entity is not None:
                told[event["account_id"], entity[0], entity[1]] += 1
        for account_id, books in self.holders.items():
            owed = [(account_id, surface, name) for surface in SURFACES for name in books.feed(surface).entries]
            found += [f"{one[1]} {one[2]} is told {told[one]} times" for one in owed if told[one] != 1]
        return found

    async def last_checkpoint(self) -> dict[str, Any]:
        said = [event for _, event in await self.world.events("lifecycle") if event["event_type"] == "Checkpoint"]
        return cast("dict[str, Any]", said[-1]["after"]["checkpoint"])


async def troubled_hour(directory: Path, accounts: int) -> None:
    async with SecondWorld.opened(directory, options=OPTIONS) as world:
        street = Street(world)
        street.bank.token_life = timedelta(hours=6)
        street.bank.grant = {"expires_in": 21_600, "refresh_expires_in": 315_360_000}
        for number in range(accounts):
            await street.move_in(number)
        async with world.running():
            await street.live_on(minutes=8)
            with street.bank.overlaid("*", lambda _request, _answer: CODES["firewall"]):
                await street.live_on(minutes=4)
            await street.live_on(minutes=6)
            with street.bank.overlaid("/bills", lambda _request, _answer: STORM):
                await street.live_on(minutes=4)
            await street.live_on(minutes=10)
            with street.stepped():
                await street.live_on(minutes=4)
            await street.live_on(minutes=24)
        said = await street.last_checkpoint()
        counts = {name: said[name] for name in TROUBLES}
        assert not any(counts.values()), f"not as it should be: {counts} {said['behind'][:3]}"
        assert said["polled_until"] > street.bank.now() - timedelta(seconds=15 * MINUTE + DOUBT_SECONDS)
        found = await street.missing()
        assert not found, "\n".join([*found[:8], f"{len(found)} in all"])
        refreshed = sum(path == "/auth/refresh" for _, path, _ in street.bank.calls)
        assert not refreshed, f"{refreshed} sessions were refreshed, all of them good"


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    # How often an idle queue is looked at costs a virtual hour most of its real time.
    monkeypatch.setattr(job_board, "LOOK_SECONDS", 5.0)


@pytest.mark.parametrize(
    "accounts", [3, pytest.param(300, marks=pytest.mark.proof), pytest.param(1_000, marks=pytest.mark.soak)]
)
async def test_a_troubled_hour_ends_with_nothing_lost(tmp_path: Path, accounts: int) -> None:
    await troubled_hour(tmp_path, accounts)


BREAKS = {
    "a status is its meaning": (NEIGHBOURS["a status is its meaning"], "not as it should be"),
}


@pytest.mark.proof
@pytest.mark.parametrize("broken", BREAKS)
async def test_a_broken_rule_shows_in_a_troubled_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    plant, words = BREAKS[broken]
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=words):
        await troubled_hour(tmp_path, 3)
