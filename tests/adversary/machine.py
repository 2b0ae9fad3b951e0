"""Plays scripts of the adversary against a connector on virtual time, and makes failing ones short.

A script is a list of (rule, a, b), drawn from a seed within a theme: the rules that may occur, and the bank's manner.
The same seed and theme give the same script, on every machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio

from connector.cadence import Intervals
from connector.domains.registry import DOMAINS
from connector.errors import JournalError
from connector.runtime.options import WorkerOptions
from connector.runtime.poller import PollLimits
from connector.runtime.shard_worker import ShardWorker
from tests.adversary.flaky import FlakyJournal, Outcomes
from tests.adversary.judge import Judge
from tests.adversary.rules import Adversary
from tests.second_bank.manner import Manner
from tests.second_bank.surfaces import DOMAIN, RESOURCE
from tests.second_bank.world import OPTIONS_HERE, SecondWorld

Step = tuple[str, int, int]
Script = Sequence[Step]

HEAD_SECONDS, FULL_SECONDS = 30.0, 1800.0
WAITS = (20, 60, 60, 600, 2400, 2400, 4200, 10_800)
LONGEST_TROUBLE_SECONDS = 5 * 3600
"""Less than a change must stand to be believed."""
CADENCES = ("live", "live:30s/30m", "live:1m/24h", "snapshot/6h", "live:5m/5m", "off")
CLOCKS = (0.0, 45.0, -45.0, 5400.0, 5 * 3600.0, -5 * 3600.0, *(200 * 86_400.0,) * 3, -200 * 86_400.0)
"""By how many seconds the host's clock may be ahead."""
RIGHT = CLOCKS.index(0.0)
SUSPENDED_SECONDS = 9 * 3600
SETTLING_ROUNDS = 5
SETTLING_SECONDS = 3.5 * 3600
KINDS = {kind.name for domain in DOMAINS.values() for kind in domain.resources}


@dataclass(frozen=True, slots=True)
class Theme:
    """What a family of scripts is made of. `rules` besides reads and waits; `steps` of a script."""

    rules: tuple[str, ...]
    manner: Manner = field(default_factory=Manner)
    history: int = 25
    steps: int = 24
    limits: PollLimits = field(default_factory=PollLimits)
    page_limits: tuple[int, int, int] = (100, 200, 100)
    full_seconds: float = FULL_SECONDS
    consent_days: float = 3650.0
    consent_begins: timedelta = timedelta(days=-1)


TRUTH = ("add", "amend", "settle", "remove", "restore", "back_date")
THEMES: dict[str, Theme] = {
    "quiet": Theme(("add", "amend", "settle", "remove", "add_and_remove", "restore")),
    "flicker": Theme(("add", "add_and_remove"), history=8),
    "bursts": Theme(("burst", "add", "amend", "settle"), steps=14, full_seconds=86_400.0),
    "outliers": Theme(("outlier", *TRUTH), history=60, steps=30),
    "emptiness": Theme(("empty", "heal", "add"), history=12),
    "renumbering": Theme(("renumber", "add", "amend"), history=25, steps=16),
    "stale": Theme(("stale", "heal", *TRUTH)),
    "statuses": Theme(("status", "heal", "add", "restart"), steps=16),
    "profile": Theme(("vanish", "heal", "add")),
    "odd entries": Theme(("garble", "twin", "mend", *TRUTH)),
    "moving": Theme(("move", *TRUTH), page_limits=(7, 7, 7), limits=PollLimits(head_page_cap=3)),
    "crashes": Theme(("restart", "fail_commit", "kill", *TRUTH, "add_and_remove")),
    "cadences": Theme(("cadence", "restart", *TRUTH)),
    "false dates": Theme(("false_date", "heal", *TRUTH)),
    "clocks": Theme(
        (*("set_clock", "blink", "restart") * 3, "suspend", "kill", "empty", "add", "amend", "remove"),
        consent_days=90.0,
    ),
    "linked by a clock ahead": Theme(
        ("set_clock", "restart", "kill", "add", "amend"), consent_days=90.0, consent_begins=timedelta(hours=5), steps=12
    ),
    "small pages": Theme(
        ("add", "burst", "amend", "remove"),
        manner=Manner(short_pages=9, cursor_length=500, shuffled=True, odd_fields=True, tags="weak"),
        limits=PollLimits(head_page_cap=1),
        steps=10,
    ),
    "printing": Theme(
        ("add", "amend", "settle", "remove"),
        manner=Manner(amounts="scale3", times="fraction", encoding="members", pieces=True, header_case="UPPER"),
    ),
    "everything": Theme(
        (
            *(*TRUTH, "burst", "outlier", "empty", "renumber", "stale", "status", "vanish", "garble", "twin", "move"),
            *("restart", "fail_commit", "cadence", "false_date", "heal", "heal", "heal", "mend", "add_and_remove"),
        ),
        steps=40,
    ),
}


