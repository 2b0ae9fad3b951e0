"""One transactional producer: starting it fences whoever had its id; a transaction is all or nothing, or unknown.

After anything but a plain success the producer is discarded, never aborted and used again: only a new one of the same
id, and what is then read back, can tell what became of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed
from aiokafka.protocol.transaction import EndTxnRequest

from connector.errors import FencedError, JournalError
from connector.journal.kafka.connections import end_connections, start_client, watch_connections
from connector.journal.kafka.failures import CLIENT_ERRORS, end_task, failing, finish, is_fence, said
from connector.journal.kafka.options import BATCH_BYTES, MAXIMUM_BATCH_BYTES, KafkaOptions

STOP_SECONDS: Final = 1.0
RECORDS_BEFORE_RECYCLING: Final = 1 << 30
"""Half of the sequence numbers that a producer has for a partition; a new one begins again at 0."""
_OVERHEAD_BYTES: Final = 200
"""Above what framing a batch and one record takes, key and headers aside."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record on its way to `topic` (full name); a value of None is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size(self) -> int:
        """An upper bound of the bytes that it takes as a batch of its own."""
        headers = sum(len(name) * 4 + len(value) + 10 for name, value in self.headers)
        return len(self.key) + len(self.value or b"") + headers + _OVERHEAD_BYTES


