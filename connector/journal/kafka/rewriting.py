"""Rewriting the state of a deployment, while nobody else writes to it: every shard is fenced as long as this is open.

In this order, so that whatever ends it half done leaves a journal that is refused at the next start, and can be
rewritten again: the marks go first, then the deployment becomes another branch, then each shard's values, and its mark
with the last of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from connector.errors import JournalError
from connector.journal.epoch import new_epoch
from connector.journal.kafka.history import EventHistory
from connector.journal.kafka.journal import KafkaJournal
from connector.journal.kafka.producer import Outgoing, TransactionalProducer
from connector.journal.kafka.shard_state import Mark, applied_prefix, mark_key
from connector.journal.kafka.topics import STATE, write_about
from connector.ports import LastCommit, StateRecord

_BYTES_A_TRANSACTION: Final = 4 * 1024 * 1024


class StateRewriting:
    """The state of every shard, to be written anew. Made by `rewriting`."""

    def __init__(self, journal: KafkaJournal) -> None:
        self._journal = journal
        self._topic = journal.options.topic(STATE)
        self._producers: dict[int, TransactionalProducer] = {}
        self._before: dict[int, dict[bytes, bytes]] = {}

    async def fence(self, shards: Iterable[int]) -> None:
        """Take the shards from whoever has them.

        Raises:
            JournalError: the brokers do not answer.
        """
        for shard in shards:
            self._producers[shard] = await self._journal.fence(shard)
            self._before[shard] = await self._journal.states.values(shard)

    async def history(self, shard: int) -> EventHistory:
        """The events of a shard. Raises JournalError."""
        journal = self._journal
        return await EventHistory.open(journal.options, journal.watermarks, journal.patience, shard)

    def values(self, shard: int) -> Iterator[StateRecord]:
        """What lies in the shard's state so far and is not the journal's own, as it lies there."""
        for key, value in self._before[shard].items():
            if key != mark_key(shard) and not key.startswith(applied_prefix(shard)):
                yield StateRecord(key.decode(errors="replace"), value)

    def mark(self, shard: int) -> LastCommit | None:
        """The last commit by the state so far; None where it holds none that can be understood."""
        value = self._before[shard].get(mark_key(shard))
        try:
            return Mark.decode(value).last if value is not None else None
        except JournalError:
            return None

    async def begin(self, shards: Iterable[int]) -> str:
        """Take the marks of `shards` away, and make the deployment another branch; its epoch.

        Raises:
            JournalError: the brokers do not answer, or somebody else took a shard.
        """
        for shard in shards:
            await self._transact(shard, [Outgoing(self._topic, mark_key(shard), None)])
        self._journal.epoch = new_epoch()
        await write_about(self._journal.options, self._journal.epoch)
        return self._journal.epoch

    async def write(self, shard: int, records: Iterable[StateRecord], last: LastCommit) -> None:
        """Put `records` in the place of the shard's values, and `last` as its mark.

        Raises:
            JournalError: the brokers do not answer, or somebody else took the shard.
        """
        size, batch = 0, list[Outgoing]()
        left = {key for key in self._before[shard] if key != mark_key(shard)}
        left -= {key for key in left if key.startswith(applied_prefix(shard))}
        for record in records:
            left.discard(record.key.encode())
            batch.append(Outgoing(self._topic, record.key.encode(), record.value))
            size += batch[-1].size
            if size > _BYTES_A_TRANSACTION:
                await self._transact(shard, batch)
                size, batch = 0, []
        batch += [Outgoing(self._topic, key, None) for key in sorted(left)]
        mark = Mark(last.number, self._journal.owner, last)
        await self._transact(shard, [*batch, Outgoing(self._topic, mark_key(shard), mark.encode())])

    async def _transact(self, shard: int, records: list[Outgoing]) -> None:
        producer = self._producers[shard]
        if producer.spent is not None:
            await producer.discard()
            producer = self._producers[shard] = await self._journal.fence(shard)
        await producer.transact(records)

    async def close(self) -> None:
        """Let the shards go. Never raises."""
        while self._producers:
            await self._producers.popitem()[1].discard()


@asynccontextmanager
async def rewriting(journal: KafkaJournal) -> AsyncIterator[StateRewriting]:
    """Rewrite the state of a deployment; all of its shards are fenced until the block ends.

    Raises:
        JournalError: the brokers do not answer.
    """
    work = StateRewriting(journal)
    try:
        await work.fence(range(journal.shard_count))
        yield work
    finally:
        await work.close()
