"""Ten thousand resources in one process: no task each, no burst after an outage, nobody starved."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import anyio
import pytest
from anyio.abc import TaskGroup

from connector.cadence import Intervals
from connector.runtime.backend import BackendLimits
from connector.runtime.job_board import PROFILE, Job, JobBoard
from connector.runtime.options import WorkerOptions
from tests.support.virtual_clock import VirtualClock

RESOURCES = 10_000
INTERVAL_SECONDS = 40.0
RATE_PER_SECOND = 20.0
CONCURRENCY = 8
CALL_SECONDS = 0.05
JITTER = 0.1
SEED = 20260301


def board(clock: VirtualClock) -> JobBoard:
    options = WorkerOptions(
        intervals={"transactions": Intervals(INTERVAL_SECONDS, INTERVAL_SECONDS)},
        backends={"bank": BackendLimits(CONCURRENCY, RATE_PER_SECOND, 5, 15.0, 300.0)},
        jitter_ratio=JITTER,
    )
    return JobBoard(clock, options, Random(SEED))


class Run:
    """Works a board for a while against a backend that is away between two moments."""

    def __init__(self, clock: VirtualClock, away: tuple[float, float] | None = None) -> None:
        self.clock = clock
        self.board = board(clock)
        self.away = away
        self.calls: list[float] = []
        self.good: Counter[Job] = Counter()
        self.most_tasks = 0

    async def work(self, until: float) -> None:
        async with anyio.create_task_group() as jobs:
            jobs.start_soon(self._dispatch, jobs)
            await self.clock.advance(until)
            jobs.cancel_scope.cancel()

    async def _dispatch(self, jobs: TaskGroup) -> None:
        bank = self.board.backends["bank"]
        while True:
            job = await self.board.next_job(bank)
            self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
            jobs.start_soon(self._call, job)

    async def _call(self, job: Job) -> None:
        bank = self.board.backends["bank"]
        await self.clock.sleep(bank.reserve(self.clock.monotonic()))
        now = self.clock.monotonic()
        self.calls.append(now)
        await self.clock.sleep(CALL_SECONDS)
        if self.away is not None and self.away[0] <= now < self.away[1]:
            bank.failed(job.account_id, now)
            _trouble, wait = self.board.failed(job)
        else:
            bank.succeeded(job.account_id, job.surface)
            self.board.succeeded(job)
            self.good[job] += 1
            wait = self.board.interval(job)
        self.board.ended(job)
        self.board.put(job, wait)


def jobs(number: int) -> list[Job]:
    return [Job(f"acc_{place}", "transactions", f"transactions:{place}") for place in range(number)]


@pytest.mark.anyio
async def test_an_outage_is_followed_by_no_burst_and_everybody_is_read_again() -> None:
    clock = VirtualClock()
    run = Run(clock, away=(30.0, 90.0))
    run.board.put_new(jobs(400))
    await run.work(160.0)
    per_second = Counter(int(moment) for moment in run.calls)
    assert max(per_second.values()) <= RATE_PER_SECOND + 1, f"seed {SEED}"
    during = [moment for moment in run.calls if 35.0 <= moment < 90.0]
    assert len(during) < 10, "the breaker lets through probes only"
    assert len(run.good) == 400
    assert min(run.good.values()) >= 2, "everybody was read before the outage and after it"


@pytest.mark.anyio
async def test_ten_thousand_resources_share_a_handful_of_tasks() -> None:
    clock = VirtualClock()
    run = Run(clock)
    run.board.put_new(jobs(RESOURCES))
    await run.work(15.0)
    assert run.most_tasks < CONCURRENCY + 10
    assert len(run.calls) == pytest.approx(15.0 * RATE_PER_SECOND, rel=0.05)
    assert max(run.good.values()) == 1, "nobody is served twice before everybody was served once"


@pytest.mark.anyio
async def test_intervals_are_spread_by_the_jitter_and_no_more() -> None:
    clock = VirtualClock()
    tried = board(clock)
    for job in jobs(500):
        tried.put(job, 100.0)
    queue = tried._queues["bank"]
    moments = []
    while (due := queue.next_due()) is not None:
        moments.append(due)
        queue.take(due)
    assert 100.0 * (1 - JITTER) <= min(moments) < 95.0
    assert 105.0 < max(moments) <= 100.0 * (1 + JITTER)


@pytest.mark.anyio
async def test_an_exact_moment_is_not_spread() -> None:
    tried = board(VirtualClock())
    tried.put(jobs(1)[0], 100.0, exact=True)
    assert tried._queues["bank"].next_due() == 100.0


@pytest.mark.anyio
async def test_a_job_under_way_is_not_run_beside_itself_but_once_more_after() -> None:
    clock = VirtualClock()
    tried = board(clock)
    job = Job("acc_1", "", PROFILE)
    tried.put(job, 0.0)
    assert await tried.next_job(tried.backends["bank"]) == job
    tried.put(job, 0.0)
    assert tried._queues["bank"].next_due() is None
    assert tried.ended(job)
    assert not tried.ended(job)


@pytest.mark.anyio
async def test_backing_off_doubles_up_to_a_quarter_of_an_hour_and_is_forgiven() -> None:
    tried = board(VirtualClock())
    [job, other] = [Job("acc_1", "transactions", "transactions:1"), Job("acc_1", "", PROFILE)]
    waits = [tried.failed(job)[1] for _ in range(5)]
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0]
    assert [tried.failed(job)[1] for _ in range(5)][-1] == 900.0
    tried.failed(other)
    assert not tried.succeeded(job), "another job of the account still fails"
    assert tried.succeeded(other)
    tried.failed(job)
    tried.forgive("acc_1")
    assert not tried.failing("acc_1")


ACCOUNT_WITH_MUCH = "acc_much"


def much(number: int) -> list[Job]:
    return [Job(ACCOUNT_WITH_MUCH, "transactions", f"transactions:{place}") for place in range(number)]


@pytest.mark.anyio
async def test_an_account_with_very_much_starves_nobody() -> None:
    """Twenty thousand resources of one account came due before anybody else's: each of the others is next in turn."""
    clock = VirtualClock()
    run = Run(clock)
    for job in much(20_000):
        run.board.put(job, 0.0, exact=True)
    for job in jobs(50):
        run.board.put(job, 1.0, exact=True)
    await run.work(8.0)
    others = [job for job in run.good if job.account_id != ACCOUNT_WITH_MUCH]
    assert len(others) == 50, "fifty others within seven seconds of twenty calls, half of which are theirs"
    assert run.good.total() == pytest.approx(8 * RATE_PER_SECOND, rel=0.1), "and no slot was left unused"


