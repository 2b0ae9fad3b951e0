"""What becomes of a commit whose outcome is not what was hoped for: unknown, refused, too big."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import pytest

from connector.errors import FencedError, JournalError
from connector.links import Command, Link
from connector.ports import Commit, Journal, Shard, StateRecord
from connector.runtime.connector import Edges, work_shard
from tests.support.world import World

FAILING_COMMIT = 6
"""Counted from the first: by then the first sync is under way."""


class FailingShard:
    """A shard whose commit fails once: before it is durable, after, or because another owner came."""

    def __init__(self, shard: Shard, failure: Failure) -> None:
        self._shard = shard
        self._failure = failure
        self.number = shard.number
        self.maximum_record_bytes = failure.maximum_record_bytes or shard.maximum_record_bytes

    def restore(self) -> AsyncIterator[StateRecord]:
        return self._shard.restore()

    async def links(self) -> Mapping[str, Link]:
        return await self._shard.links()

    async def pending_commands(self) -> tuple[Command, ...]:
        return await self._shard.pending_commands()

    async def commit(self, commit: Commit) -> None:
        self._failure.commits += 1
        struck = self._failure.commits == FAILING_COMMIT
        if struck and self._failure.kind == "lost":
            raise JournalError("the commit failed before anything was written")
        if struck and self._failure.kind == "fenced":
            raise FencedError("another owner took over")
        await self._shard.commit(commit)
        if struck and self._failure.kind == "unknown":
            raise JournalError("the commit was written, and nobody heard of it")

    async def release(self) -> None:
        await self._shard.release()


class Failure:
    """A journal whose shards fail once, and how often they were acquired."""

    def __init__(self, journal: Journal, kind: str, maximum_record_bytes: int | None = None) -> None:
        self._journal = journal
        self.kind = kind
        self.maximum_record_bytes = maximum_record_bytes
        self.shard_count = journal.shard_count
        self.commits = 0
        self.acquired = 0

    async def acquire(self, shard: int) -> FailingShard:
        self.acquired += 1
        return FailingShard(await self._journal.acquire(shard), self)

    async def close(self) -> None:
        await self._journal.close()


def failing(world: World, kind: str, maximum_record_bytes: int | None = None) -> Failure:
    failure = Failure(world.journal, kind, maximum_record_bytes)
    world.journal = failure
    return failure


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["lost", "unknown"])
async def test_an_unknown_outcome_is_found_out_from_the_journal(tmp_path: Path, kind: str) -> None:
    """The shard is dropped, acquired and restored; whichever way the commit had gone, nothing is lost or told twice."""
    async with World.open(tmp_path) as world:
        await world.link()
        failure = failing(world, kind)
        with pytest.raises(ExceptionGroup) as raised:
            async with world.working() as worker:
                await worker.sweep()
        assert raised.group_contains(JournalError)
        async with world.working() as worker:
            await worker.sweep()
            await worker.sweep()
        assert failure.acquired == 2
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_the_running_connector_takes_a_dropped_shard_up_again_by_itself(tmp_path: Path) -> None:
    async with World.open(tmp_path) as world:
        await world.link("adult")
        failure = failing(world, "unknown")
        stop = anyio.Event()
        edges = Edges(failure, world.vault, world.source, world.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work_shard, 0, edges, world.options, stop)
            with anyio.fail_after(20):
                while failure.acquired < 2 or failure.commits < FAILING_COMMIT + 2:
                    await world.clock.sleep(0.02)
            stop.set()
        assert (await world.verdict(settled=False)).sound


@pytest.mark.anyio
async def test_a_fenced_connector_does_not_fight_back(tmp_path: Path) -> None:
    async with World.open(tmp_path) as world:
        await world.link("adult")
        failure = failing(world, "fenced")
        edges = Edges(failure, world.vault, world.source, world.clock)
        with pytest.raises(ExceptionGroup) as raised:
            await work_shard(0, edges, world.options, anyio.Event())
        assert raised.group_contains(FencedError)
        assert failure.acquired == 1


@pytest.mark.anyio
async def test_an_event_too_big_for_the_journal_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Digest and reason go to quarantine, once; when the limit allows it, the entity is told."""
    async with World.open(tmp_path) as world:
        await world.link("adult")
        journal = world.journal
        failing(world, "none", maximum_record_bytes=430)
        async with world.working() as worker:
            for _ in range(3):
                world.mutate(holder="adult", domain="transactions", op="add")
                await worker.sweep()
        aside = [row["entity_id"] for row in await world.quarantine() if row["domain"] == "transactions"]
        told = {event["entity_id"] for event in await world.told("transactions")}
        assert aside
        assert len(aside) == len(set(aside)), "once each"
        assert told
        assert told.isdisjoint(aside)
        world.journal = journal
        async with world.working() as worker:
            for domain, op in (("transactions", "add"), ("lending", "disburse"), ("loyalty", "redeem")):
                world.mutate(holder="adult", domain=domain, op=op)
            await worker.sweep()
            await worker.sweep()
            await worker.sweep()
        await world.assert_sound()
