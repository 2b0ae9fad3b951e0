"""What the brokerage's commands bring about, event by event; what orders say of their payment; who is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.domains.investments import INVESTMENTS
from connector.observe import Depth
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.investments.market import next_trading_day
from connector.window import OVERLAP_ENTRIES
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = pytest.mark.anyio
WHO = "borrower"
FUND = "holding/fund/F-MMF-01"
SHARE = "holding/equity/INDPOL"
STORY: tuple[tuple[dict[str, Any], set[tuple[str, str]]], ...] = (
    ({"op": "buy", "amount": 20}, {("OrderPlaced", "c")}),
    ({"op": "fill_part"}, {("OrderUpdated", "u"), ("HoldingOpened", "c")}),
    ({"op": "fill"}, {("OrderFilled", "u"), ("HoldingChanged", "u")}),
    ({"op": "settle"}, {("OrderUpdated", "u")}),
    ({"op": "reprice"}, {("HoldingChanged", "u")}),
    ({"op": "buy", "amount": 5}, {("OrderPlaced", "c")}),
    ({"op": "cancel"}, {("OrderCancelled", "u")}),
    ({"op": "sell"}, {("OrderPlaced", "c")}),
    ({"op": "fill"}, {("OrderFilled", "u"), ("HoldingClosed", "d")}),
    ({"op": "subscribe"}, {("OrderPlaced", "c")}),
    ({"op": "fill"}, {("OrderFilled", "u"), ("HoldingOpened", "c"), ("NavPublished", "c")}),
    ({"op": "publish_nav"}, {("NavPublished", "c")}),
    ({"op": "restate_nav"}, {("NavPublished", "u")}),
    ({"op": "withdraw_nav"}, {("NavPublished", "d")}),
    ({"op": "redeem"}, {("OrderPlaced", "c")}),
    ({"op": "fill"}, {("OrderFilled", "u"), ("HoldingClosed", "u")}),
    ({"op": "subscribe"}, {("OrderPlaced", "c")}),
    ({"op": "fill"}, {("OrderFilled", "u"), ("HoldingOpened", "u")}),
    ({"op": "remove"}, {("OrderUpdated", "d")}),
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path, people(WHO, history_days=0), seed=4, clock=VirtualClock()) as opened:
        await opened.link(WHO)
        yield opened


async def after(world: World, worker: ShardWorker, **command: Any) -> list[dict[str, Any]]:
    """The events that a command brings about, once it was read twice."""
    before = len(await world.told("investments"))
    world.mutate(holder=WHO, domain="investments", **command)
    await worker.sweep()
    await worker.sweep()
    return (await world.told("investments"))[before:]


async def test_every_event_comes_of_what_it_says(world: World) -> None:
    seen = set()
    async with world.working() as worker:
        await worker.sweep()
        for command, expected in STORY:
            told = await after(world, worker, **command)
            assert {(event["event_type"], event["op"]) for event in told} == expected, command
            seen |= {event["event_type"] for event in told}
        await world.assert_sound(lockstep=True)
    assert seen == set(INVESTMENTS.event_types)


async def test_one_position_valued_anew_leaves_the_others_alone(world: World) -> None:
    """The portfolio is stated anew as a whole: `asOf` moves for all of it."""
    async with world.working() as worker:
        for entity in (SHARE, "holding/equity/KHYCEM"):
            await after(world, worker, op="buy", entity=entity)
            await after(world, worker, op="fill")
        [event] = await after(world, worker, op="reprice", entity=SHARE)
        assert (event["event_type"], event["entity_id"]) == ("HoldingChanged", SHARE)
        assert event["changed"] == ["price", "market_value"]


async def test_an_order_names_the_entry_that_paid_for_it(world: World) -> None:
    async with world.working() as worker:
        await after(world, worker, op="subscribe")
        await after(world, worker, op="fill")
        [settled] = await after(world, worker, op="settle")
    [related] = settled["related"]
    assert (related["relation"], related["domain"]) == ("settlement_transaction", "transactions")
    [paid] = [event for event in await world.told("transactions") if event["entity_id"] == related["entity_id"]]
    assert (paid["event_type"], paid["after"]["transaction"]["rail"]) == ("TransactionPosted", "INVESTMENT")
    assert paid["after"]["transaction"]["amount"] < 0
    held = [event for event in await world.told("investments") if event["entity_id"] == FUND][-1]
    [nav] = held["related"]
    [published] = [event for event in await world.told("investments") if event["entity_id"] == nav["entity_id"]]
    assert published["after"]["nav"]["nav"] == held["after"]["holding"]["price"]


async def test_a_restated_value_is_found_the_newest_at_once_and_an_older_one_by_the_reconcile(world: World) -> None:
    async with world.working() as worker:
        await after(world, worker, op="subscribe")
        await after(world, worker, op="fill")
        [account] = [account for account in worker.accounts.values() if account.link]
        [nav] = [resource for resource in account.resources.values() if resource.kind.name == "nav"]
        books = world.bank.life(WHO).investments
        fund = books.holdings[FUND].instrument
        newest, oldest = max(books.navs[fund.id]), min(books.navs[fund.id])
        for number in range(1, OVERLAP_ENTRIES + 3):
            value = books.navs[fund.id][oldest].value
            books.publish(fund, oldest - timedelta(days=number), value, world.bank.ledger_now())
        await worker.polls.poll(account, nav, worker.commits, Depth.RECONCILE)
        known = len(await world.told("investments"))

        async def restated(day: Any, depth: Depth) -> list[str]:
            before = len(await world.told("investments"))
            books.publish(fund, day, books.navs[fund.id][day].value + fund.step, world.bank.ledger_now())
            await worker.polls.poll(account, nav, worker.commits, depth)
            return [f"{one['event_type']} {one['op']}" for one in (await world.told("investments"))[before:]]

        assert await restated(newest, Depth.HEAD) == ["NavPublished u"]
        older = min(books.navs[fund.id])
        assert older < newest - timedelta(days=1)
        assert await restated(older, Depth.HEAD) == []
        await worker.polls.poll(account, nav, worker.commits, Depth.RECONCILE)
        assert len(await world.told("investments")) == known + 2
        assert next_trading_day(newest) not in books.navs[fund.id]


@pytest.mark.parametrize("label", ["teen", "basic"])
async def test_whoever_may_not_invest_is_never_asked(tmp_path: Path, label: str) -> None:
    async with World.open(tmp_path, people(label), seed=4, clock=VirtualClock()) as world:
        await world.link(label)
        async with world.working() as worker:
            for _ in range(3):
                await worker.sweep()
        assert world.calls() > 0
        assert world.calls("/invest/*") == 0
