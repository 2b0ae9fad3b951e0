"""No connection outlives its client, not even one that was just being made when the client was closed."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer

from connector.journal.kafka.failures import finish
from connector.journal.kafka.partitions import STOP_SECONDS, start_consumer, stop_consumer
from connector.journal.kafka.producer import TransactionalProducer
from connector.journal.kafka.topics import shard_topics
from tests.contract.journal.backends import KafkaBackend
from tests.contract.journal.suite import SHARD

pytestmark = pytest.mark.anyio

NODE = 1


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
