"""Clients wait for a cluster that names no broker; and no connection outlives its client, however late it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.cluster import ClusterMetadata

from connector.clock import SystemClock
from connector.errors import JournalError
from connector.journal.kafka import producer, topics
from connector.journal.kafka.failures import finish
from connector.journal.kafka.partitions import STOP_SECONDS, Watermarks, start_consumer, stop_consumer
from connector.journal.kafka.producer import TransactionalProducer
from connector.journal.kafka.topics import plan_topics, shard_topics
from tests.contract.journal.backends import KafkaBackend
from tests.contract.journal.samples import a_command
from tests.contract.journal.suite import SHARD
from tests.kafka.raw import partition_of

pytestmark = pytest.mark.anyio

NODE = 1
LOOKS = 6


async def test_a_consumer_that_is_stopped_connects_no_more(backend: KafkaBackend) -> None:
    consumer = await start_consumer(backend.options, committed=True)
    await stop_consumer(consumer)
    assert not (await consumer._client._get_conn(NODE)).connected()


async def test_a_producer_that_is_discarded_connects_no_more(backend: KafkaBackend) -> None:
    producer = await TransactionalProducer.start(backend.options, SHARD, shard_topics(backend.options))
    await producer.discard()
    assert not (await producer.client.client._get_conn(NODE)).connected()


async def test_the_bare_client_does(backend: KafkaBackend) -> None:
    consumer = AIOKafkaConsumer(**backend.options.client_arguments())
    await consumer.start()
    await finish(consumer.stop(), STOP_SECONDS)
    late = await consumer._client._get_conn(NODE)
    assert late.connected()
    await late.close()


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client finds a cluster that names no broker, the first few times that it looks."""
    named = ClusterMetadata.brokers
    looks: Counter[int] = Counter()

    def brokers(cluster: ClusterMetadata) -> set[Any]:
        looks[id(cluster)] += 1
        return named(cluster) if looks[id(cluster)] > LOOKS else set()

    monkeypatch.setattr(ClusterMetadata, "brokers", brokers)


async def own(backend: KafkaBackend) -> None:
    await (await TransactionalProducer.start(backend.options, SHARD, shard_topics(backend.options))).discard()


async def ask_where_it_ends(backend: KafkaBackend) -> None:
    watermarks = Watermarks(backend.options)
    try:
        await watermarks.high([partition_of(backend, "lending")])
    finally:
        await watermarks.close()


async def look_at_the_topics(backend: KafkaBackend) -> None:
    assert (await plan_topics(backend.options, SystemClock())).done


async def ask_for_something(backend: KafkaBackend) -> None:
    reader = await backend.open_reader()
    try:
        await reader.append_command(a_command("cmd_1", "acc_1"))
    finally:
        await reader.close()


CALLS = [own, ask_where_it_ends, look_at_the_topics, ask_for_something]
GRANTED = [own, look_at_the_topics]
"""Where aiokafka, left alone, takes it for granted that there is a broker."""


@pytest.mark.parametrize("call", CALLS)
async def test_a_client_waits_until_its_cluster_names_a_broker(
    backend: KafkaBackend, unnamed: None, call: Callable[[KafkaBackend], Awaitable[None]]
) -> None:
    del unnamed
    await call(backend)


@pytest.mark.parametrize("call", GRANTED)
async def test_a_client_that_takes_a_broker_for_granted_fails(
    backend: KafkaBackend,
    unnamed: None,
    call: Callable[[KafkaBackend], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del unnamed
    for module in (producer, topics):
        monkeypatch.setattr(module, "start_client", lambda client, _inner: client.start())
    with pytest.raises(JournalError):
        await call(backend)
