"""A feed that moves under the read: begun again from the top, capped, and nothing of a torn read is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.observe import Depth
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.faults import Kind
from tests.contract.journal.backends import Backend
from tests.support.feeds import Feed
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

ENTRIES = 200
PAGES = 4
RESTART_CAP = 3


@pytest.fixture
async def world(tmp_path: Path, place: Backend, feed: Feed) -> AsyncIterator[World]:
    scenario = people("account-1", scenario="peers", history_days=28)
    # 200 entries in pages of 50.
    async with World.open(tmp_path, scenario, seed=5, clock=VirtualClock(), place=place) as opened:
        feed.fill(opened, "account-1", ENTRIES)
        await opened.link("account-1", domains=frozenset({feed.domain, "account"}))
        yield opened


async def reconcile(world: World, worker: ShardWorker, feed: Feed) -> int:
    """One complete read of the feed by its job; how many calls it took."""
    before = world.calls(feed.path)
    world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
    await world.read_once(worker, kinds={feed.domain})
    return world.calls(feed.path) - before


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging"])
async def test_a_read_that_moved_is_begun_again_from_the_top(world: World, feed: Feed, log: Log, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.mutate(holder="account-1", domain=feed.domain, op="amend", age_days=12)
        world.mutate(holder="account-1", domain=feed.domain, op="remove", age_days=20)
        world.strike(kind, path=feed.path)
        calls = await reconcile(world, worker, feed)
        # A torn attempt of two or three pages at most, and a whole one; no failure to speak of.
        assert PAGES + 2 <= calls <= 2 * PAGES
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=kind != "mutate_while_paging")


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging"])
async def test_a_feed_that_never_stands_still_is_left_for_later_and_nothing_of_it_believed(
    world: World, feed: Feed, log: Log, kind: Kind
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        world.mutate(holder="account-1", domain=feed.domain, op="remove", age_days=1, count=3)
        world.strike(kind, path=feed.path, count=None)
        for attempt in range(1, 3):
            calls = await reconcile(world, worker, feed)
            assert calls <= RESTART_CAP * PAGES
            assert len(log.lines("read_failed")) == attempt
        assert log.lines("read_failed")[0]["error"] == "UnavailableError"
        assert f"{RESTART_CAP} reads in a row" in log.lines("read_failed")[0]["problem"]
        assert len(await world.told(feed.domain)) == known
        world.bank.faults.clear()
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound()
        assert sum(event["op"] == "d" for event in await world.told(feed.domain)) == 3


@pytest.mark.anyio
async def test_entries_that_arrive_while_paging_are_told_once(world: World, feed: Feed, log: Log) -> None:
    async with world.working() as worker:
        await worker.sweep()
        for _ in range(3):
            world.strike("arrive_while_paging", path=feed.path)
            await reconcile(world, worker, feed)
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)
        assert len(await world.told(feed.domain)) == ENTRIES + 3


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["repeat_cursor", "invalid_cursor", "mutate_while_paging", "arrive_while_paging"])
async def test_a_first_sync_of_a_feed_that_moves_is_whole_and_told_once(world: World, feed: Feed, kind: Kind) -> None:
    world.strike(kind, path=feed.path, count=2)
    async with world.working() as worker:
        for _ in range(4):
            await world.read_once(worker)
            world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
        await worker.sweep()
        await worker.sweep()
    await world.assert_sound()
    [account_id] = world.msisdn_of
    assert await world.streams_told(feed.domain, account_id) == ["StreamOpened", "BackfillCompleted"]


@pytest.mark.anyio
async def test_a_head_read_that_moved_believes_nothing_of_it(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        await worker.sweep()
        [account] = [account for account in worker.accounts.values() if account.link]
        resource = next(r for r in account.resources.values() if r.kind.name == feed.domain)
        # Something new on the first page, and the page below it torn: two pages are read, and read again.
        world.mutate(holder="account-1", domain=feed.domain, op="amend", age_days=9)
        world.mutate(holder="account-1", domain=feed.domain, op="add")
        world.strike("mutate_while_paging", path=feed.path)
        before = world.calls(feed.path)
        await worker.polls.poll(account, resource, worker.commits, Depth.HEAD)
        assert world.calls(feed.path) - before >= 4
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound()
