"""Entries that vanish: the running balance that tells of it, and a disappearance too big to be believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

HOLDER = "account-1"
VANISHING = 80  # of 200: above 20 entries and above 30 %


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    scenario = people(HOLDER, scenario="peers", history_days=28)
    async with World.open(tmp_path, scenario, seed=11, clock=VirtualClock(), place=place) as opened:
        await opened.link(HOLDER)
        yield opened


async def reconcile(world: World, worker: ShardWorker, times: int = 1) -> None:
    for _ in range(times):
        world.clock.jump(1801)  # type: ignore[attr-defined]
        await world.read_once(worker, kinds={"transactions"})


async def since(world: World, known: int) -> list[dict[str, Any]]:
    return (await world.told("transactions"))[known:]


def mass_removal(world: World, count: int = VANISHING) -> None:
    world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=count)


async def checkpoint(world: World, worker: ShardWorker) -> dict[str, Any]:
    """What the next checkpoint says."""
    await worker.checkpoint()
    told = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
    said: dict[str, Any] = told[-1]["after"]["checkpoint"]
    return said


async def quarantined(world: World, worker: ShardWorker) -> set[str]:
    """The streams that the next checkpoint calls quarantined."""
    behind = (await checkpoint(world, worker))["behind"]
    return {row["domain"] for row in behind if row["status"] == "QUARANTINED"}


@pytest.mark.anyio
async def test_what_was_suspected_when_the_connector_died_is_looked_at_again(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=1)
        # Something to commit in the very read that first misses the entry: what it leaves is durable.
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        await reconcile(world, worker)
        assert [event["op"] for event in await since(world, known)] == ["c"]
    async with world.working() as worker:
        await reconcile(world, worker, times=2)
        assert [event["op"] for event in await since(world, known)] == ["c", "d"]
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_checkpoint_vouches_for_removals_only_once_they_are_told(world: World) -> None:
    async with world.working() as worker:
        assert (await checkpoint(world, worker))["streams"] == 0
        await worker.sweep()
        before = (await checkpoint(world, worker))["reconciled_until"]
        world.clock.jump(1)  # type: ignore[attr-defined]
        world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=1)
        removed_at = world.clock.now()
        await world.read_once(worker)
        await reconcile(world, worker)
        suspected = await checkpoint(world, worker)
        assert before <= suspected["reconciled_until"] < removed_at
        known = len(await world.told("transactions"))
        await reconcile(world, worker)
        assert [event["op"] for event in await since(world, known)] == ["d"]
        world.clock.jump(1801)  # type: ignore[attr-defined]
        await world.read_once(worker)
        vouched = await checkpoint(world, worker)
        assert vouched["reconciled_until"] > removed_at
        assert vouched["behind_count"] == 0
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        await reconcile(world, worker)
    # Who comes back right after a reconcile begins with a look at the head, which vouches for no removal.
    async with world.working() as worker:
        await world.read_once(worker, kinds={"transactions"})
        assert (await checkpoint(world, worker))["reconciled_until"] is None


@pytest.mark.anyio
async def test_a_hidden_entry_breaks_the_chain_after_two_reads_and_its_return_heals_it(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        hidden = sorted(world.bank.life(HOLDER).ledgers["transactions"].present)[100]
        world.strike("hide_entry", count=None, path="/accounts/*/transactions", params={"entity": hidden})
        await reconcile(world, worker)
        assert await since(world, known) == []
        await reconcile(world, worker)
        told = await since(world, known)
        assert {event["event_type"] for event in told} == {"BalanceChainBroken", "TransactionRemoved"}
        [broken] = [event for event in told if event["event_type"] == "BalanceChainBroken"]
        chain = broken["after"]["balance_chain"]
        amount = world.bank.life(HOLDER).transactions.get(hidden).amount_paisa  # type: ignore[union-attr]
        assert int((chain["stated_balance"] - chain["expected_balance"]) * 100) == amount
        await reconcile(world, worker, times=2)
        assert len(await since(world, known)) == 2
        world.bank.faults.clear()
        await reconcile(world, worker, times=2)
        assert [event["event_type"] for event in (await since(world, known))[2:]] == [
            "TransactionPosted",
            "BalanceChainHealed",
        ]


@pytest.mark.anyio
async def test_a_chain_that_is_off_for_one_read_is_not_told(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        hidden = sorted(world.bank.life(HOLDER).ledgers["transactions"].present)[50]
        fault = world.strike("hide_entry", count=1, path="/accounts/*/transactions", params={"entity": hidden})
        await reconcile(world, worker, times=3)
        assert fault.fired == 1
        assert await since(world, known) == []
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_mass_removal_waits_for_a_person(world: World) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        mass_removal(world)
        await reconcile(world, worker, times=4)
        assert await since(world, known) == []
        assert await quarantined(world, worker) == {"transactions"}
        # Whatever else happens is told all the same.
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        await reconcile(world, worker)
        assert [event["op"] for event in await since(world, known)] == ["c"]
        await world.command("accept_removals", account_id, domain="transactions")
        await worker.apply_commands()
        await reconcile(world, worker, times=2)
        assert [event["op"] for event in await since(world, known)] == ["c"] + ["d"] * VANISHING
        assert await quarantined(world, worker) == set()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_mass_removal_that_was_a_mistake_of_the_bank_leaves_no_trace(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        # A feed that suddenly begins ten days ago.
        rules = world.bank.scenario.front_door
        world.bank.scenario = world.bank.scenario.model_copy(
            update={"front_door": rules.model_copy(update={"retention_days": 10})}
        )
        await reconcile(world, worker, times=3)
        assert await since(world, known) == []
        assert await quarantined(world, worker) == {"transactions"}
        world.bank.scenario = world.bank.scenario.model_copy(update={"front_door": rules})
        await reconcile(world, worker, times=2)
        assert await since(world, known) == []
        assert await quarantined(world, worker) == set()
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_the_word_of_a_person_is_for_the_removal_at_hand_only(world: World) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        # Given while nothing had vanished: it must not lie in wait for the next disappearance.
        await world.command("accept_removals", account_id, domain="transactions")
        await worker.apply_commands()
        await reconcile(world, worker, times=2)
        mass_removal(world)
        await reconcile(world, worker, times=3)
        assert await since(world, known) == []
        assert await quarantined(world, worker) == {"transactions"}


@pytest.mark.anyio
async def test_the_word_of_a_person_survives_a_restart_of_the_connector(world: World) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        mass_removal(world)
        await reconcile(world, worker, times=2)
    await world.command("accept_removals", account_id, domain="transactions")
    async with world.working() as worker:
        await worker.sweep()
        await worker.sweep()
        assert len(await since(world, known)) == VANISHING
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_removal_within_the_limits_needs_nobody(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        mass_removal(world, count=55)
        await reconcile(world, worker, times=2)
        assert [event["op"] for event in await since(world, known)] == ["d"] * 55
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_what_comes_back_after_its_removal_is_created_again_with_the_next_version(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        hidden = min(world.bank.life(HOLDER).ledgers["transactions"].present)
        known = len(await world.told("transactions"))
        world.strike("hide_entry", count=None, path="/accounts/*/transactions", params={"entity": hidden})
        await reconcile(world, worker, times=2)
        world.bank.faults.clear()
        await reconcile(world, worker, times=2)
        told = [event for event in await since(world, known) if event["entity_id"] == hidden]
        assert [(event["op"], event["entity_version"]) for event in told] == [("d", 2), ("c", 3)]
