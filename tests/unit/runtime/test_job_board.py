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
        slots = anyio.Semaphore(CONCURRENCY)
        while True:
            await slots.acquire()
            job = await self.board.next_job(bank)
            self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
            jobs.start_soon(self._call, job, slots)

    async def _call(self, job: Job, slots: anyio.Semaphore) -> None:
        bank = self.board.backends["bank"]
        await self.clock.sleep(bank.reserve(self.clock.monotonic()))
        now = self.clock.monotonic()
        self.calls.append(now)
        await self.clock.sleep(CALL_SECONDS)
        if self.away is not None and self.away[0] <= now < self.away[1]:
            bank.failed(now)
            _trouble, wait = self.board.failed(job)
        else:
            bank.succeeded()
            self.board.succeeded(job)
            self.good[job] += 1
            wait = self.board.interval(job)
        self.board.ended(job)
        self.board.put(job, wait)
        slots.release()


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
