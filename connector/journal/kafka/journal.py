"""`ports.Journal` on Kafka: owning a shard is having its transactional id, and a commit is one transaction.

Acquiring: fence the predecessor; wait until no transaction of anybody is open in the partitions to be written; read
back what is committed, up to the high watermark; then put our name there. In this order, for each step relies on the
one before. Fencing alone is what keeps two owners apart.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

from aiokafka import TopicPartition

from connector.errors import ConfigurationError, FencedError, JournalError
from connector.journal.epoch import new_epoch
from connector.journal.kafka.event_tails import EventTails
from connector.journal.kafka.framing import Framed, open_framing, single_object
from connector.journal.kafka.link_table import command_key
from connector.journal.kafka.link_tail import LinkTail
from connector.journal.kafka.options import EVENT_TOPICS, MAXIMUM_VALUE_BYTES, KafkaOptions
from connector.journal.kafka.partitions import Patience, Watermarks, wait_until_stable
from connector.journal.kafka.producer import Outgoing, TransactionalProducer
from connector.journal.kafka.shard_state import Mark, ShardState, StateReader, applied_prefix, mark_key
from connector.journal.kafka.topics import (
    LINKS,
    MINIMUM_TOMBSTONE_MS,
    QUARANTINE,
    STATE,
    require_topics,
    shard_topics,
    write_about,
)
from connector.journal.link_codec import coded, encode_link
from connector.links import Command, Link
from connector.ports import Clock, Commit, Damaged, LastCommit, StateRecord
from connector.telemetry import logger

_PATIENCE_MARGIN_SECONDS: Final = 10.0
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.1
_LOG = logger(__name__)


class KafkaShard:
    """`ports.Shard` on Kafka. Made by `KafkaJournal.acquire` only."""

    maximum_record_bytes = MAXIMUM_VALUE_BYTES

    def __init__(
        self, journal: KafkaJournal, number: int, producer: TransactionalProducer, state: ShardState, tail: LinkTail
    ) -> None:
        self.number = number
        self.epoch = journal.epoch
        self.last = state.mark.last
        self.committed_number = state.mark.number
        """The number of the shard's last commit known to be durable; 0 before the first."""
        self._journal = journal
        self._producer = producer
        self._tail = tail
        self._applied = state.applied
        self._restored: ShardState | None = state
        self._unusable: JournalError | None = None
        self._commands: Mapping[str, Command] = {}
        self._damaged: tuple[Damaged, ...] = ()

    async def claim(self) -> None:
        """Write our name as the shard's owner, in a transaction of its own.

        Raises:
            JournalError: another one was quicker, or the outcome is unknown.
        """
        await self._producer.transact([self._mark(self.last)])

    @property
    def usable(self) -> bool:
        """False once a commit failed, or the shard was released."""
        return self._unusable is None

    async def restore(self) -> AsyncIterator[StateRecord]:
        # What acquiring has read is given away once; afterwards it is read again.
        state, self._restored = self._restored, None
        if state is None:
            state = await self._journal.states.read(self.number)
        while state.values:
            key, value = state.values.popitem()
            yield StateRecord(key.decode(), value)

    async def links(self) -> Mapping[str, Link]:
        table = await self._tail.table()
        self._damaged = tuple(table.damaged.values())
        return dict(table.links)

    async def pending_commands(self) -> tuple[Command, ...]:
        table = await self._tail.table()
        self._commands, self._damaged = table.commands, tuple(table.damaged.values())
        return tuple(command for command_id, command in self._commands.items() if command_id not in self._applied)

    async def damaged(self) -> tuple[Damaged, ...]:
        return self._damaged

    async def commit(self, commit: Commit) -> None:
        if self._unusable is not None:
            raise self._unusable
        # Until it is known to have succeeded, it counts as failed: also when the caller is cancelled in the middle.
        self._unusable = JournalError(f"shard {self.number} failed before: acquire and restore it again")
        try:
            self._require(commit)
            await self._producer.transact(self._outgoing(commit))
        except FencedError as error:
            self._unusable = error
            raise
        self._unusable = None
        self._restored = None
        self.committed_number = commit.number
        self._applied |= dict.fromkeys(commit.commands_applied, self._now_ms())
        if self._producer.spent is not None:
            _LOG.info("producer_retired", shard=self.number, reason=self._producer.spent)
            self._unusable = JournalError(f"shard {self.number} must be acquired again: {self._producer.spent}")

    async def release(self) -> None:
        self._journal.let_go(self)
        self._unusable = FencedError(f"shard {self.number} was released")
        await self._producer.discard()
        await self._tail.close()

    def _require(self, commit: Commit) -> None:
        if commit.shard != self.number:
            raise JournalError(f"a commit of shard {commit.shard} was given to shard {self.number}")
        if commit.number != self.committed_number + 1:
            raise JournalError(
                f"commit {commit.number} of shard {self.number} does not follow commit {self.committed_number}"
            )
        values = [record.value for records in (commit.events, commit.quarantine) for record in records]
        values += [record.value for record in commit.state if record.value is not None]
        largest = max(map(len, values), default=0)
        if largest > self.maximum_record_bytes:
            raise JournalError(f"a record of {largest} bytes is above the limit of {self.maximum_record_bytes}")
        for command_id in commit.commands_applied:
            if command_id not in self._commands or command_id in self._applied:
                raise JournalError(f"command {command_id} is not pending: it would be applied twice")

    def _outgoing(self, commit: Commit) -> list[Outgoing]:
        """Everything of a commit as records: events first, in their order; then what is committed beside them."""
        options, framed = self._journal.options, self._journal.framed
        state, links, quarantine = (options.topic(name) for name in (STATE, LINKS, QUARANTINE))
        records = [
            Outgoing(options.topic(event.topic), event.key.encode(), framed(event.value), event.headers)
            for event in commit.events
        ]
        position = () if commit.position is None else (commit.position,)
        records += [Outgoing(state, record.key.encode(), record.value) for record in (*commit.state, *position)]
        records += self._bookkeeping(commit, state)
        records += [
            Outgoing(links, link.account_id.encode(), coded(encode_link, link).encode()) for link in commit.links
        ]
        ended = {*commit.commands_applied, *(self._commands.keys() & self._applied.keys())}
        records += [Outgoing(links, command_key(self._commands[command_id]), None) for command_id in sorted(ended)]
        records += [Outgoing(quarantine, record.key.encode(), record.value) for record in commit.quarantine]
        return records

    def _bookkeeping(self, commit: Commit, topic: str) -> list[Outgoing]:
        records = [self._mark(LastCommit(commit.number, commit.tip, commit.at, commit.vault))]
        now = self._now_ms()
        prefix = applied_prefix(self.number)
        if commit.commands_applied:
            # By then the command's own tombstone is gone, too: nobody can read the command again.
            for command_id in [known for known, at in self._applied.items() if now - at > 2 * MINIMUM_TOMBSTONE_MS]:
                del self._applied[command_id]
                records.append(Outgoing(topic, prefix + command_id.encode(), None))
        records += [
            Outgoing(topic, prefix + command_id.encode(), str(now).encode()) for command_id in commit.commands_applied
        ]
        return records

    def _mark(self, last: LastCommit) -> Outgoing:
        mark = Mark(last.number, self._journal.owner, last)
        return Outgoing(self._journal.options.topic(STATE), mark_key(self.number), mark.encode())

    def _now_ms(self) -> int:
        now: datetime = self._journal.clock.now()
        return int(now.timestamp() * 1000)


