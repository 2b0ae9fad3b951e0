"""Following partitions of the `links` topic: whoever asks gets everything that is committed by then."""

from __future__ import annotations

from collections.abc import Collection

import anyio
from aiokafka import AIOKafkaConsumer, TopicPartition

from connector.errors import JournalError
from connector.journal.kafka.link_table import LinkTable
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)


class LinkTail:
    """A table of links and commands that can be brought up to date as often as wanted."""

    def __init__(
        self, options: KafkaOptions, watermarks: Watermarks, partitions: Collection[TopicPartition], patience: Patience
    ) -> None:
        self._options = options
        self._watermarks = watermarks
        self._partitions = tuple(partitions)
        self._patience = patience
        self._table = LinkTable()
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = anyio.Lock()
        self._closed = False

    async def table(self) -> LinkTable:
        """The table, with everything that was committed before the call.

        Raises:
            JournalError: the brokers do not answer, or a transaction hangs.
        """
        async with self._turn:
            if self._closed:
                raise JournalError("the journal is closed")
            whole = False
            try:
                await self._catch_up()
                whole = True
            finally:
                if not whole:
                    # Whatever it missed must not be missed for ever: the next call begins anew.
                    await self._forget()
            return self._table

    async def _catch_up(self) -> None:
        ends = await self._watermarks.high(self._partitions)
        if self._consumer is None:
            self._table = LinkTable()
            self._consumer = await start_consumer(self._options, committed=True)
            seek(self._consumer, await self._watermarks.beginning(self._partitions))
        async for records in rounds_up_to(self._consumer, ends, self._patience):
            for of_partition in records.values():
                for record in of_partition:
                    self._table.take(record.key, record.value)

    async def _forget(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def close(self) -> None:
        """Release the connection. Never raises."""
        self._closed = True
        await self._forget()