@pytest.mark.anyio
async def test_reads_that_never_end_leave_slots_for_the_others() -> None:
    clock = VirtualClock()
    tried = board(clock)
    bank = tried.backends["bank"]
    for job in (*much(100), *jobs(2)):
        tried.put(job, 0.0, exact=True)
    taken: list[Job] = []

    async def take() -> None:
        while True:
            taken.append(await tried.next_job(bank))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await clock.advance(5.0)
        tasks.cancel_scope.cancel()
    assert len(taken) == CONCURRENCY
    assert {job.account_id for job in taken} == {ACCOUNT_WITH_MUCH, "acc_0", "acc_1"}


@pytest.mark.anyio
async def test_eight_shards_share_the_slots_and_the_pace_of_one_backend() -> None:
    clock = VirtualClock()
    first = board(clock)
    runs = []
    for number in range(8):
        run = Run(clock)
        run.board = JobBoard(clock, first.options, Random(SEED + number), first.backends)
        run.board.put_new(Job(f"acc_{number}_{place}", "transactions", f"transactions:{place}") for place in range(500))
        runs.append(run)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, sum(len(run.board._running) for run in runs))
            await clock.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        for run in runs:
            tasks.start_soon(run._dispatch, tasks)
        await clock.advance(20.0)
        tasks.cancel_scope.cancel()
    calls = sorted(moment for run in runs for moment in run.calls)
    for moment in range(20):
        assert sum(moment <= at < moment + 1 for at in calls) <= RATE_PER_SECOND + 1, f"seed {SEED}"
    assert len(calls) >= 0.9 * 20 * RATE_PER_SECOND
    assert most <= CONCURRENCY
    assert min(len(run.calls) for run in runs) > 0.5 * len(calls) / 8, "each shard gets its share"


@pytest.mark.anyio
async def test_a_shard_that_is_dropped_gives_its_slots_back() -> None:
    clock = VirtualClock()
    first = board(clock)
    bank = first.backends["bank"]
    for job in jobs(CONCURRENCY):
        first.put(job, 0.0, exact=True)
    for _ in range(CONCURRENCY):
        await first.next_job(bank)
    assert bank.slots.value == 0
    first.close()
    assert bank.slots.value == CONCURRENCY


@pytest.mark.anyio
async def test_a_held_account_waits_and_the_others_are_read_meanwhile() -> None:
    clock = VirtualClock()
    run = Run(clock)
    bank = run.board.backends["bank"]
    bank.refused("acc_0", "wallet", 0.0, 30.0)
    run.board.put_new(jobs(5))
    await run.work(10.0)
    assert {job.account_id for job in run.good} == {"acc_1", "acc_2", "acc_3", "acc_4"}
    await run.work(25.0)
    assert any(job.account_id == "acc_0" for job in run.good)
