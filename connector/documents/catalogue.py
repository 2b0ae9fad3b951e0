"""The catalogue: every topic of events, every type of event in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.avro import schema_store
from connector.domains import lifecycle
from connector.domains.model import Domain, EventDoc
from connector.domains.registry import DOMAINS
from connector.domains.stream_events import STREAM_EVENT_TYPES


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: what its schema says of it, the events that are its own, and those that every domain's stream has."""

    name: str
    doc: str
    events: Mapping[str, EventDoc]
    stream_events: Mapping[str, EventDoc]

    @property
    def all_events(self) -> dict[str, EventDoc]:
        """Every event of the topic, its own first."""
        return {**self.events, **self.stream_events}


def topics(domains: Mapping[str, Domain] = DOMAINS) -> tuple[Topic, ...]:
    """Every domain's topic in the order of registration, then lifecycle's."""
    of_domains = [_topic(domain.name, domain.event_types, STREAM_EVENT_TYPES) for domain in domains.values()]
    return (*of_domains, _topic(lifecycle.NAME, lifecycle.EVENT_TYPES, {}))


def _topic(name: str, events: Mapping[str, EventDoc], stream_events: Mapping[str, EventDoc]) -> Topic:
    return Topic(name, schema_store().events[name].written["doc"], events, stream_events)
