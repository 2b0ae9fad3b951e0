"""A feed that moves under the read: begun again from the top, capped, and nothing of a torn read is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.observe import Depth
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.faults import Kind
from tests.contract.journal.backends import Backend
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

FEED = "/accounts/*/transactions"
PAGES = 4
RESTART_CAP = 3


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    scenario = people("account-1", scenario="peers", history_days=28)
    # 200 entries in pages of 50.
    async with World.open(tmp_path, scenario, seed=5, clock=VirtualClock(), place=place) as opened:
        await opened.link("account-1")
        yield opened


async def reconcile(world: World, worker: ShardWorker) -> int:
    """One complete read of the feed by its job; how many calls it took."""
    before = world.calls(FEED)
    world.clock.jump(1801)  # type: ignore[attr-defined]
    await world.read_once(worker, kinds={"transactions"})
    return world.calls(FEED) - before


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging"])
async def test_a_read_that_moved_is_begun_again_from_the_top(world: World, log: Log, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.mutate(holder="account-1", domain="transactions", op="amend", age_days=12)
        world.mutate(holder="account-1", domain="transactions", op="remove", age_days=20)
        world.strike(kind, path=FEED)
        calls = await reconcile(world, worker)
        # A torn attempt of two or three pages at most, and a whole one; no failure to speak of.
        assert PAGES + 2 <= calls <= 2 * PAGES
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=kind != "mutate_while_paging")


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging"])
async def test_a_feed_that_never_stands_still_is_left_for_later_and_nothing_of_it_believed(
    world: World, log: Log, kind: Kind
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        world.mutate(holder="account-1", domain="transactions", op="remove", age_days=1, count=3)
        world.strike(kind, path=FEED, count=None)
        for attempt in range(1, 3):
            calls = await reconcile(world, worker)
            assert calls <= RESTART_CAP * PAGES
            assert len(log.lines("read_failed")) == attempt
        assert log.lines("read_failed")[0]["error"] == "UnavailableError"
        assert f"{RESTART_CAP} reads in a row" in log.lines("read_failed")[0]["problem"]
        assert len(await world.told("transactions")) == known
        world.bank.faults.clear()
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound()
        assert sum(event["op"] == "d" for event in await world.told("transactions")) == 3


@pytest.mark.anyio
async def test_entries_that_arrive_while_paging_are_told_once(world: World, log: Log) -> None:
    async with world.working() as worker:
        await worker.sweep()
        for _ in range(3):
            world.strike("arrive_while_paging", path=FEED)
            await reconcile(world, worker)
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)
        assert len(await world.told("transactions")) == 203


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging", "arrive_while_paging"])
async def test_a_first_sync_of_a_feed_that_moves_is_whole_and_told_once(world: World, kind: Kind) -> None:
    world.strike(kind, path=FEED, count=2)
    async with world.working() as worker:
        for _ in range(4):
            await world.read_once(worker)
            world.clock.jump(1801)  # type: ignore[attr-defined]
        await worker.sweep()
        await worker.sweep()
    await world.assert_sound()
    [account_id] = world.msisdn_of
    assert await world.streams_told("transactions", account_id) == ["StreamOpened", "BackfillCompleted"]


@pytest.mark.anyio
async def test_a_head_read_that_moved_believes_nothing_of_it(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        [account] = [account for account in worker.accounts.values() if account.link]
        resource = next(r for r in account.resources.values() if r.kind.name == "transactions")
        # Something new on the first page, and the page below it torn: two pages are read, and read again.
        world.mutate(holder="account-1", domain="transactions", op="amend", age_days=9)
        world.mutate(holder="account-1", domain="transactions", op="add")
        world.strike("mutate_while_paging", path=FEED)
        before = world.calls(FEED)
        await worker.polls.poll(account, resource, worker.commits, Depth.HEAD)
        assert world.calls(FEED) - before >= 4
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound()
