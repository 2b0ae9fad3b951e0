"""Commit latency: one commit of a score of changes, at the group commit's pace and back to back, beside bare writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from connector.journal.kafka.options import BATCH_BYTES, MAXIMUM_BATCH_BYTES, KafkaOptions
from connector.journal.kafka.settled import kafka_options
from connector.journal.kafka.topics import STATE
from connector.ports import Commit
from connector.runtime.connector import worker_options
from tests.bench.linked import DOMAIN, Place, connect, opened_edges, worker_of
from tests.bench.measure import percentile
from tests.bench.recording import RecordingJournal, event_bytes, state_bytes
from tests.bench.rig import Rig
from tests.bench.table import Table, figure

CHANGES = 20
PACE_SECONDS = 0.1
"""The default lingering of the group commit."""
WARM_COMMITS = 5
BLOCK = 25
"""Commits back to back before the other's turn."""
CommitOnce = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall milliseconds of single commits, `paced` by the group commit's lingering or `pressed` back to back."""

    journal: str
    what: str
    commit_bytes: int
    paced: list[float]
    pressed: list[float]


async def _typical(parent: Path, base_url: str) -> Commit:
    """The commit that a holder's first `CHANGES` entries made."""
    settings = Place.fresh(parent, None).settings(base_url, linger_seconds=0.0)
    async with opened_edges(settings) as edges:
        await connect(edges, settings, 1)
        recording = RecordingJournal(edges.journal)
        worker = worker_of(replace(edges, journal=recording), worker_options(settings))
        async with worker.opened_by_hand():
            await worker.read_all(worker.linked)
        return next(commit for commit in recording.commits if len(commit.events) > CHANGES)


@asynccontextmanager
async def _journal(place: Place, commit: Commit) -> AsyncIterator[CommitOnce]:
    """The real journal; each commit is the next one."""
    async with opened_edges(place.settings("http://127.0.0.1:1")) as edges:
        shard = await edges.journal.acquire(0)
        number = 0

        async def once() -> None:
            nonlocal number
            number += 1
            await shard.commit(replace(commit, number=number))

        try:
            yield once
        finally:
            await shard.release()


@asynccontextmanager
async def _bare_sqlite(place: Place, commit: Commit) -> AsyncIterator[CommitOnce]:
    """The same keys and values appended to one table, synced, on the event loop's own thread."""
    rows = [(event.key, event.value) for event in commit.events]
    rows += [(record.key, record.value or b"") for record in commit.state]
    connection = sqlite3.connect(place.directory / "bare.db", isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE bare (key TEXT, value BLOB)")

        async def once() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO bare VALUES (?, ?)", rows)
            connection.execute("COMMIT")

        yield once
    finally:
        connection.close()


@asynccontextmanager
async def _bare_kafka(place: Place, commit: Commit) -> AsyncIterator[CommitOnce]:
    """The same records to the same two topics in one transaction of a bare producer."""
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415  only where it is used

    settings = place.settings("http://127.0.0.1:1")
    async with opened_edges(settings):
        options: KafkaOptions = kafka_options(settings)
        producer = AIOKafkaProducer(
            transactional_id=f"{options.prefix}-bare",
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=MAXIMUM_BATCH_BYTES,
            **options.client_arguments(),
        )
        await producer.start()

        async def once() -> None:
            events, state = producer.create_batch(), producer.create_batch()
            for event in commit.events:
                events.append(timestamp=None, key=event.key.encode(), value=event.value, headers=list(event.headers))
            for record in commit.state:
                state.append(timestamp=None, key=record.key.encode(), value=record.value)
            await producer.begin_transaction()
            sent = [
                await producer.send_batch(batch, options.topic(topic), partition=0)
                for batch, topic in ((events, DOMAIN), (state, STATE))
            ]
            for delivery in sent:
                await delivery
            await producer.commit_transaction()

        try:
            yield once
        finally:
            await producer.stop()


async def _timed(once: CommitOnce) -> float:
    begun = time.perf_counter()
    await once()
    return (time.perf_counter() - begun) * 1000


async def _measured(parent: Path, brokers: str | None, base_url: str, paced: int, pressed: int) -> list[Latency]:
    """The journal and the bare transaction, in turn: both meet the same weather."""
    commit = await _typical(parent, base_url)
    size = event_bytes(commit) + state_bytes(commit)
    ours, bare = Place.fresh(parent, brokers), Place.fresh(parent, brokers)
    opened_bare = _bare_sqlite if brokers is None else _bare_kafka
    found = [Latency(ours.journal, what, size, [], []) for what in ("journal", "bare transaction")]
    async with _journal(ours, commit) as first, opened_bare(bare, commit) as second:
        pairs = list(zip(found, (first, second), strict=True))
        for _, once in pairs * WARM_COMMITS:
            await once()
        for latency, once in pairs * paced:
            await anyio.sleep(PACE_SECONDS)
            latency.paced.append(await _timed(once))
        for latency, once in pairs * (pressed // BLOCK):
            latency.pressed.extend([await _timed(once) for _ in range(BLOCK)])
    return found


def run(parent: Path, brokers: str | None, base_url: str, paced: int, pressed: int) -> list[Latency]:
    """The journal and the bare write, in this process."""
    return anyio.run(_measured, parent, brokers, base_url, paced, pressed)


def measure(rig: Rig) -> list[Latency]:
    """Every journal and the bare write beside it."""
    found: list[Latency] = []
    with rig.bank(1, 1, CHANGES) as bank:
        for journal, brokers in rig.journals.items():
            rig.say(f"commit latency, {journal}")
            counts = (rig.scale.commits, rig.scale.commits_back_to_back)
            found += rig.run(run, rig.directory, brokers, bank.base_url, *counts)
    return found


def table(figures: list[Latency]) -> Table:
    """Milliseconds."""

    def percentiles(milliseconds: list[float]) -> tuple[str, str]:
        return figure(percentile(milliseconds, 0.5)), figure(percentile(milliseconds, 0.99))

    first = figures[0]
    return Table(
        f"Commit latency: wall ms of a commit of {CHANGES} entries",
        ("journal", "what", "paced p50", "p99", "back to back p50", "p99"),
        tuple((one.journal, one.what, *percentiles(one.paced), *percentiles(one.pressed)) for one in figures),
        (
            (
                f"{len(first.paced)} commits {PACE_SECONDS} s apart, {len(first.pressed)} back to back, of about "
                f"{first.commit_bytes:,} bytes: events with headers, and sealed state."
            ),
            "The bare transaction writes the same keys and values and promises nothing else.",
        ),
    )
