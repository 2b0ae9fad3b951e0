"""A deployment whose state or links go back in time while its event topics do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from connector.errors import ConfigurationError
from connector.journal.kafka.topics import LINKS, STATE
from connector.ports import Commit, EventRecord, LastCommit
from connector.proving.broker import Broker
from connector.runtime.branch import MarkKeeper
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.contract.journal.suite import SHARD
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = [pytest.mark.anyio, pytest.mark.proof]

HOLDER = "borrower"


async def put(backend: KafkaBackend, topic: str, shard: int, records: list[tuple[bytes, bytes | None]]) -> None:
    """Records written by somebody else."""
    producer = AIOKafkaProducer(**backend.options.client_arguments())
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(backend.options.topic(topic), value, key=key, partition=shard)
    finally:
        await producer.stop()


async def state_of(backend: KafkaBackend, topic: str = STATE) -> dict[bytes, bytes | None]:
    return {record.key: record.value for record in await backend.records(topic, committed=True)}


def telling(number: int, epoch: str) -> Commit:
    headers = (("commit", str(number).encode()), ("epoch", epoch.encode()))
    return Commit(SHARD, number, (EventRecord("lending", "acc", b"%d" % number, headers),), (), epoch=epoch)


async def test_state_behind_the_events_is_refused_with_both_numbers(backend: KafkaBackend) -> None:
    journal = await backend.open_journal()
    try:
        shard = await journal.acquire(SHARD)
        await shard.commit(telling(1, journal.epoch))
        older = await state_of(backend)
        for number in (2, 3):
            await shard.commit(telling(number, journal.epoch))
        await put(backend, STATE, SHARD, list(older.items()))
        with pytest.raises(ConfigurationError, match=r"lending: partition 1 holds events of commit 3.*as of commit 1:"):
            await journal.acquire(SHARD)
        # Announced as another branch, it goes on.
        before = journal.epoch
        assert await journal.begin_epoch() != before
        shard = await journal.acquire(SHARD)
        assert (shard.last, shard.epoch) == (LastCommit(1), journal.epoch)
        await shard.commit(telling(2, journal.epoch))
        await put(backend, STATE, SHARD, list(older.items()))
        with pytest.raises(ConfigurationError, match=r"events of commit 2.*as of commit 1:"):
            await journal.acquire(SHARD)
    finally:
        await journal.close()


async def test_whoever_worked_is_fenced_by_a_new_epoch_and_everybody_sees_it(backend: KafkaBackend) -> None:
    journal, other = await backend.open_journal(), await backend.open_journal()
    try:
        assert journal.epoch == other.epoch
        epoch = await other.begin_epoch()
    finally:
        await journal.close()
        await other.close()
    again = await backend.open_journal()
    assert again.epoch == epoch
    await again.close()


async def test_a_deployment_that_goes_back_is_refused_by_the_vault(tmp_path: Path, broker: Broker) -> None:
    place = await fresh_kafka(broker.bootstrap_servers, shard_count=1)
    async with World.open(tmp_path, people(HOLDER, history_days=2), clock=VirtualClock(), place=place) as world:
        await world.link(HOLDER)
        await worked(world)
        state, links = await state_of(place), await state_of(place, LINKS)
        await worked(world)
        newest = await state_of(place)
        # An older state put back: the vault knows better, before anything is fenced.
        await put(place, STATE, 0, list(state.items()))
        ends = await place.ends()
        with pytest.raises(ConfigurationError, match="the vault knows commit"):
            async with world.working():
                pass
        assert await place.ends() == ends
        await put(place, STATE, 0, list(newest.items()))
        # A single row of it.
        key = next(key for key in state if key.endswith(b"/transactions") and state[key] != newest[key])
        await put(place, STATE, 0, [(key, state[key])])
        with pytest.raises(BaseExceptionGroup) as caught:
            async with world.working():
                pass
        assert "do not add up" in str(caught.value.exceptions[0])
        await put(place, STATE, 0, list((await state_of(place) | newest).items()))
        # Links that are gone.
        await put(place, LINKS, 0, [(key, None) for key in links])
        with pytest.raises(BaseExceptionGroup) as caught:
            async with world.working():
                pass
        assert "1 accounts whose links are gone" in str(caught.value.exceptions[0])


async def worked(world: World) -> None:
    async with world.working() as worker:
        keeper = MarkKeeper(0, worker.commits.branch, world.vault, world.clock)
        world.mutate(domain="transactions", op="add", holder=HOLDER)
        await world.read_once(worker)
        await worker.checkpoint()
        await keeper.note()
