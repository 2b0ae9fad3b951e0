"""The schemas of a deployment's event topics in a schema registry: which there must be, and registering them.

Subjects are those of the TopicNameStrategy: the full name of the topic, and `-value`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connector.avro.schemas import Datum, schema_store
from connector.errors import ConfigurationError
from connector.journal.registry import FULL_TRANSITIVE, Registration, SchemaRegistry


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the registry, and the event topic's schema as it is sent; `name` is the topic's short name."""

    subject: str
    name: str
    schema: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands: as what its schema is registered (None: not yet), and its level of compatibility."""

    subject: Subject
    registered: Registration | None
    level: str | None

    @property
    def done(self) -> bool:
        """Is there nothing to do?"""
        return self.registered is not None and self.level == FULL_TRANSITIVE


def canonical(schema: Datum) -> str:
    """The one text that is ever sent for a schema: to some registries, white space makes another version."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def subjects(topics: Mapping[str, str]) -> tuple[Subject, ...]:
    """The subjects of event topics, given as short name → full name."""
    events = schema_store().events
    return tuple(Subject(f"{topic}-value", name, canonical(events[name].written)) for name, topic in topics.items())


async def look(registry: SchemaRegistry, wanted: Iterable[Subject]) -> tuple[Standing, ...]:
    """How subjects stand; changes nothing.

    Raises:
        ConfigurationError: a schema is not compatible with what is registered; all that are, a line each.
        ConfigurationError, RetryableError: as `SchemaRegistry`.
    """
    standings, complaints = [], []
    for one in wanted:
        registered = await registry.find(one.subject, one.schema)
        reason = await registry.incompatibility(one.subject, one.schema) if registered is None else None
        if reason is not None:
            complaints.append(
                f"the schema for {one.subject} is not compatible with the versions that are registered at "
                f"{registry.url}: {reason}"
            )
        standings.append(Standing(one, registered, await registry.compatibility(one.subject)))
    if complaints:
        raise ConfigurationError("\n".join(complaints))
    return tuple(standings)


async def register(registry: SchemaRegistry, wanted: Iterable[Subject]) -> tuple[Standing, ...]:
    """Register what is missing, and have every subject held to FULL_TRANSITIVE; how they stood before.

    Nothing is registered while one of them is known to be incompatible.

    Raises: as `look`.
    """
    before = await look(registry, wanted)
    for standing in before:
        one = standing.subject
        # First the level, so that it is this schema that is held to it.
        if standing.level != FULL_TRANSITIVE:
            await registry.set_compatibility(one.subject, FULL_TRANSITIVE)
        if standing.registered is None:
            await registry.register(one.subject, one.schema)
    return before


async def require(registry: SchemaRegistry, wanted: Iterable[Subject]) -> Mapping[str, int]:
    """The id of every subject's schema, by the topic's short name.

    Raises:
        ConfigurationError: schemas are not registered; the message names each, and what registers them.
        ConfigurationError, RetryableError: as `SchemaRegistry`.
    """
    found = {one: await registry.find(one.subject, one.schema) for one in wanted}
    missing = [one.subject for one, registered in found.items() if registered is None]
    if missing:
        raise ConfigurationError(
            f"the schema registry {registry.url} does not have this release's schemas under {', '.join(missing)}: "
            "`zindigi schemas register` registers them"
        )
    return {one.name: registered.schema_id for one, registered in found.items() if registered is not None}
