"""`ports.JournalReader` on Kafka: committed events, links and commands, beside a running connector or without one."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any, Final

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from connector.errors import JournalError
from connector.journal.kafka.failures import failing, finish
from connector.journal.kafka.framing import Unframing
from connector.journal.kafka.link_table import command_key
from connector.journal.kafka.link_tail import LinkTail
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)
from connector.journal.kafka.shard_state import StateReader
from connector.journal.kafka.topics import LINKS, QUARANTINE, STATE, require_topics
from connector.journal.link_codec import coded, encode_command
from connector.journal.partition import shard_of
from connector.links import Command, Link
from connector.ports import Clock, Damaged, QuarantineRecord, StateRecord, StoredEvent

_FOLLOW_POLL_MS: Final = 500
_BUFFERED_RECORDS: Final = 5_000
"""Fetched ahead of the others by one partition; beyond that it waits for them."""


class KafkaReader:
    """`ports.JournalReader` on a Kafka cluster. Made by `open`.

    Order is that of the commits within a topic and shard, which is all that Kafka keeps; across them events come by
    their record's time, as near to the order of commits as the log can tell.
    """

    def __init__(self, options: KafkaOptions, clock: Clock) -> None:
        self.shard_count = options.shard_count
        self._options = options
        self._patience = Patience(clock, options.transaction_timeout_seconds)
        self._watermarks = Watermarks(options)
        self._unframing = Unframing(options)
        partitions = [TopicPartition(options.topic(LINKS), shard) for shard in range(options.shard_count)]
        self._tail = LinkTail(options, self._watermarks, partitions, self._patience)
        self._producer: AIOKafkaProducer | None = None
        self._starting = anyio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, options: KafkaOptions, *, clock: Clock) -> KafkaReader:
        """Open the journal on topics that are there, as they must be.

        Raises:
            ConfigurationError: a topic is missing, or has another partition count, policy or framing.
            JournalError: the brokers do not answer.
        """
        await require_topics(options, clock)
        return cls(options, clock)

    async def read_events(
        self, topics: tuple[str, ...], *, key: str | None = None, follow: bool = False, from_end: bool = False
    ) -> AsyncIterator[StoredEvent]:
        partitions = [
            TopicPartition(self._options.topic(topic), shard)
            for topic in topics
            for shard in range(self._options.shard_count)
        ]
        wanted = None if key is None else key.encode()
        consumer = await start_consumer(self._options, committed=True)
        try:
            if from_end:
                # What lies beyond the last stable offset is not committed yet, or not known to be.
                seek(consumer, await self._watermarks.stable(partitions))
            else:
                ends = await self._watermarks.high(partitions)
                seek(consumer, await self._watermarks.beginning(partitions))
                async for record in _merged(consumer, ends, self._patience, keep_rest=follow):
                    if wanted is None or record.key == wanted:
                        yield await self._stored(record)
            while follow:
                with failing("reading from Kafka"):
                    records = await consumer.getmany(timeout_ms=_FOLLOW_POLL_MS)
                for record in sorted((one for many in records.values() for one in many), key=_place):
                    if wanted is None or record.key == wanted:
                        yield await self._stored(record)
        finally:
            await stop_consumer(consumer)

    async def read_state(self, keys: Collection[str] | None = None) -> AsyncIterator[StateRecord]:
        reading = StateReader(self._options, self._watermarks, self._options.topic(STATE), self._patience)
        for shard in range(self._options.shard_count):
            state = await reading.select(shard, keys)
            for key, value in state.values.items():
                yield StateRecord(key.decode(), value)

    async def read_quarantine(self, keys: Collection[str] | None = None) -> AsyncIterator[QuarantineRecord]:
        topic = self._options.topic(QUARANTINE)
        partitions = [TopicPartition(topic, shard) for shard in range(self._options.shard_count)]
        consumer = await start_consumer(self._options, committed=True)
        try:
            ends = await self._watermarks.high(partitions)
            seek(consumer, await self._watermarks.beginning(partitions))
            async for records in rounds_up_to(consumer, ends, self._patience):
                for record in (one for many in records.values() for one in many):
                    key = record.key.decode()
                    if record.value is not None and (keys is None or key in keys):
                        yield QuarantineRecord(key, record.value)
        finally:
            await stop_consumer(consumer)

    async def _stored(self, record: ConsumerRecord) -> StoredEvent:
        return StoredEvent(
            topic=record.topic.removeprefix(f"{self._options.prefix}."),
            shard=record.partition,
            offset=record.offset,
            key=record.key.decode(),
            value=await self._unframing.unframed(record.value),
            headers=tuple((name, bytes(value)) for name, value in record.headers),
        )

    async def links(self) -> Mapping[str, Link]:
        return dict((await self._tail.table()).links)

    async def pending_commands(self) -> tuple[Command, ...]:
        return tuple((await self._tail.table()).commands.values())

    async def damaged(self) -> tuple[Damaged, ...]:
        return tuple((await self._tail.table()).damaged.values())

    async def command_pending(self, command_id: str) -> bool:
        return command_id in (await self._tail.table()).commands

    async def append_command(self, command: Command) -> None:
        value = coded(encode_command, command).encode()
        shard = shard_of(command.account_id, self._options.shard_count)
        producer = await self._started_producer()
        with failing("the command cannot be written"), anyio.fail_after(self._options.commit_timeout_seconds):
            await producer.send_and_wait(self._options.topic(LINKS), value, key=command_key(command), partition=shard)

    async def _started_producer(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._closed:
                raise JournalError("the journal is closed")
            if self._producer is None:
                with failing("the Kafka client cannot be set up"):
                    # Idempotent: what it sends again by itself counts once.
                    producer = AIOKafkaProducer(enable_idempotence=True, **self._options.client_arguments())
                try:
                    with (
                        failing("the command cannot be written"),
                        anyio.fail_after(self._options.start_timeout_seconds),
                    ):
                        await producer.start()
                except BaseException:
                    await finish(producer.stop(), self._options.request_timeout_seconds)
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await finish(producer.stop(), self._options.request_timeout_seconds)
        await self._tail.close()
        await self._watermarks.close()
        await self._unframing.close()


def _place(record: ConsumerRecord) -> tuple[int, str, int, int]:
    return (record.timestamp, record.topic, record.partition, record.offset)


async def _merged(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], patience: Patience, *, keep_rest: bool
) -> AsyncIterator[ConsumerRecord]:
    """Everything below `ends`, by time, each partition in its own order. `keep_rest`: then what came from beyond."""
    waiting: dict[TopicPartition, deque[ConsumerRecord]] = {partition: deque() for partition in ends}
    rest: list[ConsumerRecord] = []
    paused: set[TopicPartition] = set()
    async for records in rounds_up_to(consumer, ends, patience):
        for partition, fetched in records.items():
            waiting[partition].extend(record for record in fetched if record.offset < ends[partition])
            rest.extend(record for record in fetched if keep_rest and record.offset >= ends[partition])
        for record in _ripe(waiting, await _unfinished(consumer, ends)):
            yield record
        _throttle(consumer, waiting, paused)
    consumer.resume(*paused)
    for record in _ripe(waiting, set()):
        yield record
    for record in sorted(rest, key=_place):
        yield record


async def _unfinished(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    return {partition for partition, end in ends.items() if await consumer.position(partition) < end}


def _ripe(
    waiting: dict[TopicPartition, deque[ConsumerRecord]], unfinished: set[TopicPartition]
) -> Iterator[ConsumerRecord]:
    """The next records by time, for as long as no partition may still come with an earlier one."""
    while True:
        heads = {partition: records[0] for partition, records in waiting.items() if records}
        if not heads or unfinished - heads.keys():
            return
        first: Any = min(heads, key=lambda partition: _place(heads[partition]))
        yield waiting[first].popleft()


def _throttle(
    consumer: AIOKafkaConsumer, waiting: Mapping[TopicPartition, deque[ConsumerRecord]], paused: set[TopicPartition]
) -> None:
    """Let no partition run far ahead of the others."""
    for partition, records in waiting.items():
        if len(records) > _BUFFERED_RECORDS and partition not in paused:
            consumer.pause(partition)
            paused.add(partition)
        elif partition in paused and len(records) <= _BUFFERED_RECORDS // 2:
            consumer.resume(partition)
            paused.discard(partition)
