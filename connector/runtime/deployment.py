"""Deployment: a Kafka journal, its reader and its vault, for what concerns all of it: verifying and rebuilding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connector.journal.kafka.journal import KafkaJournal
from connector.journal.kafka.reader import KafkaReader
from connector.journal.kafka.settled import kafka_options
from connector.journal.partition import shard_of
from connector.links import Link
from connector.ports import Clock, JournalReader, Vault
from connector.settings import Settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Kafka journal with its vault, opened to be looked through as a whole."""

    journal: KafkaJournal
    reader: JournalReader
    vault: Vault
    clock: Clock

    async def links(self, shard: int) -> dict[str, Link]:
        """The links of a shard, by account id.

        Raises:
            JournalError: the brokers do not answer.
        """
        links = await self.reader.links()
        return {name: link for name, link in links.items() if shard_of(name, self.journal.shard_count) == shard}


@asynccontextmanager
async def deployment_of(settings: Settings, vault: Vault, clock: Clock) -> AsyncIterator[Deployment]:
    """The topics that the settings name, opened.

    Raises:
        ConfigurationError, JournalError: they cannot be used, or are away.
    """
    options = kafka_options(settings)
    journal = await KafkaJournal.open(options, clock=clock)
    try:
        reader = await KafkaReader.open(options, clock=clock)
        try:
            yield Deployment(journal, reader, vault, clock)
        finally:
            await reader.close()
    finally:
        await journal.close()
