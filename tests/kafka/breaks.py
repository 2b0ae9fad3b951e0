"""The journal broken on purpose, one way each: what the tests must catch. None of it is used but by tests."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from connector.errors import JournalError
from connector.journal.kafka.failures import CLIENT_ERRORS, finish
from connector.journal.kafka.journal import KafkaJournal, KafkaShard
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.partitions import seek, start_consumer, stop_consumer
from connector.journal.kafka.producer import Outgoing, TransactionalProducer
from connector.journal.kafka.shard_state import ShardState, StateReader
from connector.journal.kafka.topics import shard_topics
from connector.ports import Commit


class CarelessProducer(TransactionalProducer):
    """Commits although a batch was refused."""

    async def _all_delivered(self, sent: Sequence[Any]) -> None:
        for delivery in sent:
            with suppress(*CLIENT_ERRORS):
                await delivery


class CarelessJournal(KafkaJournal):
    producer_type = CarelessProducer


class ReusingProducer(TransactionalProducer):
    """Aborts after a failure, and goes on with the same producer."""

    async def transact(self, records: Sequence[Outgoing]) -> None:
        try:
            await self._write(*self._batches(records))
        except CLIENT_ERRORS as error:
            await self.client.abort_transaction()
            raise JournalError("aborted") from error


class ReusingShard(KafkaShard):
    async def commit(self, commit: Commit) -> None:
        self._unusable = None
        await super().commit(commit)


class ReusingJournal(KafkaJournal):
    producer_type = ReusingProducer
    shard_type = ReusingShard


class StoppingProducer(TransactionalProducer):
    """Is let go as soon as its bounded stop has timed out: what it still holds is sent later."""

    async def discard(self) -> None:
        if not self._discarded:
            self._discarded = True
            await finish(self.client.stop(), 1.0)


class StoppingJournal(KafkaJournal):
    producer_type = StoppingProducer


class PlainProducer(TransactionalProducer):
    """Sends events, then the rest, in no transaction at all."""

    def __init__(self, options: KafkaOptions, shard: int) -> None:
        super().__init__(options, shard)
        self.plain = AIOKafkaProducer(enable_idempotence=True, **options.client_arguments())
        self._started = False

    async def transact(self, records: Sequence[Outgoing]) -> None:
        if not self._started:
            await self.plain.start()
            self._started = True
        for record in records:
            await self.plain.send_and_wait(
                record.topic,
                record.value,
                key=record.key,
                partition=self.shard,
                headers=list(record.headers),
            )

    async def discard(self) -> None:
        await finish(self.plain.stop(), 1.0)
        await super().discard()


class PlainJournal(KafkaJournal):
    producer_type = PlainProducer


class UncommittedStateReader(StateReader):
    """Restores what was aborted, too."""

    committed = False


class UncommittedJournal(KafkaJournal):
    state_reader_type = UncommittedStateReader


class LastRecordStateReader(StateReader):
    """Waits for the last record, which need not exist: a marker may stand behind it."""

    async def read(self, shard: int) -> ShardState:
        partition = TopicPartition(self._topic, shard)
        state = ShardState(shard)
        consumer = await start_consumer(self._options, committed=True)
        try:
            end = (await self.ends(partition))[partition]
            seek(consumer, await self._watermarks.beginning([partition]))
            last = -1
            while end and last < end - 1:
                for record in (await consumer.getmany(timeout_ms=100)).get(partition, []):
                    last = record.offset
                    state.take(record.key, record.value)
        finally:
            await stop_consumer(consumer)
        return state


class LastRecordJournal(KafkaJournal):
    state_reader_type = LastRecordStateReader


class StableStateReader(StateReader):
    """Restores up to the last stable offset, as if that were the end."""

    async def ends(self, partition: TopicPartition) -> Mapping[TopicPartition, int]:
        return await self._watermarks.stable([partition])


class HastyJournal(KafkaJournal):
    """Waits for no open transaction, and restores up to the last stable offset."""

    state_reader_type = StableStateReader

    async def fence(self, shard: int) -> TransactionalProducer:
        return await self.producer_type.start(self.options, shard, shard_topics(self.options))


class UnfencedProducer(TransactionalProducer):
    """Has a transactional id of its own, so that it fences nobody, and nobody fences it."""

    def __init__(self, options: KafkaOptions, shard: int) -> None:
        super().__init__(options, shard)
        self.client._txn_manager.transactional_id = f"unfenced-{secrets.token_hex(4)}"
        self.client._txn_manager.transaction_timeout_ms = 8_000


class UnfencedJournal(HastyJournal):
    producer_type = UnfencedProducer

    async def _require_still_ours(self, shard: int) -> None: ...


Interlude = Callable[[], Awaitable[None]]


class ScriptedStateReader(StateReader):
    """The real one, with somebody else's doings right after it has read."""

    interlude: Interlude | None = None

    async def read(self, shard: int) -> ShardState:
        state = await super().read(shard)
        interlude, self.interlude = self.interlude, None
        if interlude is not None:
            await interlude()
        return state


class ScriptedJournal(KafkaJournal):
    state_reader_type = ScriptedStateReader
    states: ScriptedStateReader


class RestoringFirstJournal(ScriptedJournal):
    """Restores, and fences only then."""

    async def acquire(self, shard: int) -> KafkaShard:
        state = await self.states.read(shard)
        producer = await self.fence(shard)
        tail = self._link_tail(shard)
        acquired = self.shard_type(self, shard, producer, state, tail)
        await tail.table()
        await acquired.claim()
        self._held.add(acquired)
        return acquired
