"""Numbered pages over the whole connector: rows that shift under a read are neither lost, doubled nor believed gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from connector.ports import Page, PageRequest, RawPage, Resource
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.faults import Kind
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

ORDERS = "/invest/v1/orders"
SIZE = 5
WHO = "borrower"


class Meddling:
    """A source during whose reads of orders something happens at the bank: `happens` before the second page."""

    def __init__(self, source: Any, happens: Callable[[], None], *, count: bool = True) -> None:
        self._source = source
        self._happens = happens
        self._count = count
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        if resource.kind.name == "orders" and request.cursor == "1" and self.left:
            self.left -= 1
            self._happens()
        page: RawPage = await self._source.fetch_page(resource, request)
        return page

    def normalise(self, resource: Resource, body: bytes) -> Page:
        page: Page = self._source.normalise(resource, body)
        return page if self._count else Page(page.entries, page.next_cursor, page.unknown_fields)

    async def understand(self, resource: Resource, body: bytes) -> Page:
        return self.normalise(resource, body)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path, people(WHO), seed=5, clock=VirtualClock(), page_limit=SIZE) as opened:
        await opened.link(WHO)
        assert len(opened.bank.life(WHO).investments.orders) > 2 * SIZE
        yield opened


async def reconcile(world: World, worker: ShardWorker) -> int:
    """One complete read of the orders by its job; how many calls it took."""
    before = world.calls(ORDERS)
    world.clock.jump(1801)  # type: ignore[attr-defined]
    await world.read_once(worker, kinds={"orders"})
    return world.calls(ORDERS) - before


def newest(world: World, place: int) -> str:
    return world.bank.life(WHO).investments.newest_first()[place].id


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["arrive_while_paging", "repeat_cursor"])
async def test_a_read_that_shifted_is_begun_again_from_the_top(world: World, log: Log, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        quiet = await reconcile(world, worker)
        for _ in range(2):
            world.strike(kind, path=ORDERS)
            assert await reconcile(world, worker) > quiet
        assert log.lines("read_failed") == []
        await worker.sweep()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("count", [True, False])
async def test_a_row_that_slips_over_the_border_twice_is_not_believed_gone(world: World, count: bool) -> None:
    """Not to count, on the same bank, is to tell a removal that never was; the oracle finds it."""

    def row_goes() -> None:
        world.mutate(holder=WHO, domain="investments", op="remove", entity=f"order/{newest(world, 0)}")

    meddling = Meddling(world.source, row_goes, count=count)
    world.source = meddling  # type: ignore[assignment]
    async with world.working() as worker:
        await worker.sweep()
        victim = newest(world, SIZE)
        for _ in range(2):
            # The victim is the first row of the second page, and slips onto the first when the newest goes.
            meddling.left = 1
            await reconcile(world, worker)
            world.mutate(holder=WHO, domain="investments", op="buy")
            assert victim in world.bank.life(WHO).investments.orders
        gone = [event["entity_id"] for event in await world.told("investments") if event["op"] == "d"]
        assert (f"order/{victim}" in gone) is not count
        if count:
            for _ in range(3):
                await worker.sweep()
            await world.assert_sound()
        else:
            assert not (await world.verdict(settled=False)).sound


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["arrive_while_paging", "repeat_cursor"])
async def test_a_first_sync_of_orders_that_shift_is_whole_and_told_once(world: World, kind: Kind) -> None:
    world.strike(kind, path=ORDERS, count=2)
    async with world.working() as worker:
        for _ in range(4):
            await world.read_once(worker)
            world.clock.jump(1801)  # type: ignore[attr-defined]
        await worker.sweep()
        await worker.sweep()
    await world.assert_sound()
