"""Which journal the settings name, and opening it. The Kafka client is loaded only where it is named."""

from __future__ import annotations

from connector.errors import ConfigurationError
from connector.journal.sqlite import SqliteJournal, SqliteReader
from connector.ports import Clock, Journal, JournalReader
from connector.settings import Settings


async def open_journal(settings: Settings, clock: Clock) -> Journal:
    """The journal to write, as set.

    Raises:
        ConfigurationError: it cannot be used, or is not what the settings say.
        JournalError: it is away.
        RetryableError: its schema registry is away.
    """
    if settings.journal.kind == "kafka":
        from connector.journal.kafka.journal import KafkaJournal
        from connector.journal.kafka.settled import kafka_options

        return await KafkaJournal.open(kafka_options(settings), clock=clock)
    _require_single_object(settings)
    return await SqliteJournal.open(settings.journal.path, shard_count=settings.journal.shard_count)


async def open_reader(settings: Settings, clock: Clock, *, make: bool = False) -> JournalReader:
    """The journal to read, as set; with `make` an embedded one is made where there is none.

    Raises:
        ConfigurationError: there is none, or it cannot be used.
        JournalError: it is away.
    """
    if settings.journal.kind == "kafka":
        from connector.journal.kafka.reader import KafkaReader
        from connector.journal.kafka.settled import kafka_options

        return await KafkaReader.open(kafka_options(settings), clock=clock)
    _require_single_object(settings)
    shard_count = settings.journal.shard_count if make else None
    return await SqliteReader.open(settings.journal.path, clock=clock, shard_count=shard_count)


def _require_single_object(settings: Settings) -> None:
    """The embedded journal is one file that needs nothing beside it, least of all a registry to read it by."""
    if settings.journal.framing != "single-object":
        raise ConfigurationError(
            f"journal.framing = {settings.journal.framing} is for the topics of journal.kind = kafka; the embedded "
            "journal frames its events as single-object always: leave journal.framing out"
        )
