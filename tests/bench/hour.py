"""An hour of many accounts with all domains: idle and active, CPU at default cadence, against the same bare requests.

The bank is the sandbox with few lives, each shared by many accounts (`shared_bank`). Committed state is cloned, then
restored; every read goes through the job runner of `run`.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from connector.domains.registry import DOMAINS
from connector.ports import Commit
from connector.runtime.connector import worker_options
from connector.runtime.job_board import PROFILE, Job
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions
from connector.runtime.sealed_state import StateKey
from tests.bench.cloned_state import Original, populate, run_originals, shared_part
from tests.bench.hour_figures import OURS, Active, Depth, Footprint, Hour, Polls, Upkeep
from tests.bench.linked import CONCURRENCY, HandDriven, Place, opened_edges, worker_of
from tests.bench.measure import Sample, metered
from tests.bench.passes import Pass, passes_of
from tests.bench.raw_http import CLIENTS
from tests.bench.recording import RecordingJournal
from tests.bench.replayed import run_replay
from tests.bench.resident import GAUGES, Gauge, open_empty
from tests.bench.rig import Rig
from tests.bench.shared_bank import RunningSharedBank, Stepped, running_shared_bank

UPKEEP_TIMES = 20
LONG_AGO = timedelta(days=365)
READINGS: tuple[Depth, ...] = ("head", "complete", "head")
"""How everything is read that an hour may have changed; the last confirms what the complete one suspected."""


def let_complete_reads_be_due(worker: HandDriven, jobs: Iterable[Job]) -> None:
    """As if the last complete reads were long ago."""
    for job in jobs:
        memory = worker.accounts[job.account_id].resource(job.domain, job.resource)
        if memory.meta.swept_at is not None:
            memory.meta = replace(memory.meta, swept_at=memory.meta.swept_at - LONG_AGO)


async def read_pass(worker: HandDriven, one: Pass, jobs: Sequence[Job], lanes: int = CONCURRENCY) -> Sample:
    """Read as a pass says."""
    if one.depth == "complete":
        let_complete_reads_be_due(worker, jobs)
    with metered() as meter:
        await worker.read(jobs, lanes=lanes)
    return meter.sample(len(jobs))


async def read_idle(worker: HandDriven, one: Pass, jobs: Sequence[Job]) -> Sample:
    """Read as a pass says, with nothing to find.

    Raises:
        RuntimeError: a read failed, found something, or was not one.
    """
    counts = worker.polls.counts
    before = replace(counts)
    sample = await read_pass(worker, one, jobs)
    polls, unchanged = counts.polls - before.polls, counts.unchanged - before.unchanged
    expected = 0 if one.kind == PROFILE else len(jobs)
    if (polls, unchanged, counts.committed) != (expected, expected, before.committed) or worker.failing:
        raise RuntimeError(f"{one.kind}, {one.depth}: of {expected} reads {polls} were polls and {unchanged} idle")
    return sample


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure: with how many accounts, in how many rounds, and how many of the accounts live on."""

    place: Place
    bank: RunningSharedBank
    entities: int
    rounds: int
    active_accounts: int