def script_of(theme: Theme, seed: int) -> list[Step]:
    """Half of the steps read or wait, the others are of a random part of the theme's rules (swarm testing).

    Every other script keeps to two surfaces, so that much happens to each.
    """
    random = Random(seed)
    focus = [random.randrange(1000) for _ in range(2)] if seed % 2 else range(1000)
    rules = [rule for rule in theme.rules if len(theme.rules) < 5 or random.random() < 0.6 or rule in {"heal", "mend"}]
    steps = [("wait", 4, 4), ("read", 0, 0)]
    for _ in range(theme.steps):
        names = (random.choice(rules or ["add"]), random.choice(("look", "look", "read", "wait")))
        steps.extend((name, random.choice(focus), random.randrange(1000)) for name in names)
    return steps


class Siege:
    """One script against one connector. `journal` and `source` may stand something broken before the real ones."""

    def __init__(
        self,
        theme: Theme,
        *,
        journal: Callable[[Any], Any] = lambda journal: journal,
        source: Callable[[Any], Any] = lambda source: source,
    ) -> None:
        self.theme = theme
        self.journal = journal
        self.source = source
        self.outcomes = Outcomes()

    async def play(self, script: Script) -> list[str]:
        """What is off, in words."""
        with tempfile.TemporaryDirectory(prefix="siege-") as directory:
            intervals = dict.fromkeys(KINDS, Intervals(HEAD_SECONDS, self.theme.full_seconds))
            options: WorkerOptions = replace(OPTIONS_HERE, polls=self.theme.limits, intervals=intervals)
            async with SecondWorld.opened(
                Path(directory),
                manner=self.theme.manner,
                options=options,
                page_limits=self.theme.page_limits,
                journal=lambda journal: cast("Any", FlakyJournal(self.journal(journal), self.outcomes)),
            ) as world:
                return await self._play(world, script)

    async def _play(self, world: SecondWorld, script: Script) -> list[str]:
        bank: Any = world.bank
        self.outcomes.now = bank.now
        adversary = Adversary(bank, world.books)
        adversary.start(self.theme.history)
        account_id = await world.link_holder(days=self.theme.consent_days, given=self.theme.consent_begins)
        calm: Script = [("heal", 0, 0), ("set_clock", 0, RIGHT), ("calm", 0, 0), ("restart", 0, 0)]
        rounds: Script = [("round", 0, 0)] * SETTLING_ROUNDS
        for part in ([*script, *calm, *rounds], [("mend", 0, 0), *rounds[::2]]):
            if part[0][0] == "mend" and not adversary.unreadable():
                break
            steps = iter(part)
            while await self._live(world, adversary, account_id, steps):
                pass
            judge = Judge(world.books, account_id, adversary.lies, self.outcomes.told_at)
            if findings := judge.findings(await world.events(), settled=True):
                return findings
        if any(method == "DELETE" for method, _, _ in bank.calls):
            return ["a session was ended, though nobody ended anything"]
        return []

    async def _live(self, world: SecondWorld, adversary: Adversary, account_id: str, steps: Iterator[Step]) -> bool:
        """One life of the connector; True where another follows."""
        ended = False
        touched = [""]
        world.source = self.source(world.new_source())
        try:
            async with world.working() as worker:
                for step in steps:
                    if step[0] == "restart":
                        break
                    await self._step(world, worker, adversary, account_id, step, touched)
                else:
                    ended = True
        except* JournalError:
            # The connector drops the shard, and takes it up again.
            pass
        return not ended

    async def _step(
        self,
        world: SecondWorld,
        worker: ShardWorker,
        adversary: Adversary,
        account_id: str,
        step: Step,
        touched: list[str],
    ) -> None:
        clock: Any = world.clock
        rule, a, b = step
        if rule == "read":
            await world.read(worker)
        elif rule == "look":
            await world.read(worker, RESOURCE.get(touched[0], touched[0]) or "transactions")
        elif rule in {"wait", "round"}:
            seconds = SETTLING_SECONDS if rule == "round" else WAITS[b % len(WAITS)]
            begun = adversary.troubled_since
            if begun is not None and (adversary.bank.now() - begun).total_seconds() + seconds > LONGEST_TROUBLE_SECONDS:
                adversary.heal(0, 0)
            await clock.advance(seconds)
            if rule == "round":
                await world.read(worker)
                # Whatever is held by now is so: a person says it.
                for domain in sorted(set(DOMAIN.values())):
                    await world.command("accept", account_id, domain=domain)
                await world.drive(worker.apply_commands)
        elif rule in {"fail_commit", "kill"}:
            self.outcomes.fault = "kill" if rule == "kill" else ("before", "after")[b % 2]
        elif rule in {"set_clock", "blink", "suspend"}:
            await self._upset(world, worker, adversary, rule, CLOCKS[b % len(CLOCKS)])
        elif rule in {"cadence", "calm"}:
            self.outcomes.fault = None if rule == "calm" else self.outcomes.fault
            said = "live:30s/30m" if rule == "calm" else CADENCES[b % len(CADENCES)]
            domains = sorted(set(DOMAIN.values())) if rule == "calm" else [[*DOMAINS][a % len(DOMAINS)]]
            await world.command("cadence", account_id, cadence=dict.fromkeys(domains, said))
            await world.drive(worker.apply_commands)
        else:
            touched[0] = getattr(adversary, rule)(a, b) or touched[0]
        # What happens next is later than what was read.
        clock.jump(2)

    async def _upset(
        self, world: SecondWorld, worker: ShardWorker, adversary: Adversary, rule: str, ahead: float
    ) -> None:
        """The host's clock is set, for good or for a moment, or the host sleeps."""
        clock: Any = world.clock
        if rule == "suspend":
            # What stands for so long is no slip.
            adversary.heal(0, 0)
            clock.jump(SUSPENDED_SECONDS)
            return
        _set_clock(clock, ahead)
        if rule == "blink":
            await world.read(worker)
            await clock.advance(3)
            _set_clock(clock, 0.0)


