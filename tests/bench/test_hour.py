"""An hour of many accounts: what is read follows from the domains; what was not idle, or not found, fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from connector.cadence import Bounds, Intervals
from connector.domains.model import Feed
from connector.domains.registry import DOMAINS
from connector.runtime.connector import worker_options
from connector.runtime.options import WorkerOptions
from tests.bench import hour
from tests.bench.hour_figures import LOGIN, OURS, YARDSTICK, Active, Hour, Polls, Upkeep
from tests.bench.linked import Place, connect, opened_edges, worker_of
from tests.bench.measure import Sample
from tests.bench.passes import passes_of, turns_after_change
from tests.bench.recording import RecordingJournal
from tests.bench.shared_bank import RunningSharedBank, Stepped, running_shared_bank

SEED = 7
ACCOUNTS = 2


@asynccontextmanager
async def measuring(directory: Path) -> AsyncIterator[tuple[hour.Measuring, RunningSharedBank, RecordingJournal]]:
    """Everything as `hour` has it, with few accounts that were really synced."""
    with running_shared_bank(SEED, 1) as bank:
        place = Place.fresh(directory, None)
        settings = place.settings(bank.base_url, linger_seconds=0.0)
        options = worker_options(settings)
        async with opened_edges(settings) as edges:
            await connect(edges, settings, ACCOUNTS, tuple(DOMAINS))
            journal = RecordingJournal(edges.journal)
            async with worker_of(replace(edges, journal=journal), options).opened_by_hand() as worker:
                await worker.read_until_idle(worker.linked)
                task = hour.Task(place, bank, 0, 1, ACCOUNTS)
                yield hour.Measuring(task, worker, options, lambda work, *arguments: work(*arguments)), bank, journal


@pytest.mark.proof
def test_what_was_not_idle_is_no_measurement(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with measuring(tmp_path) as (measured, bank, _):
            await measured.warm_up()
            bank.step(48)
            with pytest.raises(RuntimeError, match=r"of 2 reads 2 were polls and [01] idle"):
                await measured.warm_up()

    anyio.run(scenario)


@pytest.mark.proof
def test_a_bank_that_changed_before_its_hour_is_no_measurement(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with measuring(tmp_path) as (measured, bank, journal):
            bank.step(48)
            with pytest.raises(RuntimeError, match="before the bank had changed anything"):
                await measured.active_round(journal)

    anyio.run(scenario)


@pytest.mark.proof
def test_changes_that_no_event_tells_of_are_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with measuring(tmp_path) as (measured, _, journal):
            stated = Stepped(1.0, {(0, "transactions"): 1})
            monkeypatch.setattr(RunningSharedBank, "step", lambda _self, _steps: stated)
            with pytest.raises(RuntimeError, match=r"the bank changed \['transactions'\], of which no event tells"):
                await measured.active_round(journal)

    anyio.run(scenario)


def test_every_kind_of_every_registered_domain_is_read() -> None:
    told = passes_of(WorkerOptions())
    kinds = {kind.name: kind for domain in DOMAINS.values() for kind in domain.resources}
    assert {one.kind for one in told if one.depth == "head"} == {*kinds, "profile"}
    windowed = {name for name, kind in kinds.items() if kind.feed is not Feed.WHOLE}
    assert {one.kind for one in told if one.depth == "complete"} == windowed
    assert {one.domain for one in told} == {*DOMAINS, LOGIN}
    assert all(one.turns_an_hour > 0 for one in told)


def test_turns_are_those_of_a_quiet_resource() -> None:
    bounds = Bounds(soonest_ratio=0.25, slowest_ratio=2.0)
    options = WorkerOptions(intervals={"transactions": Intervals(30.0, 1800.0)}, bounds=bounds)
    told = {one.depth: one.turns_an_hour for one in passes_of(options) if one.kind == "transactions"}
    assert told == {"head": 60.0 - 2.0, "complete": 2.0}
    # 7.5, 11.25, 16.875, 25.3125, 37.96875 and 56.953125 seconds instead of 60.
    assert turns_after_change(Intervals(30.0, 1800.0), bounds) == pytest.approx(6 - 155.859375 / 60)
    assert turns_after_change(Intervals(30.0, 1800.0), Bounds(1.0, 1.0)) == 0.0


def sample(seconds: float, count: int) -> Sample:
    return Sample(seconds, seconds, count)


def test_an_hour_is_made_of_its_polls_its_upkeep_and_its_changes() -> None:
    def polls(kind: str, depth: Any, turns: float, seconds: float, more: float = 0.0) -> Polls:
        samples = {OURS: [sample(seconds, 1)], YARDSTICK: [sample(seconds / 2, 1)]}
        return Polls("transactions", kind, depth, 20, turns, more, samples)

    active = Active(5, 2.0, 30, 20, {"points": 10}, idle=sample(1.0, 10), active=sample(2.0, 20))
    told = Hour(
        "sqlite",
        10,
        100,
        [polls("points", "head", 50.0, 0.01, 3.0), polls("points", "complete", 1.0, 0.5)],
        [Upkeep("checkpoints", 60.0, sample(0.1, 2))],
        [active],
        [],
    )
    assert told.idle_seconds == pytest.approx(2 * (50 * 0.01 + 1 * 0.5) + 60 * 0.05 / 10)
    assert active.change_seconds == pytest.approx(0.05)
    assert active.found_seconds == pytest.approx(0.05 + 0.1 * 10 / 20)
    assert told.rate == active.rate == pytest.approx(2.0)
    assert told.active_seconds == pytest.approx(told.idle_seconds + 2 * 0.05 + 1 * 3 * 0.01)
