"""`zindigi events`: the journal's events, a line each."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Final

import anyio
from cyclopts import Parameter

from connector.avro import decode_event
from connector.cli.commanding import find_link, require_known
from connector.cli.event_choice import ChoiceFlags, EventChoice
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


class _Event:
    """A stored event, decoded when somebody asks and once."""

    def __init__(self, stored: StoredEvent) -> None:
        self.stored = stored

    @cached_property
    def told(self) -> Mapping[str, Any]:
        """The envelope and what is in it."""
        return decode_event(self.stored.value)


Show = Callable[[_Event], None]


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
    require_known("domain", domain or (), TOPICS)
    topics = tuple(domain or TOPICS)
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
            async for event in _chosen(reader, topics, key, choice, tail=tailing, follow=follow):
                show(event)
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
) -> AsyncIterator[_Event]:
    """What is to be shown."""

    async def chosen(*, follow: bool, from_end: bool) -> AsyncIterator[_Event]:
        async for stored in reader.read_events(topics, key=key, follow=follow, from_end=from_end):
            event = _Event(stored)
            if stored.offset > seen.get((stored.topic, stored.shard), -1) and (
                choice.everything or choice.wants(event.told)
            ):
                yield event

    seen: dict[tuple[str, int], int] = {}
    if tail is not None:
        last: deque[_Event] = deque(maxlen=tail)
        async for event in chosen(follow=False, from_end=False):
            last.append(event)
            seen[event.stored.topic, event.stored.shard] = event.stored.offset
        for event in last:
            yield event
        if not follow:
            return
    async for event in chosen(follow=follow, from_end=follow and tail is None and choice.since is None):
        yield event


def _count(option: str, given: int | None) -> int | None:
    if given is not None and given < 0:
        raise UsageError(f"--{option} {given}: it must be 0 or more")
    return given


def _raw(event: _Event) -> None:
    print(f"{event.stored.topic}\t{event.stored.value.hex()}", flush=True)


def _json(event: _Event) -> None:
    """Everything that there is about an event."""
    stored = event.stored
    show_json(
        {
            "topic": stored.topic,
            "shard": stored.shard,
            "offset": stored.offset,
            "key": stored.key,
            "headers": {name: value.decode(errors="replace") for name, value in stored.headers},
            **event.told,
        }
    )


def _line(links: Mapping[str, Link]) -> Show:
    screen = console()

    def line(event: _Event) -> None:
        link = links.get(event.stored.key)
        # In a pipe nothing is cut off.
        width = screen.width if screen.is_terminal else None
        label = link.label if link is not None else ""
        screen.print(as_line(event.stored, event.told, label=label, width=width), soft_wrap=True)

    return line
