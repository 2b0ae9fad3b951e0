"""Resources that other resources show: each card's authorisations come, stay over a restart, and go with their card."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from connector.runtime import polls
from connector.runtime.job_board import PROFILE, Job
from connector.runtime.memory import resources_of
from connector.runtime.shard_worker import ShardWorker
from tests.support.virtual_clock import VirtualClock
from tests.support.world import OPTIONS, World, people

pytestmark = pytest.mark.anyio

ACTIVITY = "/cards/*/authorizations"
OPENED, COMPLETE = "StreamOpened", "BackfillCompleted"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A still account with three cards, two of them used."""
    scenario = people("account-1", scenario="peers")
    async with World.open(tmp_path, scenario, clock=VirtualClock()) as opened:
        for _ in range(3):
            opened.mutate(holder="account-1", domain="cards", op="issue")
        for card_id in card_ids(opened)[:2]:
            use(opened, card_id)
        await opened.link("account-1")
        yield opened


def card_ids(world: World) -> list[str]:
    return list(world.bank.life("account-1").cards.cards)


def use(world: World, card_id: str, op: str = "authorize") -> None:
    world.mutate(holder="account-1", domain="cards", op=op, entity=f"card/{card_id}")


async def streams(world: World) -> list[str]:
    [account_id] = world.msisdn_of
    return await world.streams_told("cards", account_id)


def activities(worker: ShardWorker) -> list[Job]:
    """A job for the authorisations of every card that is known."""
    [account] = [account for account in worker.accounts.values() if account.link is not None]
    return [
        Job(account.account_id, domain, name)
        for (domain, name), resource in account.resources.items()
        if resource.kind.name == "authorizations"
    ]


async def run(worker: ShardWorker, job: Job) -> None:
    await worker.runner.run(job, worker.accounts[job.account_id])


async def read_cards(world: World, worker: ShardWorker) -> None:
    await world.read_once(worker, kinds={"cards"})


async def test_the_backfill_is_complete_once_that_of_every_card_is(world: World) -> None:
    async with world.working() as worker:
        await read_cards(world, worker)
        jobs = activities(worker)
        assert len(jobs) == 3
        for job in jobs:
            assert await streams(world) == [OPENED]
            await run(worker, job)
        assert await streams(world) == [OPENED, COMPLETE]
        for _ in range(2):
            await worker.sweep()
        assert await streams(world) == [OPENED, COMPLETE]
        await world.assert_sound(lockstep=True)


async def test_one_that_forgot_what_a_read_shows_would_tell_it_too_early(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polls, "resources_of", lambda account, profile, _=None: resources_of(account, profile))
    async with world.working() as worker:
        await read_cards(world, worker)
        assert await streams(world) == [OPENED, COMPLETE]


