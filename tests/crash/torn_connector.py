"""`zindigi` with its commit broken on purpose: two transactions and now and then death between them, or events lost.

Negative control: with this in place of the real one the oracle must find what is wrong. TORN says how it is broken:
which half comes first, or `lossy`. TORN_SEED says when.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import anyio

from connector.avro import decode_event
from connector.cli.main import execute
from connector.journal.kafka.journal import KafkaJournal, KafkaShard
from connector.journal.kafka.options import EVENT_TOPICS
from connector.journal.kafka.producer import Outgoing
from connector.journal.kafka.settled import kafka_options
from connector.journal.sqlite import SqliteJournal, SqliteShard
from connector.journal.sqlite_file import transaction
from connector.master_key import read_master_key
from connector.ports import Clock, Commit, EventRecord, Journal
from connector.runtime.connector import run_connector
from connector.settings import Settings, load_settings

DEATH_PROBABILITY = 0.3
LOSS_PROBABILITY = 0.1
_RANDOM = Random(os.environ.get("TORN_SEED", ""))


def _die_sometimes(commit: Commit) -> None:
    """Only where both halves hold something that the bank said: checkpoints would hide the damage."""
    if any(event.topic != "lifecycle" for event in commit.events) and _RANDOM.random() < DEATH_PROBABILITY:
        os.kill(os.getpid(), signal.SIGKILL)


class StateFirstShard(SqliteShard):
    def write(self, connection: sqlite3.Connection, commit: Commit) -> None:
        with transaction(connection):
            self.require_turn(connection, commit)
            self.write_state(connection, commit)
        _die_sometimes(commit)
        with transaction(connection):
            self.write_events(connection, commit)


class EventsFirstShard(SqliteShard):
    def write(self, connection: sqlite3.Connection, commit: Commit) -> None:
        with transaction(connection):
            self.write_events(connection, commit)
        _die_sometimes(commit)
        with transaction(connection):
            self.require_turn(connection, commit)
            self.write_state(connection, commit)


class StateFirstJournal(SqliteJournal):
    shard_type = StateFirstShard


class EventsFirstJournal(SqliteJournal):
    shard_type = EventsFirstShard


class LossyShard(SqliteShard):
    """Now and then an event of a commit is not written, without a word."""

    def write_events(self, connection: sqlite3.Connection, commit: Commit) -> None:
        def kept(event: EventRecord) -> bool:
            return decode_event(event.value)["op"] == "s" or _RANDOM.random() > LOSS_PROBABILITY

        super().write_events(connection, replace(commit, events=tuple(filter(kept, commit.events))))


class LossyJournal(SqliteJournal):
    shard_type = LossyShard


JOURNALS = {"state-first": StateFirstJournal, "events-first": EventsFirstJournal, "lossy": LossyJournal}


class TornShard(KafkaShard):
    """What would be one transaction is two; TORN says which half is the first."""

    async def commit(self, commit: Commit) -> None:
        producer, whole = self._producer, self._producer.transact

        async def torn(records: Sequence[Outgoing]) -> None:
            told = {self._journal.options.topic(name) for name in EVENT_TOPICS}
            halves = [[one for one in records if (one.topic in told) is events] for events in (True, False)]
            first, second = reversed(halves) if os.environ["TORN"] == "state-first" else halves
            for half in (first, second):
                if half:
                    await whole(half)
                if half is first:
                    _die_sometimes(commit)

        producer.transact = torn  # type: ignore[method-assign]
        try:
            await super().commit(commit)
        finally:
            producer.transact = whole  # type: ignore[method-assign]


class TornJournal(KafkaJournal):
    shard_type = TornShard


async def open_torn(settings: Settings, clock: Clock) -> Journal:
    if settings.journal.kind == "kafka":
        return await TornJournal.open(kafka_options(settings), clock=clock)
    journal_type = JOURNALS[os.environ["TORN"]]
    return await journal_type.open(settings.journal.path, shard_count=settings.journal.shard_count)


def main(arguments: list[str]) -> int:
    if arguments[0] != "run":
        return execute(arguments)
    effective = load_settings(Path(arguments[arguments.index("--config") + 1]))
    settings = effective.settings
    key = read_master_key(settings, effective.sources)
    anyio.run(partial(run_connector, settings, key, open_torn))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
