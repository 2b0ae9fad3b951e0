"""`docs/events.md`: each event with when it is emitted, an example, and what a consumer should do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from connector.documents.catalogue import Topic
from connector.domains.model import EventDoc

Examples = Mapping[str, Mapping[str, Any]]
"""Topic → event type → the event as JSON has it."""

_INTRODUCTION: Final = """\
# Events

Made from the code by `make documents`; a test holds the two together.

Each value is the envelope of its topic's schema in [`schemas/avro/`](../schemas/avro), which has a word on every field.
Fold on (`account_id`, `resource`, `entity_id`): with op `c`, `u` and `r` keep `after`, with `d` delete, with `s` keep
what you have. Skip an `event_id` that you have seen, unless its op is `r`. `sequence` counts every event of a stream
(`account_id`, topic) without a gap.

Amounts are decimals, times instants in UTC, dates have no time. In the examples fields that are null are left out; they
are whole in [`schemas/examples/`](../schemas/examples). Everybody in them is invented.
"""
_OF_EVERY_STREAM: Final = """
## Of every domain's stream

These tell of the stream itself (op `s`): they count in `sequence`, change no entity, and have neither `before` nor
`after`. The examples are of `{topic}`; those of the other domains differ in `source` and ids alone.
"""


def events_page(topics: Sequence[Topic], examples: Examples) -> str:
    """The whole page.

    Raises:
        KeyError: an event has no example.
    """
    return "".join(_parts(topics, examples))


def _parts(topics: Sequence[Topic], examples: Examples) -> Iterator[str]:
    yield _INTRODUCTION
    for topic in topics:
        yield f"\n## {topic.name}\n\nTopic `<prefix>.{topic.name}`. {topic.doc}\n"
        for name, doc in topic.events.items():
            yield _event(name, doc, examples[topic.name][name])
    first = next(topic for topic in topics if topic.stream_events)
    yield _OF_EVERY_STREAM.format(topic=first.name)
    for name, doc in first.stream_events.items():
        yield _event(name, doc, examples[first.name][name])


def _event(name: str, doc: EventDoc, example: Any) -> str:  # noqa: ANN401  # JSON
    shown = json.dumps(_without_nulls(example), indent=2, ensure_ascii=False)
    return f"\n### {name}\n\n**When.** {doc.when}\n\n**What to do.** {doc.then}\n\n```json\n{shown}\n```\n"


def _without_nulls(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
