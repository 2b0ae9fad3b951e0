"""The ends of the event topics: how far a shard's events go, whatever its state says.

Every event carries its commit's number and its epoch in its headers, and within a partition commits only ever rise: the
last record of each event topic tells. Only the tails are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from connector.journal.kafka.options import EVENT_TOPICS, KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)

_FIRST_STEP_BACK: Final = 20
_STEP_GROWTH: Final = 20


@dataclass(frozen=True, slots=True)
class Told:
    """The newest commit that a shard's events are of, and a topic (full name) that holds one."""

    commit_number: int
    topic: str


class EventTails:
    """Reads the last records of a shard's event partitions."""

    def __init__(self, options: KafkaOptions, watermarks: Watermarks, patience: Patience) -> None:
        self._options = options
        self._watermarks = watermarks
        self._patience = patience

    async def newest_commit(self, shard: int, epoch: str) -> Told | None:
        """The newest commit of a shard that told any event in `epoch`; None where none did that is still held.

        Raises:
            JournalError: the brokers do not answer.
        """
        partitions = [TopicPartition(self._options.topic(name), shard) for name in EVENT_TOPICS]
        ends = await self._watermarks.stable(partitions)
        beginnings = await self._watermarks.beginning(partitions)
        left = {partition: end for partition, end in ends.items() if end > beginnings[partition]}
        found: list[Told] = []
        step = _FIRST_STEP_BACK
        consumer = await start_consumer(self._options, committed=True) if left else None
        try:
            while consumer is not None and left:
                starts = {partition: max(beginnings[partition], end - step) for partition, end in left.items()}
                last = await self._last_records(consumer, starts, left)
                for partition, record in last.items():
                    told = _told(record.headers, epoch)
                    if told is not None:
                        found.append(Told(told, partition.topic))
                # Behind the last record there may be many markers of transactions, and nothing else.
                left = {
                    partition: end
                    for partition, end in left.items()
                    if partition not in last and starts[partition] > beginnings[partition]
                }
                step *= _STEP_GROWTH
        finally:
            if consumer is not None:
                await stop_consumer(consumer)
        return max(found, key=lambda told: told.commit_number, default=None)

    async def _last_records(
        self, consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, ConsumerRecord]:
        seek(consumer, starts)
        last: dict[TopicPartition, ConsumerRecord] = {}
        async for records in rounds_up_to(consumer, ends, self._patience):
            last.update({partition: many[-1] for partition, many in records.items() if many})
        return last


def _told(headers: Iterable[tuple[str, bytes]], epoch: str) -> int | None:
    """The commit that an event's headers name, where it is of that epoch."""
    by_name = dict(headers)
    number = by_name.get("commit", b"")
    return int(number) if by_name.get("epoch") == epoch.encode() and number.isdigit() else None
