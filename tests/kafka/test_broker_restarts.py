"""A broker that is restarted or killed under those who write and read; what was given up meanwhile stays so."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.to_thread
import pytest
from aiokafka import TopicPartition

from connector.errors import FencedError, JournalError
from connector.journal.kafka.partitions import Watermarks
from connector.ports import StoredEvent
from connector.proving.broker import Broker, BrokerError
from tests.conftest import QUICK
from tests.contract.journal.backends import TOPICS, KafkaBackend, fresh_kafka
from tests.contract.journal.samples import EVENTS_A_COMMIT, numbered_commit, numbers_of
from tests.contract.journal.suite import SHARD, opened, require_untorn
from tests.kafka import breaks
from tests.kafka.raw import abort, high_watermark, partition_of

pytestmark = [pytest.mark.anyio, pytest.mark.proof]

TOLD = ("transactions", "lending")
"""The topics of a numbered commit's events, half of them each."""

PATIENCE_SECONDS = 300.0
"""A broker that was killed comes back late on a slow machine, and what hangs is ended late."""
ATTEMPTS = 6
"""How often what goes wrong by chance is given the chance to."""


async def act_as_operator(backend: KafkaBackend, broker: Broker, ended: list[TopicPartition]) -> None:
    """End whatever hangs: a broker that was killed now and then leaves a transaction open for ever (KAFKA-20734)."""
    partitions = [partition_of(backend, name) for name in TOPICS]
    seen: dict[TopicPartition, int] = {}
    while True:
        await anyio.sleep(3.0)
        watermarks = Watermarks(backend.options)
        try:
            high = await watermarks.high(partitions)
            await anyio.sleep(3.0)
            stable = await watermarks.stable(partitions)
        except JournalError:
            continue
        finally:
            await watermarks.close()
        stuck = {partition: offset for partition, offset in stable.items() if offset < high[partition]}
        for partition, offset in stuck.items():
            if seen.get(partition) == offset:
                print(f"hanging in {partition.topic} at {offset}: aborted")
                ended.append(partition)
                with suppress(BrokerError):  # it may have been killed once more
                    await anyio.to_thread.run_sync(abort, broker, partition, offset)
        seen = stuck


class Committing:
    """Commits, and takes the shard up again whenever that fails, as the runtime does."""

    def __init__(self, backend: KafkaBackend) -> None:
        self.backend = backend
        self.number = 0
        self.over = False

    async def run(self) -> None:
        async with opened(self.backend) as (journal, _reader):
            shard = None
            while not self.over:
                try:
                    if shard is None:
                        shard = await journal.acquire(SHARD)
                        self.number = shard.committed_number
                    await shard.commit(numbered_commit(SHARD, self.number + 1))
                    self.number += 1
                except FencedError:
                    raise
                except JournalError:
                    if shard is not None:
                        await shard.release()
                    shard = None
                    await anyio.sleep(0.2)


async def follow(backend: KafkaBackend, followed: list[StoredEvent]) -> None:
    async with opened(backend) as (_journal, reader):
        async for event in reader.read_events(TOLD, follow=True):
            followed.append(event)  # noqa: PERF401  # one by one, as they come


@pytest.mark.parametrize("hard", [False, True])
async def test_restarts_of_the_broker_lose_and_repeat_nothing(broker: Broker, hard: bool) -> None:
    """A life in which the broker itself left a marker out is lived again on other topics.

    What it had decided to commit stands in some partitions then, and in others an operator has aborted it: it is torn
    by the broker. (A connector finds that by the commits that its events name, and refuses to start.)
    """
    for _ in range(ATTEMPTS):
        backend = await fresh_kafka(broker.bootstrap_servers, tuning=QUICK)
        ended: list[TopicPartition] = []
        try:
            await live_through_restarts(backend, broker, ended, hard=hard)
        except* (AssertionError, TimeoutError):
            if not ended:
                raise
        else:
            return
        finally:
            if broker.pid is None:
                # Whatever ended this one: those that come after need it.
                await anyio.to_thread.run_sync(broker.start)
    pytest.fail(f"the broker left out a marker in each of {ATTEMPTS} lives")


async def live_through_restarts(
    backend: KafkaBackend, broker: Broker, ended: list[TopicPartition], *, hard: bool
) -> None:
    committing = Committing(backend)
    followed: list[StoredEvent] = []
    async with anyio.create_task_group() as operator:
        operator.start_soon(act_as_operator, backend, broker, ended)
        operator.start_soon(follow, backend, followed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(committing.run)
            with anyio.fail_after(PATIENCE_SECONDS):
                # Both have opened the journal by then: whoever cannot open it at all is not who this is about.
                await until(lambda: committing.number > 0 and len(followed) > 0)
            for _ in range(2):
                goal = committing.number + 5
                await anyio.sleep(1.0)
                await anyio.to_thread.run_sync(broker.kill if hard else broker.stop)
                await anyio.sleep(0.5)
                await anyio.to_thread.run_sync(broker.start)
                with anyio.fail_after(PATIENCE_SECONDS):
                    await until(lambda goal=goal: committing.number >= goal)
            committing.over = True
        number = committing.number
        assert await require_untorn(backend, number, "after restarts") == number
        with anyio.fail_after(PATIENCE_SECONDS):
            await until(lambda: len(followed) >= number * EVENTS_A_COMMIT)
        operator.cancel_scope.cancel()
    # Who read all the while has read everything, once and in order.
    for topic in TOLD:
        told = numbers_of([event for event in followed if event.topic == topic])
        assert told == [n for n in range(1, number + 1) for _ in range(EVENTS_A_COMMIT // 2)]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # told by a counter, not by an event
        await anyio.sleep(0.1)


async def dead_then_back(backend: KafkaBackend, broker: Broker) -> tuple[float, int]:
    """A commit begins while the broker is away, and is given up; the broker comes back.

    Seconds that releasing took, and how many records arrived that nobody waits for any more.
    """
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        number = shard.committed_number + 1
        await shard.commit(numbered_commit(SHARD, number))
        await anyio.sleep(0.2)
        before = await high_watermark(backend, "lending")
        await anyio.to_thread.run_sync(broker.stop)
        try:
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, number + 1))
            started = time.monotonic()
            await shard.release()
            took = time.monotonic() - started
        finally:
            await anyio.to_thread.run_sync(broker.start)
        await anyio.sleep(4.0)
        return took, await high_watermark(backend, "lending") - before


async def test_a_producer_that_was_given_up_delivers_nothing_later(backend: KafkaBackend, broker: Broker) -> None:
    took, arrived = await dead_then_back(backend, broker)
    assert took < 5.0
    assert arrived == 0
    assert await require_untorn(backend, 1, "after an outage") == 1


async def test_a_stop_that_timed_out_leaves_a_sender_alive(backend: KafkaBackend, broker: Broker) -> None:
    broken = replace(backend, journal_type=breaks.StoppingJournal)
    # A sender that hears of no leader while the broker comes up gives its batch up after all: once is not enough.
    for _ in range(ATTEMPTS):
        _, arrived = await dead_then_back(broken, broker)
        if arrived:
            return
    pytest.fail(f"nothing arrived late in {ATTEMPTS} attempts")
