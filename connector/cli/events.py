"""`zindigi events`: the journal's events, a line each."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

import anyio
from cyclopts import Parameter

from connector.avro import decode_event
from connector.cli.commanding import find_link
from connector.cli.event_choice import ChoiceFlags, EventChoice, known
from connector.cli.event_line import as_line
from connector.cli.exits import UsageError
from connector.cli.link_status import known_links
from connector.cli.screen import console, show_json
from connector.cli.settings_flags import SettingsFlags, reading
from connector.clock import SystemClock
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.ports import JournalReader, StoredEvent

TOPICS: Final = (*DOMAINS, LIFECYCLE)
Show = Callable[[StoredEvent, Mapping[str, Any]], None]


def events(
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    account: str | None = None,
    domain: Annotated[list[str] | None, Parameter(negative="")] = None,
    tail: int | None = None,
    limit: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    raw: Annotated[bool, Parameter(negative="")] = False,
    which: ChoiceFlags | None = None,
    flags: SettingsFlags | None = None,
) -> None:
    """Show committed events, oldest first.

    A line is when the entry happened in Pakistan's calendar (~ when it was seen,
    where the bank states neither), whose link it is, what, whom, and how much.
    Works while the connector runs.

    Args:
        follow: Wait for what comes from now on; Ctrl-C ends it. With --since or --tail also what was before.
        account: Only of this account: its id, the beginning of it, or its label.
        domain: Only of this domain: one of those that links cover, or lifecycle. May be given again.
        tail: Only the last so many.
        limit: End after so many.
        json: The whole event as one JSON object a line. Amounts are strings.
        raw: Topic, a tab, and the value's bytes in hex: what examples/ decode with schemas/ alone. Checkpoints, too.
        which: Which of them.
        flags: Where settings come from.
    """
    if json and raw:
        raise UsageError("--json and --raw: one of them")
    settings = (flags or SettingsFlags()).load().settings
    topics = tuple(known("domain", domain, TOPICS)) or TOPICS
    choice = (which or ChoiceFlags()).choice(SystemClock().now())
    if raw:
        # For programs, which may want to see that no sequence is missing.
        choice = replace(choice, checkpoints=True)
    tailing, ending = _count("tail", tail), _count("limit", limit)

    async def showing() -> None:
        async with reading(settings) as reader:
            links = await known_links(reader)
            key = find_link(links, account).account_id if account is not None else None
            show = _raw if raw else _json if json else _line(links)
            shown = 0
            async for event, told in _chosen(reader, topics, key, choice, tail=tailing, follow=follow):
                show(event, told)
                shown += 1
                if shown == ending:
                    return

    if ending != 0:
        anyio.run(showing)


async def _chosen(
    reader: JournalReader,
    topics: tuple[str, ...],
    key: str | None,
    choice: EventChoice,
    *,
    tail: int | None,
    follow: bool,
) -> AsyncIterator[tuple[StoredEvent, Mapping[str, Any]]]:
    """What is to be shown, each with its value decoded."""
    seen: dict[tuple[str, int], int] = {}
    if tail is not None:
        last: deque[tuple[StoredEvent, Mapping[str, Any]]] = deque(maxlen=tail)
        async for event in reader.read_events(topics, key=key):
            seen[event.topic, event.shard] = event.offset
            told = decode_event(event.value)
            if choice.wants(told):
                last.append((event, told))
        for one in last:
            yield one
        if not follow:
            return
    from_end = follow and tail is None and choice.since is None
    async for event in reader.read_events(topics, key=key, follow=follow, from_end=from_end):
        if event.offset <= seen.get((event.topic, event.shard), -1):
            continue
        told = decode_event(event.value)
        if choice.wants(told):
            yield event, told


def _count(option: str, given: int | None) -> int | None:
    if given is not None and given < 0:
        raise UsageError(f"--{option} {given}: it must be 0 or more")
    return given


def _raw(event: StoredEvent, _told: Mapping[str, Any]) -> None:
    print(f"{event.topic}\t{event.value.hex()}", flush=True)


def _json(event: StoredEvent, _told: Mapping[str, Any]) -> None:
    show_json(as_json(event))


def _line(links: Mapping[str, Link]) -> Show:
    screen = console()

    def line(event: StoredEvent, told: Mapping[str, Any]) -> None:
        link = links.get(event.key)
        # In a pipe nothing is cut off.
        width = screen.width if screen.is_terminal else None
        label = link.label if link is not None else ""
        screen.print(as_line(event, told, label=label, width=width), soft_wrap=True)

    return line


def as_json(event: StoredEvent) -> dict[str, Any]:
    """Everything that there is about an event."""
    return {
        "topic": event.topic,
        "shard": event.shard,
        "offset": event.offset,
        "key": event.key,
        "headers": {name: value.decode(errors="replace") for name, value in event.headers},
        **decode_event(event.value),
    }
