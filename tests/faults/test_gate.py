"""The gate is asked again right before a commit: what was read while it shut leaves no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from connector.runtime.job_board import Job
from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

DAY = 86_400.0
Shut = Callable[[World, ShardWorker, str], Awaitable[None]]


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, people("adult"), seed=13, clock=VirtualClock(), place=place) as opened:
        await opened.link("adult", days=1)
        yield opened


async def pause(world: World, worker: ShardWorker, account_id: str) -> None:
    await world.command("pause", account_id)
    await worker.apply_commands()


async def remove(world: World, worker: ShardWorker, account_id: str) -> None:
    await world.command("remove", account_id)
    await worker.apply_commands()


async def narrow(world: World, worker: ShardWorker, account_id: str) -> None:
    assert await world.link("adult", domains=frozenset({"loyalty"})) == [account_id]
    await worker.apply_commands()


async def run_out(world: World, worker: ShardWorker, account_id: str) -> None:
    del account_id
    world.clock.jump(DAY)  # type: ignore[attr-defined]
    await worker.checkpoint()


async def run_out_unnoticed(world: World, worker: ShardWorker, account_id: str) -> None:
    del worker, account_id
    world.clock.jump(DAY)  # type: ignore[attr-defined]


async def lose_the_tier(world: World, worker: ShardWorker, account_id: str) -> None:
    del world
    account = worker.accounts[account_id]
    account.resources = {key: held for key, held in account.resources.items() if key[0] != "transactions"}
    await worker.lifecycle.close_streams(account, {"transactions"}, "tier")


class Held:
    """Holds answers of the feed back until they are let go."""

    def __init__(self, world: World) -> None:
        self.reached, self.let_go = anyio.Event(), anyio.Event()
        inner = world.transport.handle_async_request

        async def handle(request: httpx.Request) -> httpx.Response:
            answer = await inner(request)
            if "/transactions" in request.url.path:
                self.reached.set()
                await self.let_go.wait()
            return answer

        world.transport.handle_async_request = handle  # type: ignore[method-assign]


@pytest.mark.anyio
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shut", [pause, remove, narrow, run_out, run_out_unnoticed, lose_the_tier])
async def test_what_was_read_while_the_gate_shut_is_not_committed(world: World, shut: Shut, *, first: bool) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        account = worker.accounts[account_id]
        await (worker.runner.refresh_profile(account) if first else worker.sweep())
        world.bank.step()
        world.clock.jump(1)  # type: ignore[attr-defined]
        job = next(Job(account_id, *key) for key in account.resources if key[0] == "transactions")
        held = Held(world)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.runner.run, job, account)
            await held.reached.wait()
            await shut(world, worker, account_id)
            told = await world.told("transactions")
            opened = await world.streams_told("transactions", account_id)
            held.let_go.set()
        assert await world.told("transactions") == told
        after = await world.streams_told("transactions", account_id)
        assert [word for word in after[len(opened) :] if not word.startswith("StreamClosed")] == []
        if shut is pause:
            await world.command("resume", account_id)
            await worker.apply_commands()
            for _ in range(2):
                await worker.sweep()
            await world.assert_sound(lockstep=not first)
