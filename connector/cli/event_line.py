"""One event in one line: when it happened, of which link, what, whom it concerns, how much and how it stands.

The time is the entry's own in the institution's calendar (Pakistan Standard Time), a date where the bank states no
more; where it states neither, when it was observed, with `~` before it. Nothing that a name holds reaches a terminal
as anything but letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from rich.text import Text

from connector.cli.screen import printable
from connector.domains.model import KARACHI
from connector.ports import StoredEvent

COLOURS: Final = {"c": "green", "u": "yellow", "d": "red", "r": "cyan", "s": "blue"}
_WHEN: Final = 17
_ACCOUNT: Final = 8
_WHAT: Final = 22
_WHOM: Final = 18
_SHORTEST: Final = 12
"""What is always shown of a name, where it is that long."""
_AMOUNTS: Final = ("amount", "outstanding", "balance", "total", "market_value", "nav")
"""Of these the first that a record states."""
_NAMES: Final = (
    "biller", "merchant_name", "vendor", "instrument_name", "title", "description", "name", "product", "fund_id",
)  # fmt: skip
"""Of these the first that a record states, where it has no other side."""
_STANDS: Final = ("status", "state", "tier", "rail", "side", "category", "kind", "action")


def own_time(told: Mapping[str, Any]) -> tuple[datetime, str]:
    """When an event's entry happened, in Karachi, to be compared and to be shown."""
    effective: datetime | None = told["effective_at"]
    day: date | None = told["effective_date"]
    if effective is not None:
        local = effective.astimezone(KARACHI)
        return local, f" {local:%Y-%m-%d %H:%M}"
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=KARACHI), f" {day:%Y-%m-%d}"
    observed: datetime = told["observed_at"].astimezone(KARACHI)
    return observed, f"~{observed:%Y-%m-%d %H:%M}"


def as_line(event: StoredEvent, told: Mapping[str, Any], *, label: str = "", width: int | None = None) -> Text:
    """The line; `label` is that of the link, in place of the account's id.

    Where a `width` is given names are cut to fit it, and the least of how it stands is left out.
    """
    record = _record(told)
    whose = label or event.key.removeprefix("acc_")
    line = Text()
    line.append(f"{own_time(told)[1]:<{_WHEN}} ", "dim")
    line.append(f"{_cut(whose, _ACCOUNT):<{_ACCOUNT}} ", "dim")
    line.append(f"{told['event_type']:<{_WHAT}} ", COLOURS.get(told["op"], ""))
    name = printable(whom(record))
    said = list(filter(None, (how_much(record), *_stands(told, record))))
    room = _WHOM
    if width is not None:
        left = width - len(line.plain) - 1
        while len(said) > 1 and left - len(" ".join(said)) < min(len(name), _SHORTEST):
            # Of what it is the least is said last.
            said.pop()
        room = max(0, left - len(" ".join(said)))
        name = _cut(name, room)
    line.append(f"{name:<{min(room, _WHOM)}} {' '.join(said)}")
    line.rstrip()
    return line


def whom(record: Mapping[str, Any]) -> str:
    """The other side, as the bank names it: a person, a merchant, an instrument."""
    other = record.get("counterparty") or {}
    named = next((other[name] for name in ("name", "alias", "iban") if other.get(name)), None)
    named = named or next((record[name] for name in _NAMES if record.get(name)), "")
    return str(named["name"] or named["code"]) if isinstance(named, Mapping) else str(named)


def how_much(record: Mapping[str, Any]) -> str:
    """The amount that a record is about, with its currency; points with their sign."""
    stated = next((name for name in _AMOUNTS if record.get(name) is not None), None)
    if stated is not None:
        owed = " owed" if stated == "outstanding" else ""
        return f"{record[stated]:,} {record.get('currency') or ''}".rstrip() + owed
    if "points" not in record:
        return ""
    # What a voucher costs is no movement of points.
    return f"{record['points']:{'+' if 'entry_id' in record else ''},} points"


def _record(told: Mapping[str, Any]) -> Mapping[str, Any]:
    side = told.get("after") or told.get("before") or {}
    return next((value for value in side.values() if value is not None), {})


def _stands(told: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """What the name of the event does not say already."""
    if told["reason"]:
        return [printable(told["reason"])]
    words = [str(record[name]) for name in _STANDS if record.get(name) is not None]
    said = told["event_type"].upper()
    return [printable(word) for word in words if not said.endswith(word.replace("_", ""))]


def _cut(text: str, width: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…" if width > 0 else ""
