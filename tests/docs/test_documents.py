"""Documents made from the code: none is stale, and none leaves an event out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from connector.avro import schema_directory
from connector.documents import asyncapi as asyncapi_document
from connector.documents.asyncapi import asyncapi
from connector.documents.catalogue import Topic, topics
from connector.documents.events_page import events_page
from connector.domains.model import EventDoc
from connector.events import cloud_event_headers
from tests.docs.write import ROOT, documents, in_yaml
from tests.golden.examples import examples
from tests.golden.samples import EVENTS

TOPICS = {topic.name: topic for topic in topics()}
EVENT_TYPES = [(topic.name, name) for topic in TOPICS.values() for name in topic.all_events]


def test_every_schema_of_events_is_a_topic_of_the_catalogue() -> None:
    assert set(TOPICS) == {path.stem for path in schema_directory().glob("*.avsc")}


@pytest.mark.parametrize(("topic", "event_type"), EVENT_TYPES)
def test_every_event_says_when_it_comes_and_what_to_do(topic: str, event_type: str) -> None:
    doc = TOPICS[topic].all_events[event_type]
    for text in (doc.when, doc.then):
        assert len(text) >= 15, f"{event_type} says too little"
        assert text[0].isupper(), f"{event_type}: {text!r} is no sentence"
        assert text.endswith("."), f"{event_type}: {text!r} is no sentence"


@pytest.mark.parametrize(("topic", "event_type"), EVENT_TYPES)
def test_every_event_has_an_example(topic: str, event_type: str) -> None:
    example = examples(topic).get(event_type)
    assert example is not None, f"no change in tests/golden/examples.py gives {event_type}"
    assert example.event_type == event_type
    written = json.loads((ROOT / "schemas" / "examples" / f"{topic}.json").read_text(encoding="utf-8"))
    assert written[event_type]["event_type"] == event_type


@pytest.mark.parametrize("topic", TOPICS)
def test_no_example_is_of_an_event_that_is_not_in_the_catalogue(topic: str) -> None:
    assert set(examples(topic)) == set(TOPICS[topic].all_events)


@pytest.mark.parametrize(("path", "text"), list(documents()), ids=lambda one: one.name if isinstance(one, Path) else "")
def test_what_is_made_from_the_code_is_not_stale(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run: make documents"


def test_no_example_is_left_of_a_topic_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "schemas" / "examples").iterdir()} == set(TOPICS)


# ── A change of the code is a change of the documents ───────────────────────────────────────────────────────────────


def _with_another_event(topic: Topic) -> tuple[Topic, ...]:
    added = replace(topic, events={**topic.events, "LoanForgiven": EventDoc("The lender gave up.", "Be glad.")})
    return tuple(added if one.name == topic.name else one for one in TOPICS.values())


def test_an_event_without_an_example_has_no_page() -> None:
    shown = {name: {event: {"op": "c"} for event in topic.all_events} for name, topic in TOPICS.items()}
    events_page(topics(), shown)
    with pytest.raises(KeyError, match="LoanForgiven"):
        events_page(_with_another_event(TOPICS["lending"]), shown)


def test_another_event_makes_another_asyncapi_document() -> None:
    before, after = asyncapi(topics()), asyncapi(_with_another_event(TOPICS["lending"]))
    assert in_yaml(before) != in_yaml(after)
    assert after["components"]["messages"].keys() - before["components"]["messages"].keys() == {"lending.LoanForgiven"}


def test_headers_are_those_that_events_have(monkeypatch: pytest.MonkeyPatch) -> None:
    event = next(iter(EVENTS["lending"].values()))
    headers = asyncapi(topics())["components"]["schemas"]["cloudEvent"]
    assert (
        headers["required"] == list(headers["properties"]) == [name for name, _ in cloud_event_headers(event, "x", 1)]
    )
    monkeypatch.setattr(
        asyncapi_document, "cloud_event_headers", lambda *given: (*cloud_event_headers(*given), ("undocumented", b""))
    )
    with pytest.raises(KeyError, match="undocumented"):
        asyncapi(topics())
