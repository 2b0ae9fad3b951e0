"""What directed tests stand on: a world with a history, ways to read it, and what the judge says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from connector.cadence import Intervals
from connector.domains.registry import DOMAINS
from connector.runtime.poller import PollLimits
from connector.runtime.shard_worker import ShardWorker
from tests.adversary.flaky import FlakyJournal, Outcomes
from tests.adversary.judge import Judge
from tests.adversary.machine import KINDS
from tests.adversary.rules import PATHS, Adversary
from tests.second_bank.bank import Overlay, SecondBank
from tests.second_bank.books import Books, Entry, Feed
from tests.second_bank.manner import Manner
from tests.second_bank.surfaces import DOMAIN, Facts, telling
from tests.second_bank.world import OPTIONS_HERE, SecondWorld
from tests.support.virtual_clock import VirtualClock

HEAD_SECONDS = 30
BELIEVED_SECONDS = 6 * 3600
"""For how long a change that looks like a slip must stand to be believed."""


@dataclass(slots=True)
class Bench:
    """A linked holder of the second bank; `worker` is the connector's present life."""

    world: SecondWorld
    adversary: Adversary
    account_id: str
    outcomes: Outcomes
    full_seconds: float
    worker: ShardWorker = field(init=False)

    @property
    def bank(self) -> SecondBank:
        return cast("SecondBank", self.world.bank)

    @property
    def books(self) -> Books:
        return self.world.books

    @property
    def clock(self) -> VirtualClock:
        return cast("VirtualClock", self.world.clock)

    def feed(self, surface: str) -> Feed:
        return self.books.feed(surface)

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def head(self, *surfaces: str, times: int = 1) -> None:
        """As many head reads of these surfaces (all, if none is named), each a little later than what was before.

        A domain claims what all of it was read up to: its other surfaces and the profile are read, too. A balance
        follows what was posted.
        """
        for _ in range(times):
            await self.clock.advance(2 * HEAD_SECONDS)
            await self.world.read(self.worker, *_kinds(surfaces))

    async def full(self, *surfaces: str, times: int = 1) -> None:
        """As many complete reads."""
        for _ in range(times):
            await self.clock.advance(self.full_seconds + 60)
            await self.world.read(self.worker, *_kinds(surfaces))

    async def settle(self) -> None:
        """Read everything completely for long enough that whatever stays so is believed."""
        for _ in range(5):
            await self.clock.advance(max(3.5 * 3600, self.full_seconds + 60))
            await self.world.read(self.worker)

    @asynccontextmanager
    async def working(self, source: Callable[[Any], Any] = lambda source: source) -> AsyncIterator[None]:
        """A life of the connector, on the journal as it stands; `source` may stand something before its source."""
        self.world.source = source(self.world.new_source())
        try:
            async with self.world.working() as self.worker:
                yield
        except BaseExceptionGroup as group:
            # What a test asserts is no defect of a task.
            failed = group.subgroup(AssertionError)
            if failed is None:
                raise
            while isinstance(failed, BaseExceptionGroup):
                failed = failed.exceptions[0]
            raise failed from None

    async def accept(self, surface: str) -> None:
        """A person says that what is held of a surface is so."""
        await self.world.command("accept", self.account_id, domain=DOMAIN[surface])
        await self.world.drive(self.worker.apply_commands)

    def lay(self, surface: str, overlay: Overlay) -> Any:
        """A lie or a trouble of a surface, for the length of a block."""
        return self.bank.overlaid(PATHS[surface], overlay)

    # ── What was told ───────────────────────────────────────────────────────────────────────────────────────────────

    async def findings(self, *, settled: bool = True) -> list[str]:
        """What the judge finds off."""
        judge = Judge(self.books, self.account_id, self.adversary.lies, self.outcomes.told_at)
        return judge.findings(await self.world.events(), settled=settled)

    async def assert_right(self, *, settled: bool = True) -> None:
        found = await self.findings(settled=settled)
        # What a checkpoint claims of nothing at all would hide what it claims of something.
        found.sort(key=lambda words: "vouches for no domain" in words)
        assert not found, "\n".join([*found[:12], f"{len(found)} in all"])

    async def ops(self, surface: str) -> list[tuple[str, str]]:
        """(op, the bank's id) of every event about an entry of a surface."""
        return [
            (event["op"], told[1])
            for _, event in await self.world.events(DOMAIN[surface])
            for told in [telling(event["after"] or event["before"] or {})]
            if told is not None and told[0] == surface and event["op"] != "s"
        ]

    async def present(self, surface: str) -> dict[str, Facts]:
        """The fold of a surface's events."""
        fold: dict[str, Facts] = {}
        for _, event in await self.world.events(DOMAIN[surface]):
            before, after = (telling(event[side] or {}) for side in ("before", "after"))
            if before is not None and before[0] == surface:
                fold.pop(before[1], None)
            if after is not None and after[0] == surface:
                fold[after[1]] = after[2]
        return fold

    async def stream_events(self, surface: str) -> list[str]:
        """The names of the events of a surface's stream about itself, and of what it sets aside."""
        return [event["event_type"] for _, event in await self.world.events(DOMAIN[surface]) if event["op"] == "s"]

    async def checkpoint(self) -> dict[str, Any]:
        """The last one."""
        await self.world.drive(self.worker.checkpoint)
        events = [event for _, event in await self.world.events("lifecycle") if event["event_type"] == "Checkpoint"]
        return cast("dict[str, Any]", events[-1]["after"]["checkpoint"])

    async def vouched(self, surface: str) -> bool:
        """Whether the last checkpoint vouches for a surface's stream without a reserve."""
        said, domain = await self.checkpoint(), DOMAIN[surface]
        row = next((one for one in said["domains"] if one["domain"] == domain), None)
        reserves = [said.get(name) or (row or {}).get(name) for name in ("held", "quarantined", "holes")]
        return row is not None and all(one["domain"] != domain for one in said["behind"]) and not any(reserves)


