"""`zindigi events`: the journal's events, a line each."""

from __future__ import annotations

from typing import Annotated, Any, Final

import anyio
from cyclopts import Parameter
from rich.text import Text

from connector.avro import decode_event
from connector.cli.commanding import find_link
from connector.cli.exits import UsageError
from connector.cli.link_status import known_links
from connector.cli.screen import console, show_json
from connector.cli.settings_flags import SettingsFlags, reading
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.ports import StoredEvent
from connector.settings import nearest

TOPICS: Final = (*DOMAINS, LIFECYCLE)
_COLOURS: Final = {"c": "green", "u": "yellow", "d": "red", "r": "cyan", "s": "blue"}
_ACCOUNT_WIDTH: Final = 8
_TOPIC_WIDTH: Final = 12
_AMOUNTS: Final = ("amount", "outstanding", "balance", "total", "market_value", "nav")
"""Of these the first that a record states."""
_SHOWN_FIELDS: Final = (
    "status", "state", "tier", "rail", "side", "instrument_id", "product", "category", "kind", "title", "action",
)  # fmt: skip


def events(
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    account: str | None = None,
    domain: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    raw: Annotated[bool, Parameter(negative="")] = False,
    flags: SettingsFlags | None = None,
) -> None:
    """Show committed events, oldest first. Works while the connector runs.

    Args:
        follow: Wait for more; Ctrl-C ends it.
        account: Only of this account: its id, the beginning of it, or its label.
        domain: Only of this domain: one of those that links cover, or lifecycle. May be given again.
        json: The whole event as one JSON object a line. Amounts are strings.
        raw: Topic, a tab, and the value's bytes in hex: what examples/ decode with schemas/ alone.
        flags: Where settings come from.
    """
    if json and raw:
        raise UsageError("--json and --raw: one of them")
    settings = (flags or SettingsFlags()).load().settings
    for name in domain or ():
        if name not in TOPICS:
            raise UsageError(f"unknown domain {name}{nearest(name, TOPICS)} (there are {', '.join(TOPICS)})")
    topics = tuple(domain) if domain else TOPICS

    async def showing() -> None:
        async with reading(settings) as reader:
            key = find_link(await known_links(reader), account).account_id if account is not None else None
            screen = console()
            async for event in reader.read_events(topics, key=key, follow=follow):
                if raw:
                    print(f"{event.topic}\t{event.value.hex()}", flush=True)
                elif json:
                    show_json(as_json(event))
                else:
                    screen.print(as_line(event), soft_wrap=True)

    anyio.run(showing)


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


def as_line(event: StoredEvent) -> Text:
    """When, of whom, what, and the one or two things that a person looks for. Within 80 columns where it can be."""
    told = decode_event(event.value)
    line = Text()
    line.append(f"{told['observed_at']:%H:%M:%S} ", "dim")
    line.append(f"{event.key.removeprefix('acc_')[:_ACCOUNT_WIDTH]:<{_ACCOUNT_WIDTH}} ", "dim")
    line.append(f"{event.topic:<{_TOPIC_WIDTH}} ")
    line.append(f"#{told['sequence']:<4} ", "dim")
    line.append(str(told["event_type"]), _COLOURS.get(told["op"], ""))
    line.append(summary(told))
    return line


def summary(told: dict[str, Any]) -> str:
    """Amount and state of what an event is about; no name, number or identifier of a person."""
    side = told.get("after") or told.get("before") or {}
    record: dict[str, Any] = next((value for value in side.values() if value is not None), {})
    words = []
    stated = next((name for name in _AMOUNTS if record.get(name) is not None), None)
    if stated is not None:
        owed = " owed" if stated == "outstanding" else ""
        words.append(f"{record[stated]} {record.get('currency') or ''}".rstrip() + owed)
    elif "points" in record:
        words.append(f"{record['points']:+d} points")
    told_by_name = told["event_type"].upper()
    # What an order is for may say where somebody is going.
    silent = {"title"} if "category" in record else set()
    shown = [str(record[name]) for name in _SHOWN_FIELDS if record.get(name) is not None and name not in silent]
    words += [word for word in shown if not told_by_name.endswith(word.replace("_", ""))]
    return f"  {' '.join(words)}" if words else ""
