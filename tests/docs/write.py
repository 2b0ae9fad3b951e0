"""Write every document that is made from the code: python -m tests.docs.write (`make documents`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from connector.avro import decode_event, encode_event
from connector.documents.asyncapi import asyncapi
from connector.documents.catalogue import topics
from connector.documents.events_page import events_page
from tests.docs import cli_reference
from tests.golden.examples import examples
from tests.unit.test_avro import plain

ROOT = Path(__file__).parents[2]


def documents() -> Iterator[tuple[Path, str]]:
    """Each document: where it belongs, and what it must be."""
    catalogue = topics()
    shown = {topic.name: in_json(topic.name, list(topic.all_events)) for topic in catalogue}
    yield cli_reference.TARGET, cli_reference.reference()
    yield ROOT / "docs" / "events.md", events_page(catalogue, shown)
    yield ROOT / "schemas" / "asyncapi.yaml", in_yaml(asyncapi(catalogue))
    for topic, events in shown.items():
        yield ROOT / "schemas" / "examples" / f"{topic}.json", json.dumps(events, indent=2, ensure_ascii=False) + "\n"


def in_json(topic: str, event_types: list[str]) -> dict[str, Any]:
    """A topic's examples, as whoever decodes them sees them."""
    events = examples(topic)
    return {name: plain(decode_event(encode_event(topic, events[name]))) for name in event_types}


def in_yaml(document: dict[str, Any]) -> str:
    """Readable YAML, which any JSON is."""
    comment = "# Made from the code by `make documents`; a test holds the two together.\n"
    return comment + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    for path, text in documents():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
