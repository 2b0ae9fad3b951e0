"""The journals under contract, each behind the same few calls. A new one is one class here, one line in the tests."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import anyio

from connector.clock import SystemClock
from connector.journal.kafka.journal import KafkaJournal
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.reader import KafkaReader
from connector.journal.sqlite import SqliteJournal, SqliteReader, SqliteShard
from connector.journal.sqlite_file import transaction
from connector.ports import Commit, Journal, JournalReader
from tests.kafka import breaks

SHARD_COUNT = 3


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


@dataclass(frozen=True)
class SqliteBackend:
    location: str
    name: str = "sqlite"
    refuses_second_owner: bool = True
    one_log: bool = True
    journal_type: type[SqliteJournal] = SqliteJournal

    async def open_journal(self) -> Journal:
        return await self.journal_type.open(Path(self.location), shard_count=SHARD_COUNT)

    async def open_reader(self) -> JournalReader:
        return await SqliteReader.open(Path(self.location), clock=QuickClock(), shard_count=SHARD_COUNT)


@dataclass(frozen=True)
class KafkaBackend:
    """`location` is bootstrap servers and prefix, with a blank between."""

    location: str
    name: str = "kafka"
    refuses_second_owner: bool = False
    one_log: bool = False
    journal_type: type[KafkaJournal] = KafkaJournal
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> KafkaOptions:
        servers, prefix = self.location.split(" ")
        return KafkaOptions(servers, prefix, SHARD_COUNT, replication_factor=1, **self.tuning)

    async def open_journal(self) -> KafkaJournal:
        return await self.journal_type.open(self.options, clock=SystemClock())

    async def open_reader(self) -> JournalReader:
        return await KafkaReader.open(self.options, clock=SystemClock())


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
