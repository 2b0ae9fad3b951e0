"""Which events `zindigi events` shows: by type, entity and the entry's own time."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from cyclopts import Parameter

from connector.cli.commanding import require_known
from connector.cli.event_line import own_time
from connector.cli.exits import UsageError
from connector.domains.lifecycle import CHECKPOINT_TYPE, EVENT_TYPES
from connector.domains.model import KARACHI
from connector.domains.registry import DOMAINS
from connector.domains.stream_events import STREAM_EVENT_TYPES

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_FORMS: Final = "a date like 2026-03-01, a time like 2026-03-01T09:30, or how long ago: 90m, 6h, 3d"


@dataclass(frozen=True, slots=True)
class EventChoice:
    """What is wanted; empty collections and None want everything. `since` is included, `until` is not."""

    types: Collection[str] = ()
    entity_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    checkpoints: bool = False

    @property
    def everything(self) -> bool:
        """True where no event need be looked into."""
        return self == EventChoice(checkpoints=True)

    def wants(self, told: Mapping[str, Any]) -> bool:
        """Is this event, decoded, among them?"""
        if told["event_type"] == CHECKPOINT_TYPE and not (self.checkpoints or CHECKPOINT_TYPE in self.types):
            return False
        if (self.types and told["event_type"] not in self.types) or self.entity_id not in {None, told["entity_id"]}:
            return False
        at = own_time(told)[0]
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ChoiceFlags:
    """Which events, as flags.

    Attributes:
        type: Only of this type, such as TransactionPosted. May be given again.
        entity: Only about the entity with this id.
        since: Only of entries from then on: 2026-03-01, 2026-03-01T09:30, or how long ago: 90m, 6h, 3d.
        until: Only of entries before then; likewise.
        checkpoints: Show checkpoints, too: one a minute and shard.
    """

    type: Annotated[list[str] | None, Parameter(name="--type", negative="")] = None
    entity: Annotated[str | None, Parameter(name="--entity")] = None
    since: Annotated[str | None, Parameter(name="--since")] = None
    until: Annotated[str | None, Parameter(name="--until")] = None
    checkpoints: Annotated[bool, Parameter(name="--checkpoints", negative="")] = False

    def choice(self, now: datetime) -> EventChoice:
        """What they mean.

        Raises:
            UsageError: a type that there is not, or no time.
        """
        require_known("type", self.type or (), _types(), listed=False)
        return EventChoice(
            types=self.type or (),
            entity_id=self.entity,
            since=None if self.since is None else moment(self.since, "--since", now),
            until=None if self.until is None else moment(self.until, "--until", now),
            checkpoints=self.checkpoints,
        )


def moment(text: str, option: str, now: datetime) -> datetime:
    """A date (its beginning in Pakistan), a time (there, unless it names an offset), or how long ago: `90m`, `3d`.

    Raises:
        UsageError: it is none of them.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        stated = datetime.fromisoformat(text)
        return stated if stated.tzinfo is not None else stated.replace(tzinfo=KARACHI)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text}: {_FORMS}") from None


def _types() -> Sequence[str]:
    named = [name for domain in DOMAINS.values() for name in domain.event_types]
    return sorted({*named, *EVENT_TYPES, *STREAM_EVENT_TYPES})
