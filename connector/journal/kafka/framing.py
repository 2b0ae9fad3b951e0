"""How the values of events lie in topics: as they are everywhere else, or in Confluent's wire format.

Everywhere else a value is Avro single-object encoded and names its schema by fingerprint. Confluent's format names it
by the id that a schema registry gave it: a zero byte, the id as four bytes, big-endian, and the same Avro binary. The
header is changed here, at the edge, by the fingerprint that the value itself bears, so that an id can never be another
schema's. What is no event (state, links, quarantine) is never framed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Final

from fastavro.schema import SchemaParseException

from connector.avro.schemas import HEADER_BYTES, Codec, schema_store
from connector.errors import DataError
from connector.journal.kafka.options import EVENT_TOPICS, KafkaOptions
from connector.journal.registration import Subject, register, require, subjects
from connector.journal.registry import SchemaRegistry

CONFLUENT_MAGIC: Final = b"\x00"
CONFLUENT_BYTES: Final = 5

Framed = Callable[[bytes], bytes]
"""A single-object encoded value as it lies in its topic."""


def single_object(value: bytes) -> bytes:
    """As it is."""
    return value


def confluent(ids: Mapping[bytes, int]) -> Framed:
    """Confluent's wire format, by the ids of schemas with these fingerprints."""
    headers = {fingerprint: CONFLUENT_MAGIC + struct.pack(">I", number) for fingerprint, number in ids.items()}

    def framed(value: bytes) -> bytes:
        return headers[value[2:HEADER_BYTES]] + value[HEADER_BYTES:]

    return framed


def event_subjects(options: KafkaOptions) -> tuple[Subject, ...]:
    """The subjects of the deployment's event topics."""
    return subjects({name: options.topic(name) for name in EVENT_TOPICS})


async def open_framing(options: KafkaOptions) -> Framed:
    """How this deployment's events are framed. With a registry every schema has its id before anything is written.

    Raises:
        ConfigurationError: schemas are not registered (or, with `auto_register`, incompatible); or the registry
            refuses us.
        RetryableError: the registry is away.
    """
    if options.registry is None:
        return single_object
    wanted = event_subjects(options)
    async with SchemaRegistry(options.registry) as registry:
        if options.registry.auto_register:
            await register(registry, wanted)
        ids = await require(registry, wanted)
    events = schema_store().events
    return confluent({events[name].fingerprint: number for name, number in ids.items()})


class Unframing:
    """Values of events as they are read from topics, back to single-object encoding. Must be closed."""

    def __init__(self, options: KafkaOptions, registry: SchemaRegistry | None = None) -> None:
        self._registry = registry or (SchemaRegistry(options.registry) if options.registry is not None else None)
        self._headers: dict[bytes, bytes] = {}
        """By the frame that it stands for; an id never changes its meaning."""

    async def unframed(self, value: bytes) -> bytes:
        """The value as it was written, single-object encoded.

        Raises:
            DataError: it is framed otherwise than its topic, or the registry does not know its schema.
            ConfigurationError, RetryableError: as `SchemaRegistry`, the first time that an id is met.
        """
        if self._registry is None:
            return value
        frame = value[:CONFLUENT_BYTES]
        header = self._headers.get(frame)
        if header is None:
            header = self._headers[frame] = await self._header(self._registry, frame)
        return header + value[CONFLUENT_BYTES:]

    async def _header(self, registry: SchemaRegistry, frame: bytes) -> bytes:
        if frame[:1] != CONFLUENT_MAGIC or len(frame) < CONFLUENT_BYTES:
            raise DataError("a value is not in Confluent's wire format (it should begin with 00 and a schema's id)")
        [number] = struct.unpack(">I", frame[1:])
        text = await registry.schema(number)
        if text is None:
            raise DataError(f"the schema registry {registry.url} knows no schema with the id {number} of a value")
        try:
            return Codec(json.loads(text)).header
        except (ValueError, LookupError, TypeError, SchemaParseException):
            raise DataError(f"schema {number} of the registry {registry.url} is no schema of an event") from None

    async def close(self) -> None:
        """Release connections."""
        if self._registry is not None:
            await self._registry.close()
