"""Reading partitions: where they end, what is committed up to there, and whether something keeps them from ending."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from connector.errors import JournalError
from connector.journal.kafka.connections import end_connections, watch_connections
from connector.journal.kafka.failures import failing, finish
from connector.journal.kafka.options import KafkaOptions
from connector.ports import Clock
from connector.telemetry import logger

FETCH_BYTES: Final = 8 * 1024 * 1024
STOP_SECONDS: Final = 2.0
_POLL_MS: Final = 20
_IDLE_FETCH_MS: Final = 5_000
"""How long a broker may hold the fetch of a partition where nothing happens."""
_LOOK_SECONDS: Final = 0.05


async def start_consumer(options: KafkaOptions, *, committed: bool) -> AIOKafkaConsumer:
    """A consumer without a group and without partitions, yet.

    Raises:
        JournalError: the brokers do not answer.
    """
    with failing("the Kafka client cannot be set up"):
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed" if committed else "read_uncommitted",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=_IDLE_FETCH_MS,
            check_crcs=True,
            **options.client_arguments(),
        )
    watch_connections(consumer._client)  # there is no public way
    try:
        with failing(f"Kafka at {options.bootstrap_servers}"), anyio.fail_after(options.start_timeout_seconds):
            await consumer.start()
    except BaseException:
        await stop_consumer(consumer)
        raise
    return consumer


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """End a consumer. Bounded in time; never raises, even where its own stopping does."""
    if not await finish(consumer.stop(), STOP_SECONDS):
        await finish(consumer._client.close(), STOP_SECONDS)
    end_connections(consumer._client)


class Watermarks:
    """Where partitions end: for everybody (high watermark), and for those who read only what is committed.

    A consumer that reads only committed records is told the last stable offset as a partition's end.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._consumers: dict[bool, AIOKafkaConsumer] = {}
        self._starting = anyio.Lock()
        self._closed = False

    async def high(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The high watermarks. Raises JournalError."""
        return await self._ends(partitions, committed=False)

    async def stable(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offsets: below them every transaction has ended. Raises JournalError."""
        return await self._ends(partitions, committed=True)

    async def beginning(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offsets still held. Raises JournalError."""
        consumer = await self._consumer(committed=True)
        with failing("the beginnings of the partitions cannot be read"), self._deadline():
            await _learn(consumer, partitions)
            found: dict[TopicPartition, int] = await consumer.beginning_offsets(list(partitions))
            return found

    async def _ends(self, partitions: Collection[TopicPartition], *, committed: bool) -> dict[TopicPartition, int]:
        consumer = await self._consumer(committed=committed)
        with failing("the ends of the partitions cannot be read"), self._deadline():
            await _learn(consumer, partitions)
            found: dict[TopicPartition, int] = await consumer.end_offsets(list(partitions))
            return found

    def _deadline(self) -> Any:  # noqa: ANN401  # anyio's own context manager
        return anyio.fail_after(self._options.request_timeout_seconds + 1)

    async def _consumer(self, *, committed: bool) -> AIOKafkaConsumer:
        async with self._starting:
            if self._closed:
                raise JournalError("the journal is closed")
            if committed not in self._consumers:
                self._consumers[committed] = await start_consumer(self._options, committed=committed)
            return self._consumers[committed]

    async def close(self) -> None:
        """Release the connections. Never raises."""
        self._closed = True
        while self._consumers:
            await stop_consumer(self._consumers.popitem()[1])


async def _learn(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
    """Have the client know where the topics are. By itself it finds out one after the other, 0.1 s each."""
    client = consumer._client  # there is no public way
    known = set(client.cluster.topics())
    wanted = {partition.topic for partition in partitions}
    if not wanted <= known:
        await client.set_topics(known | wanted)


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long reading may stand still before something must be wrong, and the clock that tells."""

    clock: Clock
    seconds: float


async def rounds_up_to(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], patience: Patience
) -> AsyncIterator[dict[TopicPartition, list[ConsumerRecord]]]:
    """Fetch round by fetch round, until the consumer's position has reached `ends` in every partition.

    What lies behind an end may come, too. The positions count, never the last record: behind it stands the marker of
    its transaction, or an aborted one. The end to give is the high watermark: up to the last *stable* offset, what is
    about to be committed would be left out.

    Raises:
        JournalError: nothing moved for as long as `patience` says: a transaction hangs, or the brokers are away.
    """
    moved_at = patience.clock.monotonic()
    positions: dict[TopicPartition, int] = {}
    while True:
        before = dict(positions)
        with failing("reading from Kafka"), anyio.fail_after(patience.seconds):
            for partition in ends:
                positions[partition] = await consumer.position(partition)
        waiting = [partition for partition, end in ends.items() if positions[partition] < end]
        if not waiting:
            return
        now = patience.clock.monotonic()
        if positions != before:
            moved_at = now
        elif now - moved_at > patience.seconds:
            stuck = ", ".join(f"{tp.topic}/{tp.partition} at {positions[tp]} of {ends[tp]}" for tp in waiting[:3])
            raise JournalError(
                f"reading stands still for {patience.seconds:.0f} s ({stuck}): the brokers are away, or a transaction "
                "hangs; `kafka-transactions find-hanging` tells"
            )
        with failing("reading from Kafka"):
            # Of all partitions: what lies fetched and is not taken would keep its whole broker from being asked.
            records = await consumer.getmany(timeout_ms=_POLL_MS)
        if records:
            yield records


async def wait_until_stable(
    watermarks: Watermarks, partitions: Collection[TopicPartition], options: KafkaOptions, clock: Clock
) -> dict[TopicPartition, int]:
    """Wait until no transaction is open below the present end of any partition; those ends (high watermarks).

    Starting a producer should leave none of its predecessor's. After a hard restart of a broker one can hang all the
    same, and the next commit under the same id would make its records visible: so nothing may be written before. Said
    once, with the remedy, when it lasts longer than a transaction may.

    Raises:
        JournalError: the brokers do not answer.
    """
    ends = await watermarks.high(partitions)
    started = clock.monotonic()
    told = False
    while True:
        stable = await watermarks.stable(partitions)
        behind = {partition: offset for partition, offset in stable.items() if offset < ends[partition]}
        if not behind:
            if told:
                logger(__name__).info("hanging_transaction_gone", shard=next(iter(partitions)).partition)
            return ends
        if not told and clock.monotonic() - started > options.transaction_timeout_seconds:
            told = True
            for partition, offset in behind.items():
                logger(__name__).error(
                    "hanging_transaction",
                    topic=partition.topic,
                    shard=partition.partition,
                    action=remedy(partition, offset),
                )
        await clock.sleep(_LOOK_SECONDS)


def remedy(partition: TopicPartition, offset: int) -> str:
    """The operator's command that ends a transaction hanging at `offset`, on any of the brokers."""
    return (
        "kafka-transactions.sh --bootstrap-server … abort "
        f"--topic {partition.topic} --partition {partition.partition} --start-offset {offset}"
    )


def seek(consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> None:
    """Give the consumer exactly these partitions, each to be read from its offset on."""
    consumer.assign(list(positions))
    for partition, offset in positions.items():
        consumer.seek(partition, offset)
