"""Where the raw loops put their events: the journal's own table in SQLite, or a topic, without any guarantee."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from connector.clock import SystemClock
from connector.journal.kafka.options import BATCH_BYTES, MAXIMUM_BATCH_BYTES
from connector.journal.kafka.settled import kafka_options
from connector.journal.kafka.topics import apply_topics
from connector.journal.sqlite_file import connect, create
from connector.journal.sqlite_rows import encode_headers
from connector.runtime.commit_loop import MAXIMUM_EVENTS_PER_COMMIT
from tests.bench.linked import DOMAIN, Place, quiet

RawEvent = tuple[str, bytes, tuple[tuple[str, bytes], ...]]
"""Key, value, headers."""


class Sink(Protocol):
    """Takes encoded events."""

    async def put(self, events: Sequence[RawEvent]) -> None:
        """Take events; they need not be durable yet."""

    async def flush(self) -> None:
        """Have everything durable that was put."""


class SqliteSink:
    """Inserts in transactions as big as the connector's largest, synced as the journal's are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self._offset = 0

    async def put(self, events: Sequence[RawEvent]) -> None:
        for key, value, headers in events:
            self._rows.append((DOMAIN, 0, self._offset, key, value, encode_headers(headers)))
            self._offset += 1
        if len(self._rows) >= MAXIMUM_EVENTS_PER_COMMIT:
            self._write()

    async def flush(self) -> None:
        self._write()

    def _write(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(
            "INSERT INTO events (topic, shard, record_offset, key, value, headers, commit_number) "
            "VALUES (?, ?, ?, ?, ?, ?, 1)",
            self._rows,
        )
        self.connection.execute("COMMIT")
        self._rows.clear()


class KafkaSink:
    """Batches by `create_batch` and `send_batch`, lz4, acknowledged, in no transaction and not idempotent."""

    def __init__(self, producer: Any, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._batch = producer.create_batch()
        self._sent: list[asyncio.Future[Any]] = []
        self._turn = asyncio.Lock()

    async def put(self, events: Sequence[RawEvent]) -> None:
        for key, value, headers in events:
            kept = list(headers)
            if self._batch.append(timestamp=None, key=key.encode(), value=value, headers=kept) is None:
                batch, self._batch = self._batch, self._producer.create_batch()
                self._batch.append(timestamp=None, key=key.encode(), value=value, headers=kept)
                await self._send(batch)

    async def flush(self) -> None:
        if self._batch.record_count():
            await self._send(self._batch)
        await asyncio.gather(*self._sent)

    async def _send(self, batch: Any) -> None:
        # The client takes one batch at a time, and times out those that stand in line for long.
        async with self._turn:
            self._sent.append(await self._producer.send_batch(batch, self._topic, partition=0))


@asynccontextmanager
async def opened_sink(place: Place) -> AsyncIterator[Sink]:
    """A sink at a fresh place."""
    quiet()
    if place.brokers is None:
        path = place.directory / "raw.db"
        create(path, 1)
        connection, _ = connect(path)
        try:
            yield SqliteSink(connection)
        finally:
            connection.close()
        return
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415  only where it is used

    options = kafka_options(place.settings("http://127.0.0.1:1"))
    await apply_topics(options, SystemClock())
    producer = AIOKafkaProducer(
        acks="all",
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAXIMUM_BATCH_BYTES,
        **options.client_arguments(),
    )
    await producer.start()
    try:
        yield KafkaSink(producer, options.topic(DOMAIN))
    finally:
        await producer.stop()