class TransactionalProducer:
    """The producer of one shard. Made by `start`, which fences whoever had the same transactional id."""

    def __init__(self, options: KafkaOptions, shard: int) -> None:
        self.shard = shard
        self._options = options
        self._records = 0
        self._ends_sent = 0
        self._discarded = False
        with failing("the Kafka client cannot be set up"):
            self.client = AIOKafkaProducer(
                transactional_id=options.transactional_id(shard),
                transaction_timeout_ms=int(options.transaction_timeout_seconds * 1000),
                compression_type=None if options.compression == "none" else options.compression,
                max_batch_size=BATCH_BYTES,
                max_request_size=MAXIMUM_BATCH_BYTES,
                **options.client_arguments(),
            )
        watch_connections(self.client.client)
        # The client forgets a batch twice when it fails while it waits to be sent again, and stumbles over that.
        self.client._message_accumulator._pending_batches = _Forgiving()
        self._count_ends()

    @classmethod
    async def start(cls, options: KafkaOptions, shard: int, topics: Iterable[str]) -> TransactionalProducer:
        """Fence whoever owned `shard`, and learn where `topics` (full names) are.

        Raises:
            JournalError: the brokers do not answer in time.
        """
        producer = cls(options, shard)
        try:
            with failing(f"shard {shard} cannot be fenced"), anyio.fail_after(options.start_timeout_seconds):
                await start_client(producer.client, producer.client.client)
                for topic in topics:
                    await producer.client.partitions_for(topic)
        except BaseException:
            await producer.discard()
            raise
        return producer

    def _count_ends(self) -> None:
        """Count the requests that end a transaction: the client sends them again by itself, and does not say so."""
        client = self.client.client
        send = client.send

        async def counting(node_id: Any, request: Any, **keywords: Any) -> Any:  # noqa: ANN401  # the client's own
            if isinstance(request, EndTxnRequest):
                self._ends_sent += 1
            return await send(node_id, request, **keywords)

        client.send = counting

    @property
    def spent(self) -> str | None:
        """Why no further transaction may use this producer, though the last one succeeded; None while it may."""
        if self._ends_sent > 1:
            # The copy that is still on its way would end the *next* transaction, half done.
            return "the end of its last transaction was sent more than once"
        if self._records > RECORDS_BEFORE_RECYCLING:
            return "its sequence numbers run out"
        return None

    async def transact(self, records: Sequence[Outgoing]) -> None:
        """Write `records` to this shard's partitions in one transaction.

        Raises:
            FencedError: another owner took over; nothing of it is visible. The producer is discarded.
            JournalError: the outcome is unknown, or (a record too large) nothing was sent. Discarded, too.
        """
        try:
            first, rest = self._batches(records)
            with anyio.fail_after(self._options.commit_timeout_seconds):
                await self._write(first, rest)
        except CLIENT_ERRORS as error:
            fenced = is_fence(error) or self._was_fenced()
            await self.discard()
            if fenced:
                raise FencedError(f"shard {self.shard} was taken over by another connector") from error
            raise JournalError(f"a transaction of shard {self.shard} has no known outcome: {said(error)}") from error
        except BaseException:
            await self.discard()
            raise
        self._records += len(records)

    async def _write(self, first: list[tuple[str, Any]], rest: list[tuple[str, Any]]) -> None:
        self._ends_sent = 0
        await self.client.begin_transaction()
        sent = []
        # Without a pause between them, all partitions join the transaction in one request. The second batch of a
        # partition waits until the first is on its way, so it comes after the first ones of all.
        for topic, batch in (*first, *rest):
            delivery = await self.client.send_batch(batch, topic, partition=self.shard)
            delivery.add_done_callback(_look_at)
            sent.append(delivery)
        await self._all_delivered(sent)
        await self.client.commit_transaction()

    async def _all_delivered(self, sent: Sequence[Any]) -> None:
        """Wait for every batch: the client would commit a transaction that one of them is missing from."""
        for delivery in sent:
            await delivery

    def _batches(self, records: Sequence[Outgoing]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
        """The first batch of each topic, and all further ones, in order.

        Raises:
            JournalError: a record is larger than a batch may be.
        """
        batches: dict[str, list[Any]] = {}
        for record in records:
            if record.size > MAXIMUM_BATCH_BYTES:
                raise JournalError(f"a record of {record.size} bytes is above the limit of {MAXIMUM_BATCH_BYTES}")
            of_topic = batches.setdefault(record.topic, [])
            if not of_topic or not _append(of_topic[-1], record):
                of_topic.append(self.client.create_batch())
                _append(of_topic[-1], record)
        first = [(topic, of_topic[0]) for topic, of_topic in batches.items()]
        rest = [(topic, batch) for topic, of_topic in batches.items() for batch in of_topic[1:]]
        return first, rest

    def _was_fenced(self) -> bool:
        sender = self.client._sender.sender_task  # only there does the client keep what ended it
        return sender is not None and sender.done() and not sender.cancelled() and is_fence(sender.exception())

    async def discard(self) -> None:
        """End the producer so that nothing of it can be delivered later. Bounded in time; never raises.

        A stop that timed out leaves a sender alive, which goes on when the brokers are back: it is cancelled, and its
        connections are closed under it.
        """
        if self._discarded:
            return
        self._discarded = True
        if not await finish(self.client.stop(), STOP_SECONDS):
            await end_task(self.client._sender.sender_task)  # there is no public way
            self.client._message_accumulator.fail_all(ProducerClosed())  # frees whoever waits for one
            await finish(self.client.client.close(), STOP_SECONDS)
        end_connections(self.client.client)
        self._look_at_failures()

    def _look_at_failures(self) -> None:
        """Mark as seen what failed within the client: asyncio would report each as an error that nobody looked at."""
        manager = self.client._txn_manager
        waiting = [manager._transaction_waiter]
        for batches in self.client._message_accumulator._batches.values():
            waiting += [future for batch in batches for future in (batch.future, batch._drain_waiter)]
        for future in waiting:
            if future is not None and future.done():
                _look_at(future)


class _Forgiving(set[Any]):
    """A set that does not mind when what is removed is not there."""

    def remove(self, element: Any, /) -> None:  # noqa: ANN401  # a batch of the client's
        self.discard(element)


def _append(batch: Any, record: Outgoing) -> bool:  # noqa: ANN401  # the client's batch builder
    added = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return added is not None


def _look_at(delivery: Any) -> None:  # noqa: ANN401  # a future of the client's
    """Marks a failure as seen, also where another one was met first."""
    if not delivery.cancelled():
        delivery.exception()
