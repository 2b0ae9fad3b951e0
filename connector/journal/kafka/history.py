"""The whole history of one shard: every committed event that its topics still hold, as often as it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from connector.journal.kafka.framing import Unframing
from connector.journal.kafka.options import EVENT_TOPICS, KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)
from connector.ports import StoredEvent


@dataclass(frozen=True, slots=True)
class EventHistory:
    """The events of a shard up to where its topics ended when it was opened. Made by `open`."""

    options: KafkaOptions
    patience: Patience
    beginnings: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    @classmethod
    async def open(cls, options: KafkaOptions, watermarks: Watermarks, patience: Patience, shard: int) -> EventHistory:
        """The history of `shard` as of now.

        Raises:
            JournalError: the brokers do not answer.
        """
        partitions = [TopicPartition(options.topic(name), shard) for name in EVENT_TOPICS]
        # The high watermarks: a transaction that ended may not be readable everywhere yet.
        ends = await watermarks.high(partitions)
        return cls(options, patience, await watermarks.beginning(partitions), ends)

    @property
    def expired(self) -> tuple[str, ...]:
        """The topics (full names) whose oldest records are gone: a stream may have been in them without a trace."""
        return tuple(sorted(partition.topic for partition, offset in self.beginnings.items() if offset > 0))

    async def events(self) -> AsyncIterator[StoredEvent]:
        """Every event, in the order of its topic; the topics come in any order.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
            DataError, ConfigurationError, RetryableError: as `Unframing.unframed`.
        """
        unframing = Unframing(self.options)
        consumer = await start_consumer(self.options, committed=True)
        try:
            seek(consumer, self.beginnings)
            async for records in rounds_up_to(consumer, self.ends, self.patience):
                for partition, many in records.items():
                    for record in many:
                        if record.offset < self.ends[partition]:
                            yield StoredEvent(
                                topic=partition.topic.removeprefix(f"{self.options.prefix}."),
                                shard=partition.partition,
                                offset=record.offset,
                                key=(record.key or b"").decode(errors="replace"),
                                value=await unframing.unframed(record.value or b""),
                                headers=tuple((name, bytes(value)) for name, value in record.headers),
                            )
        finally:
            await stop_consumer(consumer)
            await unframing.close()
