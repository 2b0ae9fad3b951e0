"""`schemas/asyncapi.yaml`: what is emitted, as AsyncAPI 3.0.

A channel for every topic, a message for every type of event; the payload is the topic's Avro schema, by reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from connector import __version__
from connector.documents.catalogue import Topic
from connector.domains.model import EPOCH, EventDoc
from connector.events import Event, Provenance, cloud_event_headers

AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
"""The format of the payloads. 1.9.0 is what AsyncAPI calls Avro's present schema language."""

_KAFKA_BINDING: Final = "0.5.0"
_HEADERS: Final = {
    "ce_specversion": "Version of CloudEvents.",
    "ce_id": "Identity of the change; event_id of the value. The same change has the same id on every retry.",
    "ce_type": "pk.zindigi, topic, event type and version, with dots.",
    "ce_source": "The route and backend that were read.",
    "ce_subject": "account_id and topic: the stream, within which `sequence` counts.",
    "ce_time": "Instant at which the answer that shows the change was received, as RFC 3339 in UTC; observed_at.",
    "content-type": "What the value is.",
    "sequence": "Gapless number of the event in its stream, from 1, as decimal digits.",
    "commit": "Number of the shard's commit that it came with, as decimal digits.",
    "epoch": "Branch of the journal, 16 hex digits.",
}
_EVENT: Final = Event(
    "", "", "", "", "", 1, 1, "", None, None, EPOCH, "", Provenance("route", "backend", "", "", "")
)  # fmt: skip
_DESCRIPTION: Final = """\
Changes of what Zindigi holds for an account, each once, in the order in which they were observed.

Values are Avro single-object encoding: `c3 01`, 8 bytes of the CRC-64-AVRO fingerprint of the schema that wrote the
datum, the datum. Read with `isolation.level=read_committed`: it is part of the contract. What to do with each event is
in docs/events.md.
"""


def asyncapi(topics: Sequence[Topic]) -> dict[str, Any]:
    """The document, as JSON has it; references to schemas are relative to `schemas/`."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Zindigi connector",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/avro",
        "servers": {"kafka": _server()},
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {_operation_name(topic): _operation(topic) for topic in topics},
        "components": {
            "messages": {
                _message_name(topic, name): _message(topic, name, doc)
                for topic in topics
                for name, doc in topic.all_events.items()
            },
            "messageTraits": {"event": _trait()},
            "schemas": {"cloudEvent": _headers()},
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "The brokers that journal.kind = kafka writes to.",
        "variables": {
            "bootstrap": {"default": "127.0.0.1:9092", "description": "Address of a broker (kafka.bootstrap_servers)."}
        },
        "bindings": {"kafka": {"bindingVersion": _KAFKA_BINDING}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": f"{{prefix}}.{topic.name}",
        "title": topic.name,
        "description": topic.doc,
        "servers": [{"$ref": "#/servers/kafka"}],
        "parameters": {
            "prefix": {"default": "zindigi", "description": "What every topic's name begins with (kafka.prefix)."}
        },
        "messages": {
            name: {"$ref": f"#/components/messages/{_message_name(topic, name)}"} for name in topic.all_events
        },
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["delete"]}, "bindingVersion": _KAFKA_BINDING}},
    }


def _operation_name(topic: Topic) -> str:
    return f"send{topic.name.capitalize()}"


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "title": f"Send {topic.name}",
        "summary": f"Tell of every change in {topic.name}, in one transaction with the state that it follows from.",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in topic.all_events],
        "bindings": {"kafka": {"bindingVersion": _KAFKA_BINDING}},
    }


def _message_name(topic: Topic, event_type: str) -> str:
    return f"{topic.name}.{event_type}"


def _message(topic: Topic, event_type: str, doc: EventDoc) -> dict[str, Any]:
    ce_type = dict(cloud_event_headers(replace(_EVENT, event_type=event_type), topic.name, 1))["ce_type"].decode()
    return {
        "name": event_type,
        "title": ce_type,
        "summary": doc.when,
        "description": doc.then,
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/cloudEvent"},
                {"type": "object", "properties": {"ce_type": {"const": ce_type}}},
            ]
        },
        "payload": {"schemaFormat": AVRO, "schema": {"$ref": f"avro/{topic.name}.avsc"}},
    }


def _trait() -> dict[str, Any]:
    key = {
        "type": "string",
        "description": "account_id: opaque, one linked login. Checkpoints have shard/<number> instead.",
    }
    return {
        "contentType": dict(cloud_event_headers(_EVENT, "", 1))["content-type"].decode(),
        "bindings": {"kafka": {"key": key, "bindingVersion": _KAFKA_BINDING}},
    }


def _headers() -> dict[str, Any]:
    """CloudEvents 1.0 in the Kafka protocol binding's binary mode; which there are, the code says."""
    names = [name for name, _ in cloud_event_headers(_EVENT, "", 1)]
    return {
        "type": "object",
        "description": "Headers of CloudEvents 1.0 (Kafka protocol binding, binary mode), and three more; UTF-8 text.",
        "required": names,
        "properties": {name: {"type": "string", "description": _HEADERS[name]} for name in names},
    }
