"""Clients that are none of ours: transactions of strangers, and looks at the bare log."""

from __future__ import annotations

import anyio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from connector.journal.kafka.connections import start_client
from connector.journal.kafka.topics import wanted_topics
from connector.proving.broker import Broker
from tests.contract.journal.backends import KafkaBackend
from tests.contract.journal.suite import SHARD


def partition_of(backend: KafkaBackend, topic: str) -> TopicPartition:
    return TopicPartition(backend.options.topic(topic), SHARD)


async def open_transaction(
    backend: KafkaBackend, transactional_id: str, *topics: str, shard: int = SHARD, timeout_ms: int = 600_000
) -> AIOKafkaProducer:
    """Somebody's transaction with a record in each of `topics`, neither committed nor aborted."""
    producer = AIOKafkaProducer(
        transactional_id=transactional_id,
        transaction_timeout_ms=timeout_ms,
        **backend.options.client_arguments(),
    )
    await start_client(producer, producer.client)
    await producer.begin_transaction()
    for topic in topics:
        await producer.send_and_wait(backend.options.topic(topic), b"x", key=b"a/d/stranger", partition=shard)
    return producer


async def bare_log(backend: KafkaBackend, topic: str) -> list[tuple[int, bytes, bytes | None]]:
    """Every record that is physically there, committed or not: offset, key, value."""
    records = await backend.records(topic, committed=False)
    return [(record.offset, record.key, record.value) for record in records if record.partition == SHARD]


async def high_watermark(backend: KafkaBackend, topic: str) -> int:
    ends = await backend.ends()
    return int(ends[partition_of(backend, topic)])


async def configure(backend: KafkaBackend, topic: str, **config: object) -> None:
    """Set a topic's configuration to what it was made with, and these (`max_message_bytes` for `max.message.bytes`)."""
    name = backend.options.topic(topic)
    made = next(dict(spec.config) for spec in wanted_topics(backend.options) if spec.name == name)
    made |= {key.replace("_", "."): str(value) for key, value in config.items()}
    admin = AIOKafkaAdminClient(**backend.options.client_arguments())
    await start_client(admin, admin._client)
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, made)])
        with anyio.fail_after(10):
            # A broker learns of it a little later.
            while not made.items() <= (await _config(admin, name)).items():  # noqa: ASYNC110  # a broker tells of no such event
                await anyio.sleep(0.02)
    finally:
        await admin.close()


async def _config(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    [(_, _, _, _, entries)] = answer.resources
    return {entry[0]: entry[1] for entry in entries}


def abort(broker: Broker, partition: TopicPartition, start_offset: int) -> None:
    """End a transaction that hangs, with Kafka's own tool."""
    broker.tool(
        "org.apache.kafka.tools.TransactionsCommand",
        *("--bootstrap-server", broker.bootstrap_servers, "abort", "--topic", partition.topic),
        *("--partition", str(partition.partition), "--start-offset", str(start_offset)),
    )