def _kinds(surfaces: Iterable[str]) -> set[str]:
    """The kinds of resources of the surfaces' domains."""
    domains = {DOMAIN[surface] for surface in surfaces if surface in DOMAIN}
    if "transactions" in domains:
        domains.add("account")
    kinds = {kind.name for domain in domains for kind in DOMAINS[domain].resources}
    return kinds | {"profile"} if surfaces else kinds


@asynccontextmanager
async def bench(
    directory: Path,
    *,
    history: int = 30,
    full_seconds: float = 1800.0,
    limits: PollLimits | None = None,
    page_limits: tuple[int, int, int] = (100, 200, 100),
    manner: Manner | None = None,
    read: bool = True,
    clock: VirtualClock | None = None,
    entries: Iterable[tuple[str, Sequence[Entry]]] = (),
    settings: Mapping[str, Any] | None = None,
    ibans: int = 1,
    consent_begins: timedelta = timedelta(days=-1),
) -> AsyncIterator[Bench]:
    """A holder with a history, linked; read completely once, and working, if `read`.

    `settings` are other options of the connector.
    """
    outcomes = Outcomes()
    intervals = dict.fromkeys(KINDS, Intervals(HEAD_SECONDS, full_seconds))
    options = replace(OPTIONS_HERE, intervals=intervals, polls=limits or PollLimits(), **(settings or {}))
    async with SecondWorld.opened(
        directory,
        manner=manner,
        options=options,
        page_limits=page_limits,
        clock=clock,
        books=partial(Books, ibans=ibans),
        journal=lambda journal: cast("Any", FlakyJournal(journal, outcomes)),
    ) as world:
        bank = cast("SecondBank", world.bank)
        outcomes.now = bank.now
        adversary = Adversary(bank, world.books)
        adversary.start(history)
        for surface, more in entries:
            world.books.feed(surface).add(*more)
        made = Bench(world, adversary, await world.link_holder(given=consent_begins), outcomes, full_seconds)
        if not read:
            yield made
            return
        async with made.working():
            await made.full(times=2)
            yield made
