"""Committed state of one shard, read back: the runtime's sealed values, and the journal's own few keys beside them.

The journal's own keys are in clear: `shard/<p>/commit` holds the number of the last commit and its owner, written by
every transaction; `shard/<p>/applied/<command id>` says when a command was applied, so that none is applied twice.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from connector.errors import JournalError
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)
from connector.ports import LastCommit, VaultIdentity

_FIRST_STEP_BACK: Final = 500
_STEP_GROWTH: Final = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a shard is, and who brought it there (`host:pid:nonce`). `number` is that of the `last` commit."""

    number: int = 0
    owner: str = ""
    last: LastCommit = field(default_factory=LastCommit)

    def encode(self) -> bytes:
        """As written."""
        last = self.last
        facts = {
            "format": 1,
            "number": self.number,
            "owner": self.owner,
            "tip": last.tip.hex(),
            "at": None if last.at is None else last.at.isoformat(),
            "vault": None if last.vault is None else [last.vault.vault_id, last.vault.counter],
        }
        return json.dumps(facts).encode()

    @classmethod
    def decode(cls, value: bytes) -> Mark:
        """What `encode` wrote.

        Raises:
            JournalError: it is something else.
        """
        try:
            written = json.loads(value)
            if written["format"] == 1:
                number, at, vault = int(written["number"]), written["at"], written["vault"]
                last = LastCommit(
                    number,
                    bytes.fromhex(written["tip"]),
                    None if at is None else datetime.fromisoformat(at),
                    None if vault is None else VaultIdentity(str(vault[0]), int(vault[1])),
                )
                return cls(number, str(written["owner"]), last)
        except (ValueError, KeyError, TypeError):
            pass
        raise JournalError("the mark of a shard's last commit cannot be understood: was it written by another release?")


def mark_key(shard: int) -> bytes:
    """Where a shard's mark is."""
    return f"shard/{shard}/commit".encode()


def applied_prefix(shard: int) -> bytes:
    """What the keys of applied commands begin with."""
    return f"shard/{shard}/applied/".encode()


@dataclass(slots=True)
class ShardState:
    """Everything committed in a shard's state partition. `values` holds no key of the journal's own.

    `applied` maps command ids to when they were applied, in milliseconds since the epoch.
    """

    shard: int
    mark: Mark = field(default_factory=Mark)
    applied: dict[str, int] = field(default_factory=dict)
    values: dict[bytes, bytes] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """Fold one record in."""
        if key == mark_key(self.shard):
            self.mark = Mark.decode(value) if value is not None else Mark()
        elif key.startswith(applied_prefix(self.shard)):
            command_id = key.removeprefix(applied_prefix(self.shard)).decode()
            if value is None:
                self.applied.pop(command_id, None)
            else:
                self.applied[command_id] = int(value)
        elif value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


class StateReader:
    """Reads the state partitions of one deployment. `committed` is False only where a test breaks it on purpose."""

    committed = True

    def __init__(self, options: KafkaOptions, watermarks: Watermarks, topic: str, patience: Patience) -> None:
        self._options = options
        self._watermarks = watermarks
        self._topic = topic
        self._patience = patience

    async def read(self, shard: int) -> ShardState:
        """The state of a shard up to its present end; of several values under a key the last one.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
        """
        return await self.select(shard, None)

    async def select(self, shard: int, keys: Collection[str] | None) -> ShardState:
        """As `read`, of `keys` only, where they are given; one that ends in `/` stands for all that begin with it.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
        """
        state = ShardState(shard)
        named = frozenset(key.encode() for key in keys or ())
        below = tuple(key for key in named if key.endswith(b"/"))
        async for record in self._records(shard, await self.ends(TopicPartition(self._topic, shard))):
            if keys is None or record.key in named or record.key.startswith(below):
                state.take(record.key, record.value)
        return state

    async def cut(self, shard: int) -> ShardState:
        """The state as of one commit, beside whoever owns the shard: none of a commit's records without the others.

        Raises:
            JournalError: the brokers do not answer.
        """
        partition = TopicPartition(self._topic, shard)
        # The last stable offset lies between two transactions.
        ends = await self._watermarks.stable([partition])
        state = ShardState(shard)
        async for record in self._records(shard, ends):
            if record.offset < ends[partition]:
                state.take(record.key, record.value)
        return state

    async def values(self, shard: int) -> dict[bytes, bytes]:
        """Whatever lies in the partition under any key, understood or not.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
        """
        found: dict[bytes, bytes] = {}
        async for record in self._records(shard, await self.ends(TopicPartition(self._topic, shard))):
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = record.value
        return found

    async def _records(self, shard: int, ends: Mapping[TopicPartition, int]) -> AsyncIterator[ConsumerRecord]:
        partition = TopicPartition(self._topic, shard)
        consumer = await start_consumer(self._options, committed=self.committed)
        try:
            seek(consumer, await self._watermarks.beginning([partition]))
            async for records in rounds_up_to(consumer, ends, self._patience):
                for record in _of(records, partition):
                    yield record
        finally:
            await stop_consumer(consumer)

    async def ends(self, partition: TopicPartition) -> Mapping[TopicPartition, int]:
        """Where restoring ends: at the high watermark, for below it may be what is committed only in a moment."""
        return await self._watermarks.high([partition])

    async def last_mark(self, shard: int) -> Mark:
        """The mark of the last commit that is known by now, without reading all of the state.

        Raises:
            JournalError: the brokers do not answer.
        """
        partition = TopicPartition(self._topic, shard)
        consumer = await start_consumer(self._options, committed=True)
        try:
            # Not the high watermark: below it may be an open transaction of ours that nobody has ended yet.
            end = (await self._watermarks.stable([partition]))[partition]
            beginning = (await self._watermarks.beginning([partition]))[partition]
            step = _FIRST_STEP_BACK
            while True:
                start = max(beginning, end - step)
                found = await self._mark_between(consumer, partition, start, end)
                if found is not None or start == beginning:
                    return found or Mark()
                step *= _STEP_GROWTH
        finally:
            await stop_consumer(consumer)

    async def _mark_between(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
    ) -> Mark | None:
        seek(consumer, {partition: start})
        found = None
        async for records in rounds_up_to(consumer, {partition: end}, self._patience):
            for record in _of(records, partition):
                if record.key == mark_key(partition.partition):
                    # One that was taken away counts: an older one before it says nothing any more.
                    found = Mark.decode(record.value) if record.value is not None else Mark()
        return found


def _of(records: Mapping[TopicPartition, list[ConsumerRecord]], partition: TopicPartition) -> list[ConsumerRecord]:
    return records.get(partition, [])