async def issue_while_the_last_backfill_is_on_its_way(
    world: World, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """One commit holds a card that is new, and the backfill of the last card known before."""
    async with world.working():
        # The link is connected before anything lingers.
        world.options = replace(OPTIONS, linger_seconds=1.0)
    clock: Any = world.clock
    async with world.working() as worker, anyio.create_task_group() as tasks:

        async def start(job: Job) -> None:
            tasks.start_soon(run, worker, job)
            await world.activity.settle()

        [account] = [account for account in worker.accounts.values() if account.link is not None]
        cards = Job(account.account_id, "cards", "cards")
        await start(Job(account.account_id, "", PROFILE))
        # Whose profile it is, is committed before anything else is read.
        await clock.advance(1)
        await start(cards)
        await clock.advance(1)
        for job in activities(worker)[:-1]:
            await start(job)
            await clock.advance(1)
        assert await streams(world) == [OPENED]
        meanwhile()
        world.mutate(holder="account-1", domain="cards", op="issue")
        await start(activities(worker)[-1])
        await start(cards)
        await clock.advance(1)
    world.options = OPTIONS


async def test_a_card_that_comes_with_the_last_backfill_is_waited_for(world: World) -> None:
    await issue_while_the_last_backfill_is_on_its_way(world)
    assert await streams(world) == [OPENED]
    async with world.working() as worker:
        await worker.sweep()
    assert await streams(world) == [OPENED, COMPLETE]


async def test_one_that_told_of_parts_after_their_commit_would_not_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit_first(account: Any, _resource: Any, _observation: Any, write: Any, commits: Any) -> None:
        await commits.submit(write)
        account.resources = resources_of(account, account.profile)

    def forget() -> None:
        monkeypatch.setattr(polls, "_commit", commit_first)

    await issue_while_the_last_backfill_is_on_its_way(world, forget)
    assert await streams(world) == [OPENED, COMPLETE]


async def test_a_card_issued_later_brings_its_authorisations(world: World) -> None:
    async with world.working() as worker:
        for _ in range(2):
            await worker.sweep()
        known = len(await world.told("cards"))
        world.mutate(holder="account-1", domain="cards", op="issue")
        for op in ("authorize", "clear", "authorize"):
            use(world, card_ids(world)[-1], op) if op == "authorize" else world.mutate(
                holder="account-1", domain="cards", op=op
            )
        for _ in range(2):
            await worker.sweep()
        told = [(event["event_type"], event["source"]["mode"]) for event in (await world.told("cards"))[known:]]
        assert told == [
            ("CardIssued", "snapshot"),
            ("AuthorizationCleared", "backfill"),
            ("CardAuthorized", "backfill"),
        ]
        assert await streams(world) == [OPENED, COMPLETE]
        await world.assert_sound()


async def test_a_card_that_runs_by_itself_is_found_and_read_by_the_scheduler(world: World) -> None:
    clock: Any = world.clock
    async with world.running():
        await clock.advance(5)
        world.mutate(holder="account-1", domain="cards", op="issue")
        use(world, card_ids(world)[-1])
        await clock.advance(200)
        told = [event["event_type"] for event in await world.told("cards")]
        assert told[-2:] == ["CardIssued", "CardAuthorized"]
        # It goes on being read as often as the others.
        path = f"/cards/{card_ids(world)[-1]}/authorizations"
        before = world.calls(path)
        await clock.advance(600)
        # Once a minute, or half as often while nothing is new.
        assert world.calls(path) - before >= 4


async def lose_a_card(world: World, worker: ShardWorker) -> str:
    """The path of its activity, once it is proven gone."""
    for _ in range(2):
        await worker.sweep()
    path = f"/cards/{card_ids(world)[0]}/authorizations"
    world.mutate(holder="account-1", domain="cards", op="withdraw", entity=f"card/{card_ids(world)[0]}")
    for _ in range(2):
        await read_cards(world, worker)
    return path


async def test_a_card_that_goes_away_takes_the_reading_of_its_authorisations_along(world: World) -> None:
    async with world.working() as worker:
        path = await lose_a_card(world, worker)
        calls = world.calls(path)
        for _ in range(3):
            await worker.sweep()
        assert world.calls(path) == calls
        removed = [event for event in await world.told("cards") if event["op"] == "d"]
        assert [event["event_type"] for event in removed] == ["CardAmended"]
        await world.assert_sound()
    # Nor does another life ask for it, or take its authorisations for gone.
    async with world.working() as worker:
        for _ in range(3):
            await worker.sweep()
    assert world.calls(path) == calls
    assert [event for event in await world.told("cards") if event["op"] == "d"] == removed
    await world.assert_sound()


async def test_one_that_kept_asking_would_be_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.working() as worker:
        for _ in range(2):
            await worker.sweep()
        monkeypatch.setattr(polls, "resources_of", lambda account, *_: account.resources)
        path = await lose_a_card(world, worker)
        calls = world.calls(path)
        for job in activities(worker):
            await run(worker, job)
        assert world.calls(path) > calls


async def test_a_restart_knows_the_cards_before_it_read_one(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = {job.resource for job in activities(worker)}
    async with world.working() as worker:
        [account] = [account for account in worker.accounts.values() if account.link is not None]
        calls = world.calls("/cards")
        await run(worker, Job(account.account_id, "", PROFILE))
        assert {job.resource for job in activities(worker)} == known
        assert world.calls("/cards") == calls


@pytest.mark.parametrize("read_before", [0, 1, 2, 3])
async def test_a_death_between_the_cards_and_their_authorisations_loses_nothing(world: World, read_before: int) -> None:
    async with world.working() as worker:
        await read_cards(world, worker)
        for job in activities(worker)[:read_before]:
            await run(worker, job)
    async with world.working() as worker:
        for _ in range(2):
            await worker.sweep()
        world.mutate(holder="account-1", domain="cards", op="issue")
        use(world, card_ids(world)[-1])
        await read_cards(world, worker)
    async with world.working() as worker:
        for _ in range(2):
            await worker.sweep()
    assert await streams(world) == [OPENED, COMPLETE]
    await world.assert_sound(lockstep=True)
