"""What an event must say about a version of an entity, worked out from the bank's own rendering of it.

A second, independent reading of the contract: it shares nothing with the connector, so that a shared mistake cannot
pass. A field that the truth does not hold is left out and not compared; the running balance is no part of an entity.
Each domain says in its own `rendering.py` how its entities are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

Wire = Mapping[str, Any]
Expected = dict[str, Any]
Render = Callable[[str, str | None, Wire], Expected]
"""(the truth's name of the entity, its IBAN where it is of one, the bank's JSON with numbers as `Decimal`) → what must
be told of it."""
Renders = Mapping[str, tuple[str, Render]]
"""By what stands before the first `/` of the entity's name (nothing: its name has none): the field of `after` that must
be set, and what must be in it."""


def agrees(expected: Expected, told: Mapping[str, Any]) -> bool:
    """True when an event's record says what it must, field by field."""
    return all(name in told and told[name] == value for name, value in expected.items())


def instant(text: str | None) -> datetime | None:
    """An instant of the wire in UTC."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def day_month_year(text: str | None) -> date | None:
    """A `dd-MM-yyyy` of the wire."""
    if text is None:
        return None
    day, month, year = text.split("-")
    return date(int(year), int(month), int(day))