class KafkaJournal:
    """`ports.Journal` on a Kafka cluster. Made by `open`."""

    shard_type: type[KafkaShard] = KafkaShard
    producer_type: type[TransactionalProducer] = TransactionalProducer
    state_reader_type: type[StateReader] = StateReader

    def __init__(self, options: KafkaOptions, clock: Clock, epoch: str, framed: Framed = single_object) -> None:
        self.options = options
        self.epoch = epoch
        self.framed = framed
        self.clock = clock
        self.shard_count = options.shard_count
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.watermarks = Watermarks(options)
        self.patience = Patience(clock, options.transaction_timeout_seconds + _PATIENCE_MARGIN_SECONDS)
        self.states = self.state_reader_type(options, self.watermarks, options.topic(STATE), self.patience)
        self._held: set[KafkaShard] = set()
        self._before_us: dict[int, str] = {}
        """Shards that we have taken and not given back, with whose name was on them before ours."""
        self._closed = False

    @classmethod
    async def open(cls, options: KafkaOptions, *, clock: Clock) -> KafkaJournal:
        """Open the journal on topics that are there, as they must be.

        Raises:
            ConfigurationError: a topic is missing, or has another partition count, policy or framing; or a schema is
                not registered.
            JournalError: the brokers do not answer.
            RetryableError: the schema registry is away.
        """
        epoch = await require_topics(options, clock)
        return cls(options, clock, epoch, await open_framing(options))

    async def last_commit(self, shard: int, *, settled: bool = False) -> LastCommit:
        partition = TopicPartition(self.options.topic(STATE), shard)
        if settled:
            await wait_until_stable(self.watermarks, [partition], self.options, self.clock)
        for _ in range(_LOOKS):
            # The end of a transaction is answered before it can be read: what was committed shows a moment late.
            stable, high = await self.watermarks.stable([partition]), await self.watermarks.high([partition])
            if stable == high:
                break
            await self.clock.sleep(_LOOK_SECONDS)
        return (await self.states.last_mark(shard)).last

    async def begin_epoch(self) -> str:
        """Go on as a new branch; its epoch. Whoever works on the journal is fenced first.

        Raises:
            JournalError: the brokers do not answer.
        """
        for shard in range(self.shard_count):
            await (await self.fence(shard)).discard()
        self.epoch = new_epoch()
        await write_about(self.options, self.epoch)
        return self.epoch

    async def acquire(self, shard: int) -> KafkaShard:
        if not 0 <= shard < self.shard_count:
            raise ConfigurationError(f"there is no shard {shard}: the journal has {self.shard_count}")
        if self._closed:
            raise JournalError("the journal is closed")
        await self._require_still_ours(shard)
        producer = await self.fence(shard)
        tail = self._link_tail(shard)
        try:
            state = await self.states.read(shard)
            await self._require_state(shard, state.mark)
            await self.require_not_behind(shard, state.mark.number)
            await tail.table()
            acquired = self.shard_type(self, shard, producer, state, tail)
            await acquired.claim()
        except BaseException:
            await producer.discard()
            await tail.close()
            raise
        self._held.add(acquired)
        if state.mark.owner != self.owner:
            self._before_us[shard] = state.mark.owner
        return acquired

    async def fence(self, shard: int) -> TransactionalProducer:
        """Fence whoever owned the shard, and wait until nothing that was begun in its partitions is still open.

        Raises:
            JournalError: the brokers do not answer.
        """
        topics = shard_topics(self.options)
        producer = await self.producer_type.start(self.options, shard, topics)
        try:
            partitions = [TopicPartition(topic, shard) for topic in topics]
            await wait_until_stable(self.watermarks, partitions, self.options, self.clock)
        except BaseException:
            await producer.discard()
            raise
        return producer

    async def _require_still_ours(self, shard: int) -> None:
        """A shard that failed may have been taken over meanwhile: fencing its new owner in turn would be a tug of war.

        Raises:
            FencedError: somebody else's name is on it.
        """
        if shard not in self._before_us:
            return
        mark = await self.states.last_mark(shard)
        # Our own last transaction may be committed and yet not readable, so the name before ours proves nothing.
        if mark.owner not in {self.owner, self._before_us[shard]}:
            raise FencedError(f"shard {shard} was taken over by another connector ({mark.owner})")

    async def _require_state(self, shard: int, mark: Mark) -> None:
        """Events without state: it was lost, and beginning anew would tell everything a second time, from 1 on.

        Raises:
            ConfigurationError: the shard has events, but its state was never owned by anybody.
        """
        told = await self._told_without_state(shard, mark)
        if told:
            raise ConfigurationError(
                f"{', '.join(told)}: partition {shard} holds events, but {self.options.topic(STATE)} holds no state of "
                "that shard: it was lost or emptied, and beginning anew would tell everything twice. Make it anew from "
                "the events, `zindigi journal rebuild`, or put the newest copy of it back"
            )

    async def lost_state(self, shard: int) -> bool:
        """Has the shard told anything, and remembers nothing of it?

        Raises:
            JournalError: the brokers do not answer.
        """
        return bool(await self._told_without_state(shard, await self.states.last_mark(shard)))

    async def _told_without_state(self, shard: int, mark: Mark) -> list[str]:
        """The topics (full names) that hold events of a shard whose state was never owned by anybody."""
        if mark.owner:
            return []  # every owner writes its name before anything else
        ends = await self.watermarks.high([TopicPartition(self.options.topic(name), shard) for name in EVENT_TOPICS])
        return sorted(partition.topic for partition, end in ends.items() if end)

    async def require_not_behind(self, shard: int, committed_number: int) -> None:
        """Events of a later commit than the state's: the state is an older copy, or has lost its newest records.

        Raises:
            ConfigurationError: going on would tell other events under numbers that were told already.
        """
        told = await EventTails(self.options, self.watermarks, self.patience).newest_commit(shard, self.epoch)
        if told is not None and told.commit_number > committed_number:
            raise ConfigurationError(
                f"{told.topic}: partition {shard} holds events of commit {told.commit_number}, but the state of that "
                f"shard in {self.options.topic(STATE)} is as of commit {committed_number}: it is an older copy, or its "
                "newest records are lost. Put the newest state back, or, if this one is to go on, have consumers told "
                "of it: `zindigi journal new-epoch`"
            )

    async def committed_state(self, shard: int) -> AsyncIterator[StateRecord]:
        """The state of a shard, as of now, for somebody who does not own it.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
        """
        for key, value in (await self.states.read(shard)).values.items():
            yield StateRecord(key.decode(), value)

    async def end_offsets(self) -> Mapping[str, int]:
        """Where every partition of the deployment ends, as `topic/partition`.

        Raises:
            JournalError: the brokers do not answer.
        """
        topics = shard_topics(self.options)
        partitions = [TopicPartition(topic, shard) for topic in topics for shard in range(self.shard_count)]
        ends = await self.watermarks.stable(partitions)
        return {f"{partition.topic}/{partition.partition}": end for partition, end in ends.items()}

    def _link_tail(self, shard: int) -> LinkTail:
        partition = TopicPartition(self.options.topic(LINKS), shard)
        return LinkTail(self.options, self.watermarks, [partition], self.patience)

    def let_go(self, shard: KafkaShard) -> None:
        """A shard is released. One that worked to the end may go to anybody; one that failed is ours until we know."""
        self._held.discard(shard)
        if shard.usable:
            self._before_us.pop(shard.number, None)

    async def close(self) -> None:
        self._closed = True
        while self._held:
            await self._held.pop().release()
        await self.watermarks.close()