class Measuring:
    """A connector with everything restored and warm, and its bank. `run` does work apart."""

    def __init__(self, task: Task, worker: HandDriven, options: WorkerOptions, run: Callable[..., Any]) -> None:
        self._task = task
        self._worker = worker
        self._options = options
        self._run = run
        self._passes = passes_of(options)
        # By number of the holder, so that every slice has its share of every life.
        self.accounts = sorted(worker.linked, key=lambda account: int(account.link.label.split()[1]))  # type: ignore[union-attr]

    async def warm_up(self) -> None:
        """Read everything at every depth: connections, entity tags and caches are as they are after hours."""
        for depth in READINGS:
            for one in self._passes:
                if one.depth == depth:
                    await read_idle(self._worker, one, one.jobs(self.accounts))

    async def idle_polls(self) -> list[Polls]:
        """Every pass, over another part of the accounts each round, and the same bare requests after it."""
        rounds = self._task.rounds
        found = [
            Polls(
                one.domain,
                one.kind,
                one.depth,
                len(one.jobs(self.accounts)),
                one.turns_an_hour,
                one.turns_after_change,
                {},
            )
            for one in self._passes
        ]
        for number in range(rounds):
            share = self.accounts[len(self.accounts) * number // rounds : len(self.accounts) * (number + 1) // rounds]
            batches, polls = [], []
            for one, told in zip(self._passes, found, strict=True):
                jobs = one.jobs(share)
                self._task.bank.record()
                sample = await read_idle(self._worker, one, jobs)
                told.samples.setdefault(OURS, []).append(sample)
                batches.append(self._task.bank.recorded())
                polls.append(len(jobs))
            for client in CLIENTS:
                # In a thread, as the worker's loop must go on; the process that it starts is what is measured.
                replayed = partial(self._run, run_replay, self._task.bank.base_url, client, batches)
                for told, sample, count in zip(found, await to_thread.run_sync(replayed), polls, strict=True):
                    told.samples.setdefault(client, []).append(replace(sample, count=count))
        return [told for told in found if told.resources]

    async def upkeep(self) -> list[Upkeep]:
        """What is done for all accounts together every so often."""
        found = []
        for name, interval, work in (
            ("commands", self._options.command_interval_seconds, self._worker.apply_commands),
            ("checkpoints", self._options.checkpoint_seconds, self._worker.checkpoint),
        ):
            await work()
            with metered() as meter:
                for _ in range(UPKEEP_TIMES):
                    await work()
            found.append(Upkeep(name, interval, meter.sample(UPKEEP_TIMES)))
        return found

    async def active_round(self, journal: RecordingJournal) -> Active:
        """The reads of an hour with nothing to find, an hour of the bank's, and the same reads again.

        Raises:
            RuntimeError: the bank changed something and no event tells of that domain, or there was something before.
        """
        accounts = self.accounts[: self._task.active_accounts]
        journal.commits.clear()
        idle = await self._read_hour(accounts)
        if journal.commits:
            raise RuntimeError(f"{len(journal.commits)} commits were made before the bank had changed anything")
        stepped = await to_thread.run_sync(self._task.bank.step, 1)
        active = await self._read_hour(accounts)
        commits = [commit for commit in journal.commits if any(event.topic in DOMAINS for event in commit.events)]
        events = [event.topic for commit in commits for event in commit.events if event.topic in DOMAINS]
        stated = self._stated(stepped, len(accounts))
        if missing := stated.keys() - set(events):
            raise RuntimeError(f"the bank changed {sorted(missing)}, of which no event tells")
        if not events:
            raise RuntimeError("the bank changed nothing that these accounts can see: there is nothing to measure")
        # Those that were not read must know as well before the next round, and a new card's first reads be over.
        await self._worker.read_until_idle()
        kinds = Counter(kind_of(commit) for commit in commits)
        return Active(len(accounts), stepped.hours, sum(stated.values()), len(events), dict(kinds), idle, active)

    async def _read_hour(self, accounts: Sequence[AccountMemory]) -> Sample:
        """`READINGS` of everything."""
        due = [one for depth in READINGS for one in self._passes if (one.depth, one.kind == PROFILE) == (depth, False)]
        # One after the other: as few changes come at the bank's own rate, each has a commit of its own.
        samples = [await read_pass(self._worker, one, one.jobs(accounts), lanes=1) for one in due]
        cpu, wall = (sum(getattr(sample, name) for sample in samples) for name in ("cpu_seconds", "wall_seconds"))
        return Sample(cpu, wall, sum(sample.count for sample in samples))

    def _stated(self, stepped: Stepped, accounts: int) -> dict[str, int]:
        """What the bank changed for so many accounts, by domain."""
        lives = self._task.bank.lives
        found: dict[str, int] = {}
        for (life, domain), count in stepped.changes.items():
            sharing = len(range(life, accounts, lives))
            if domain in DOMAINS and sharing:
                found[domain] = found.get(domain, 0) + count * sharing
        return found


def kind_of(commit: Commit) -> str:
    """The kind of the resource whose one read a commit is of.

    Raises:
        RuntimeError: it is of more than one.
    """
    keys = [StateKey.parse(record.key) for record in commit.state]
    kinds = {key.resource.partition(":")[0] for key in keys if key.resource is not None and key.domain in DOMAINS}
    if len(kinds) != 1:
        raise RuntimeError(f"a commit is of the reads of {sorted(kinds)}, which should be one")
    return kinds.pop()


async def _measure(task: Task, run: Callable[..., Any]) -> Hour:
    await open_empty(task.place.directory.parent, task.bank.base_url)
    settings = task.place.settings(task.bank.base_url, linger_seconds=0.0)
    options = worker_options(settings)
    read = GAUGES["resident set"]
    async with opened_edges(settings) as edges:
        journal = RecordingJournal(edges.journal)
        before = read()
        async with worker_of(replace(edges, journal=journal), options).opened_by_hand() as worker:
            restored = read()
            measuring = Measuring(task, worker, options, run)
            await measuring.warm_up()
            footprint = Footprint("resident set", len(worker.linked), restored - before, read() - before)
            polls = await measuring.idle_polls()
            upkeep = await measuring.upkeep()
            active = [await measuring.active_round(journal) for _ in range(task.rounds)]
            accounts = len(worker.linked)
    return Hour(task.place.journal, accounts, task.entities, polls, upkeep, active, [footprint])


def run_measure(task: Task, run: Callable[..., Any]) -> Hour:
    """One journal, in this process; its state is there already."""
    return anyio.run(_measure, task, run)


async def _heap(place: Place, base_url: str) -> Footprint:
    await open_empty(place.directory.parent, base_url)
    settings = place.settings(base_url)
    gauge: Gauge = "Python heap"
    read = GAUGES[gauge]
    async with opened_edges(settings) as edges:
        tracemalloc.start()
        before = read()
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            restored = read()
            await worker.read_all(worker.linked)
            polled, accounts = read(), len(worker.linked)
        tracemalloc.stop()
    return Footprint(gauge, accounts, restored - before, polled - before)


def run_heap(place: Place, base_url: str) -> Footprint:
    """What Python's heap grows by, in this process."""
    return anyio.run(_heap, place, base_url)


async def _prepare(place: Place, base_url: str, known: Sequence[Original], accounts: int) -> int:
    async with opened_edges(place.settings(base_url)) as edges:
        await populate(edges, known, accounts, tuple(DOMAINS), shared_part)
    return sum(known[number % len(known)].entity_count for number in range(accounts))


def run_prepare(place: Place, base_url: str, known: Sequence[Original], accounts: int) -> int:
    """Commit the state of all accounts, in a process that is not measured; how many entities they have."""
    return anyio.run(_prepare, place, base_url, known, accounts)


def _of_journal(rig: Rig, brokers: str | None) -> Hour:
    scale = rig.scale
    with running_shared_bank(rig.seed, scale.hour_adults) as bank:
        place = Place.fresh(rig.directory, brokers)
        rig.say(f"an hour of {scale.hour_accounts} accounts, {place.journal}: cloning their state")
        known = rig.run(run_originals, rig.directory, bank.base_url, bank.lives, tuple(DOMAINS))
        entities = rig.run(run_prepare, place, bank.base_url, known, scale.hour_accounts)
        heap = [_heap_of(rig, bank, known)] if brokers is None else []
        rig.say(f"an hour of {scale.hour_accounts} accounts, {place.journal}: reading")
        task = Task(place, bank, entities, scale.rounds, scale.hour_active)
        hour: Hour = rig.run(run_measure, task, rig.run)
        hour.footprints.extend(heap)
        return hour


def _heap_of(rig: Rig, bank: RunningSharedBank, known: Sequence[Original]) -> Footprint:
    """Of fewer accounts: what traces the heap is slow. The heap is the same on every journal."""
    place = Place.fresh(rig.directory, None)
    rig.run(run_prepare, place, bank.base_url, known, rig.scale.hour_active)
    footprint: Footprint = rig.run(run_heap, place, bank.base_url)
    return footprint


def measure(rig: Rig) -> list[Hour]:
    """Every journal."""
    return [_of_journal(rig, brokers) for brokers in rig.journals.values()]
