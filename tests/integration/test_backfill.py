"""The first sync is committed in chunks: a death in the middle keeps them, and the next life goes on below."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from connector.runtime.poller import PollLimits
from tests.support.world import World, people

FEED = "/accounts/*/transactions"
PAGE_LIMIT = 10
ENTRIES = 200
CHUNK_ENTRIES = PAGE_LIMIT * PollLimits().backfill_chunk_pages


async def live_until_page(world: World, pages: int) -> None:
    """A connector that reads until the bank has given it so many pages of the feed, and then is no more."""
    until = world.calls(FEED) + pages

    def gone(request: httpx.Request) -> None:
        if request.url.path.endswith("/transactions") and world.calls(FEED) >= until:
            raise httpx.ConnectError("gone", request=request)

    world.transport.before_call = gone
    async with world.working() as worker:
        await world.read_once(worker, kinds={"transactions"})
    world.transport.before_call = lambda _: None
    await world.source.close()
    world.new_source()


@pytest.mark.anyio
async def test_a_first_sync_that_dies_again_and_again_tells_everything_once(tmp_path: Path) -> None:
    scenario = people("account-1", scenario="peers", history_days=28)
    async with World.open(tmp_path, scenario, seed=5, page_limit=PAGE_LIMIT) as world:
        [account_id] = await world.link("account-1")
        # Each life is let read a little further than the one before; the last page of a chunk commits it.
        for chunks, pages in ((1, 7), (2, 12), (3, 19)):
            await live_until_page(world, pages)
            told = await world.told("transactions")
            assert [event["op"] for event in told] == ["c"] * chunks * CHUNK_ENTRIES
            assert await world.streams_told("transactions", account_id) == ["StreamOpened"]
        # Meanwhile the bank changes: below what was committed, within it, and at the top.
        world.mutate(holder="account-1", domain="transactions", op="amend", age_days=1)
        world.mutate(holder="account-1", domain="transactions", op="amend", age_days=27)
        world.mutate(holder="account-1", domain="transactions", op="add", count=2)
        async with world.working() as worker:
            for _ in range(3):
                await worker.sweep()
        assert await world.streams_told("transactions", account_id) == ["StreamOpened", "BackfillCompleted"]
        ops = [event["op"] for event in await world.told("transactions")]
        assert sorted(ops) == ["c"] * (ENTRIES + 2) + ["u"]
        modes = [event["source"]["mode"] for event in await world.told("transactions")]
        assert modes.count("backfill") >= ENTRIES
        await world.assert_sound()
