"""Entries that vanish: the running balance that tells of it, and a disappearance too big to be believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.feeds import TRANSACTIONS, Feed
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

HOLDER = "account-1"
ENTRIES = 200
VANISHING = 80  # of them: above 20 entries and above 30 %


@pytest.fixture
async def world(tmp_path: Path, place: Backend, feed: Feed) -> AsyncIterator[World]:
    scenario = people(HOLDER, scenario="peers", history_days=28)
    async with World.open(tmp_path, scenario, seed=11, clock=VirtualClock(), place=place) as opened:
        feed.fill(opened, HOLDER, ENTRIES)
        await opened.link(HOLDER, domains=frozenset({feed.domain, "account"}))
        yield opened


async def reconcile(world: World, worker: ShardWorker, feed: Feed, times: int = 1) -> None:
    for _ in range(times):
        world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
        await world.read_once(worker, kinds={feed.domain})


async def since(world: World, feed: Feed, known: int) -> list[dict[str, Any]]:
    return (await world.told(feed.domain))[known:]


def mass_removal(world: World, feed: Feed, count: int = VANISHING) -> None:
    world.mutate(holder=HOLDER, domain=feed.domain, op="remove", age_days=14, count=count)


async def checkpoint(world: World, worker: ShardWorker) -> dict[str, Any]:
    """What the next checkpoint says."""
    await worker.checkpoint()
    told = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
    said: dict[str, Any] = told[-1]["after"]["checkpoint"]
    return said


async def held(world: World, worker: ShardWorker) -> set[str]:
    """The streams in which, by the next checkpoint, something is not believed yet."""
    behind = (await checkpoint(world, worker))["behind"]
    return {row["domain"] for row in behind if row["status"] == "HELD"}


@pytest.mark.anyio
async def test_what_was_suspected_when_the_connector_died_is_looked_at_again(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        world.mutate(holder=HOLDER, domain=feed.domain, op="remove", age_days=14, count=1)
        # Something to commit in the very read that first misses the entry: what it leaves is durable.
        world.mutate(holder=HOLDER, domain=feed.domain, op="add")
        await reconcile(world, worker, feed)
        assert [event["op"] for event in await since(world, feed, known)] == ["c"]
    async with world.working() as worker:
        await reconcile(world, worker, feed, times=2)
        assert [event["op"] for event in await since(world, feed, known)] == ["c", "d"]
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_checkpoint_vouches_for_removals_only_once_they_are_told(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        assert (await checkpoint(world, worker))["streams"] == 0
        await worker.sweep()
        before = (await checkpoint(world, worker))["reconciled_until"]
        world.clock.jump(1)  # type: ignore[attr-defined]
        world.mutate(holder=HOLDER, domain=feed.domain, op="remove", age_days=14, count=1)
        removed_at = world.clock.now()
        await world.read_once(worker)
        await reconcile(world, worker, feed)
        suspected = await checkpoint(world, worker)
        assert before <= suspected["reconciled_until"] < removed_at
        known = len(await world.told(feed.domain))
        await reconcile(world, worker, feed)
        assert [event["op"] for event in await since(world, feed, known)] == ["d"]
        world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
        await world.read_once(worker)
        vouched = await checkpoint(world, worker)
        assert vouched["reconciled_until"] > removed_at
        assert vouched["behind_count"] == 0
        world.mutate(holder=HOLDER, domain=feed.domain, op="add")
        await reconcile(world, worker, feed)
    # Who comes back right after a reconcile begins with a look at the head, which vouches for no removal.
    async with world.working() as worker:
        await world.read_once(worker, kinds={feed.domain})
        assert (await checkpoint(world, worker))["reconciled_until"] is None


@pytest.mark.anyio
@pytest.mark.parametrize("feed", [TRANSACTIONS], indirect=True)
async def test_a_hidden_entry_breaks_the_chain_after_two_reads_and_its_return_heals_it(
    world: World, feed: Feed
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        hidden = sorted(world.bank.life(HOLDER).ledgers[feed.domain].present)[100]
        world.strike("hide_entry", count=None, path=feed.path, params={"entity": hidden})
        await reconcile(world, worker, feed)
        assert await since(world, feed, known) == []
        await reconcile(world, worker, feed)
        told = await since(world, feed, known)
        assert {event["event_type"] for event in told} == {"BalanceChainBroken", "TransactionRemoved"}
        [broken] = [event for event in told if event["event_type"] == "BalanceChainBroken"]
        chain = broken["after"]["balance_chain"]
        amount = world.bank.life(HOLDER).transactions.get(hidden).amount_paisa  # type: ignore[union-attr]
        assert int((chain["stated_balance"] - chain["expected_balance"]) * 100) == amount
        await reconcile(world, worker, feed, times=2)
        assert len(await since(world, feed, known)) == 2
        world.bank.faults.clear()
        await reconcile(world, worker, feed, times=2)
        assert [event["event_type"] for event in (await since(world, feed, known))[2:]] == [
            "TransactionPosted",
            "BalanceChainHealed",
        ]


@pytest.mark.anyio
@pytest.mark.parametrize("feed", [TRANSACTIONS], indirect=True)
async def test_a_chain_that_is_off_for_one_read_is_not_told(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        hidden = sorted(world.bank.life(HOLDER).ledgers[feed.domain].present)[50]
        fault = world.strike("hide_entry", count=1, path=feed.path, params={"entity": hidden})
        await reconcile(world, worker, feed, times=3)
        assert fault.fired == 1
        assert await since(world, feed, known) == []
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_mass_removal_waits_for_a_person(world: World, feed: Feed) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        mass_removal(world, feed)
        await reconcile(world, worker, feed, times=4)
        assert await since(world, feed, known) == []
        assert await held(world, worker) == {feed.domain}
        # Whatever else happens is told all the same.
        world.mutate(holder=HOLDER, domain=feed.domain, op="add")
        await reconcile(world, worker, feed)
        assert [event["op"] for event in await since(world, feed, known)] == ["c"]
        await world.command("accept", account_id, domain=feed.domain)
        await worker.apply_commands()
        await reconcile(world, worker, feed, times=2)
        assert [event["op"] for event in await since(world, feed, known)] == ["c"] + ["d"] * VANISHING
        assert await held(world, worker) == set()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_mass_removal_that_was_a_mistake_of_the_bank_leaves_no_trace(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        # A feed that suddenly begins ten days ago.
        rules = world.bank.scenario.front_door
        world.bank.scenario = world.bank.scenario.model_copy(
            update={"front_door": rules.model_copy(update={"retention_days": 10})}
        )
        await reconcile(world, worker, feed, times=3)
        assert await since(world, feed, known) == []
        assert await held(world, worker) == {feed.domain}
        world.bank.scenario = world.bank.scenario.model_copy(update={"front_door": rules})
        await reconcile(world, worker, feed, times=2)
        assert await since(world, feed, known) == []
        assert await held(world, worker) == set()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_the_word_of_a_person_is_for_the_removal_at_hand_only(world: World, feed: Feed) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        # Given while nothing had vanished: it must not lie in wait for the next disappearance.
        await world.command("accept", account_id, domain=feed.domain)
        await worker.apply_commands()
        await reconcile(world, worker, feed, times=2)
        mass_removal(world, feed)
        await reconcile(world, worker, feed, times=3)
        assert await since(world, feed, known) == []
        assert await held(world, worker) == {feed.domain}


@pytest.mark.anyio
async def test_the_word_of_a_person_survives_a_restart_of_the_connector(world: World, feed: Feed) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        mass_removal(world, feed)
        await reconcile(world, worker, feed, times=2)
    await world.command("accept", account_id, domain=feed.domain)
    async with world.working() as worker:
        await worker.sweep()
        await worker.sweep()
        assert len(await since(world, feed, known)) == VANISHING
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_removal_within_the_limits_needs_nobody(world: World, feed: Feed) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(feed.domain))
        mass_removal(world, feed, count=55)
        await reconcile(world, worker, feed, times=2)
        assert [event["op"] for event in await since(world, feed, known)] == ["d"] * 55
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_what_comes_back_after_its_removal_is_created_again_with_the_next_version(
    world: World, feed: Feed
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        hidden = min(world.bank.life(HOLDER).ledgers[feed.domain].present)
        known = len(await world.told(feed.domain))
        world.strike("hide_entry", count=None, path=feed.path, params={"entity": hidden})
        await reconcile(world, worker, feed, times=2)
        world.bank.faults.clear()
        await reconcile(world, worker, feed, times=2)
        told = [event for event in await since(world, feed, known) if event["entity_id"] == hidden]
        assert [(event["op"], event["entity_version"]) for event in told] == [("d", 2), ("c", 3)]
