"""The journals under contract, each behind the same few calls. A new one is one class here, one line in the tests."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from connector.clock import SystemClock
from connector.journal.kafka.journal import KafkaJournal
from connector.journal.kafka.options import EVENT_TOPICS, KafkaOptions
from connector.journal.kafka.reader import KafkaReader
from connector.journal.kafka.topics import LINKS, QUARANTINE, STATE, apply_topics
from connector.journal.sqlite import SqliteJournal, SqliteReader, SqliteShard
from connector.journal.sqlite_file import transaction
from connector.ports import Commit, Journal, JournalReader
from tests.kafka import breaks

SHARD_COUNT = 3
TOPICS = (*EVENT_TOPICS, STATE, LINKS, QUARANTINE)
"""Short names of all that the Kafka journal writes to."""


class QuickClock:
    """Waits a millisecond whatever was asked, so that a reader that follows looks again at once."""

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.001))


class Backend(Protocol):
    """One place that a journal lives in. `location` finds the same place again from another process."""

    name: str
    location: str
    refuses_second_owner: bool
    """True where a second owner is refused while the first lives; False where it fences the first."""
    one_log: bool
    """True where all topics are one log: readers see its order across topics, whole commits, and offsets without gaps.

    False where each topic and shard is a log of its own, with an order and an end of its own.
    """

    async def open_journal(self) -> Journal: ...

    async def open_reader(self) -> JournalReader: ...

    async def quarantined(self) -> list[tuple[str, bytes]]:
        """Every committed quarantine record, oldest first: account id, sealed value."""
        ...

    async def ends(self) -> Mapping[Any, Any]:
        """How far everything that it writes to has come: equal before and after means that nothing was written."""
        ...

    async def remains(self, scratch: Path, *, event_values: bool) -> bytes:
        """All that lies there, committed or not, as it lies there; the values of events only where they are asked for.

        `scratch` is a directory to be made, for whoever needs one.
        """
        ...


@dataclass(frozen=True)
class SqliteBackend:
    location: str
    name: str = "sqlite"
    refuses_second_owner: bool = True
    one_log: bool = True
    journal_type: type[SqliteJournal] = SqliteJournal
    shard_count: int = SHARD_COUNT

    async def open_journal(self) -> Journal:
        return await self.journal_type.open(Path(self.location), shard_count=self.shard_count)

    async def open_reader(self) -> JournalReader:
        return await SqliteReader.open(Path(self.location), clock=QuickClock(), shard_count=self.shard_count)

    async def quarantined(self) -> list[tuple[str, bytes]]:
        connection = sqlite3.connect(f"file:{self.location}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT key, value FROM quarantine ORDER BY rowid").fetchall()
        finally:
            connection.close()

    async def ends(self) -> Mapping[Any, Any]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._files()
            if not path.name.endswith("-shm")
        }

    async def remains(self, scratch: Path, *, event_values: bool) -> bytes:
        if event_values:
            # While everything is still open, so that the write-ahead log is there as it is.
            return b"".join(path.read_bytes() for path in self._files())
        scratch.mkdir()
        for path in self._files():
            shutil.copy(path, scratch / path.name)
        copy = scratch / Path(self.location).name
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            connection.execute("UPDATE events SET value = x''")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return copy.read_bytes()

    def _files(self) -> list[Path]:
        journal = Path(self.location)
        return sorted(journal.parent.glob(f"{journal.name}*"))


@dataclass(frozen=True)
class KafkaBackend:
    """`location` is bootstrap servers and prefix, with a blank between."""

    location: str
    name: str = "kafka"
    refuses_second_owner: bool = False
    one_log: bool = False
    journal_type: type[KafkaJournal] = KafkaJournal
    shard_count: int = SHARD_COUNT
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> KafkaOptions:
        servers, prefix = self.location.split(" ")
        return KafkaOptions(servers, prefix, self.shard_count, replication_factor=1, **self.tuning)

    async def open_journal(self) -> KafkaJournal:
        return await self.journal_type.open(self.options, clock=SystemClock())

    async def open_reader(self) -> JournalReader:
        return await KafkaReader.open(self.options, clock=SystemClock())

    async def quarantined(self) -> list[tuple[str, bytes]]:
        return [(record.key.decode(), record.value) for record in await self.records(QUARANTINE, committed=True)]

    async def ends(self) -> Mapping[Any, Any]:
        async with self._consumer(committed=False) as consumer:
            return dict(await consumer.end_offsets(await self._assign(consumer, TOPICS)))

    async def remains(self, scratch: Path, *, event_values: bool) -> bytes:
        del scratch
        raw = b""
        for name in TOPICS:
            for record in await self.records(name, committed=False):
                raw += record.key + repr(record.headers).encode() + b"\n"
                if event_values or name not in EVENT_TOPICS:
                    raw += (record.value or b"") + b"\n"
        return raw

    async def records(self, *names: str, committed: bool) -> list[ConsumerRecord]:
        """What is in topics (short names), oldest first in each partition; also what was never committed, if asked."""
        found: list[ConsumerRecord] = []
        async with self._consumer(committed=committed) as consumer:
            partitions = await self._assign(consumer, names)
            ends = await consumer.end_offsets(partitions)
            while [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    found += records
        return found

    @asynccontextmanager
    async def _consumer(self, *, committed: bool) -> AsyncIterator[AIOKafkaConsumer]:
        """A plain consumer, with nothing of the journal's in it."""
        isolation = "read_committed" if committed else "read_uncommitted"
        consumer = AIOKafkaConsumer(isolation_level=isolation, **self.options.client_arguments())
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def _assign(self, consumer: AIOKafkaConsumer, names: Collection[str]) -> list[TopicPartition]:
        partitions = [
            TopicPartition(self.options.topic(name), shard) for name in names for shard in range(self.shard_count)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        return partitions


class _StateFirstShard(SqliteShard):
    """Broken on purpose: state, then events, in two transactions."""

    def write(self, connection: sqlite3.Connection, commit: Commit) -> None:
        with transaction(connection):
            self.require_turn(connection, commit)
            self.write_state(connection, commit)
        with transaction(connection):
            self.write_events(connection, commit)


class _EventsFirstShard(SqliteShard):
    """Broken on purpose: events, then state, in two transactions."""

    def write(self, connection: sqlite3.Connection, commit: Commit) -> None:
        with transaction(connection):
            self.write_events(connection, commit)
        with transaction(connection):
            self.require_turn(connection, commit)
            self.write_state(connection, commit)


class StateFirstJournal(SqliteJournal):
    shard_type = _StateFirstShard


class EventsFirstJournal(SqliteJournal):
    shard_type = _EventsFirstShard


async def fresh_kafka(bootstrap_servers: str, **more: Any) -> KafkaBackend:
    """Topics of its own on a broker, made as `zindigi topics apply` makes them; `more` are fields of the backend."""
    backend = KafkaBackend(f"{bootstrap_servers} test-{secrets.token_hex(4)}", **more)
    await apply_topics(backend.options, SystemClock())
    return backend


def backend_named(name: str, location: str) -> Backend:
    """The backend of a name, at a place: how a subprocess finds what its parent tests."""
    return {
        "sqlite": SqliteBackend(location),
        "kafka": KafkaBackend(location),
        "kafka-unfenced": KafkaBackend(location, "kafka-unfenced", journal_type=breaks.UnfencedJournal),
        "kafka-plain": KafkaBackend(location, "kafka-plain", journal_type=breaks.PlainJournal),
        "sqlite-state-first": SqliteBackend(location, "sqlite-state-first", journal_type=StateFirstJournal),
        "sqlite-events-first": SqliteBackend(location, "sqlite-events-first", journal_type=EventsFirstJournal),
    }[name]
