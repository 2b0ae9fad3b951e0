"""Errors of the lending core come as HTTP 200 with a code: none of them is *no loans*."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

INQUIRY = "/advance-cash/*"


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, people("borrower"), seed=6, clock=VirtualClock(), place=place) as opened:
        await opened.link("borrower")
        yield opened


async def read_loans(world: World, worker: ShardWorker, times: int = 1) -> None:
    for _ in range(times):
        world.clock.jump(1)  # type: ignore[attr-defined]
        await world.read_once(worker, kinds={"loan"})


async def lending(world: World) -> list[dict[str, Any]]:
    return await world.told("lending")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "error", "breaks"),
    [
        ("05", "ForbiddenError", False),
        ("68", "UnavailableError", True),
        ("91", "UnavailableError", True),
        ("96", "UnavailableError", True),
        ("77", "UnavailableError", True),
    ],
)
async def test_no_error_is_taken_for_no_loans(world: World, log: Log, code: str, error: str, breaks: bool) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = await lending(world)
        assert any(event["after"]["loan"] for event in known)
        world.bank.step()
        world.strike("advance_cash_code", count=None, params={"response_code": code})
        await read_loans(world, worker, times=3)
        assert [line["error"] for line in log.lines("read_failed")] == [error] * 3
        assert await lending(world) == known
        assert worker._board.backends["advance-cash"]._failures == (3 if breaks else 0)
        assert world.calls("/auth/refresh") == 0
        world.bank.faults.clear()
        await worker.sweep()
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_session_that_the_core_does_not_accept_is_refreshed_once(world: World, log: Log) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        before = world.calls(INQUIRY)
        world.strike("advance_cash_code", params={"response_code": "14"})
        await read_loans(world, worker)
        assert world.calls("/auth/refresh") == 1
        assert world.calls(INQUIRY) - before == 2
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_core_that_accepts_no_session_costs_one_refresh_and_no_holder(world: World, log: Log) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = await lending(world)
        world.strike("advance_cash_code", count=None, params={"response_code": "14"})
        await read_loans(world, worker, times=2)
        # That it refuses what a refresh has only just brought is no reason for another one.
        assert world.calls("/auth/refresh") == 1
        assert [line["error"] for line in log.lines("read_failed")] == ["UnavailableError"] * 2
        assert await lending(world) == known
        # The lending core's trouble is its own: the link stays as it is, and the feed is read on.
        assert await world.links_told(account_id) == ["ConsentGranted", "LinkActivated"]
        world.bank.faults.clear()
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_no_facility_is_believed_only_twice_in_a_row(world: World) -> None:
    """Code 01 is an answer, not an error; but loans that were there are gone only when two reads say so."""
    async with world.working() as worker:
        await worker.sweep()
        known = len(await lending(world))
        world.strike("advance_cash_code", params={"response_code": "01"})
        await read_loans(world, worker)
        assert len(await lending(world)) == known
        await read_loans(world, worker, times=2)
        assert len(await lending(world)) == known
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_surface_that_is_refused_is_asked_again_only_after_the_profile(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.strike("advance_cash_code", params={"response_code": "05"})
        await read_loans(world, worker)
        jobs = {job.resource: due for due, _, job in worker._board._queues["bank"]._heap}
        assert jobs["profile"] <= world.clock.monotonic() + 0.001
        waits = {job.resource: due for due, _, job in worker._board._queues["advance-cash"]._heap}
        assert waits["loan"] - world.clock.monotonic() > 3000