def _set_clock(clock: Any, seconds: float) -> None:
    """Set the host's wall clock to be that much ahead of the world's time."""
    clock.step(seconds - (clock.now() - clock.world_time).total_seconds())


def play(theme: Theme, script: Script, siege: Callable[[Theme], Siege] = Siege) -> list[str]:
    """What is off after `script`, in words, in an event loop of its own."""
    return anyio.run(partial(siege(theme).play, script))


def shortened(theme: Theme, script: Script, budget: int, siege: Callable[[Theme], Siege] = Siege) -> list[Step]:
    """A shorter script with any finding, found by at most `budget` plays (ddmin: whole chunks are left out)."""
    best = list(script)
    chunk = max(1, len(best) // 2)
    while budget and chunk:
        for begin in range(len(best) - chunk, -1, -chunk):
            candidate = best[:begin] + best[begin + chunk :]
            budget -= 1
            if _finds(theme, candidate, siege):
                best = candidate
            if not budget:
                break
        chunk //= 2
    return best


def _finds(theme: Theme, script: Script, siege: Callable[[Theme], Siege]) -> bool:
    with suppress(Exception):
        return bool(play(theme, script, siege))
    return False


def described(theme: str, seed: int, script: Iterable[Step], findings: Sequence[str]) -> str:
    """What a failing test says: how to play it again, what is off, and the shortest script known."""
    lines = [f"replay with ADVERSARY={theme!r}:{seed}", *findings[:8]]
    if len(findings) > 8:
        lines.append(f"and {len(findings) - 8} more")
    return "\n".join([*lines, "script:", *(f"  {step}," for step in script)])
