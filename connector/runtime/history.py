"""History: all events of one shard, folded stream by stream, without those that a later branch has made void.

Read twice: where the journal went on as another branch is known only at the end, and what holds before it follows from
that. Memory holds what the streams add up to, never their events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from connector.avro import read_event
from connector.branches import Branches, Stream
from connector.errors import DataError
from connector.events import cloud_event_headers
from connector.fold import StreamFold
from connector.ports import StoredEvent
from connector.runtime.memory import shard_subject

Events = Callable[[], AsyncIterator[StoredEvent]]
"""Reads all events of a shard from the beginning, the same each time."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a stream, or in its topic; `account_id` is its key."""

    topic: str
    account_id: str
    what: str

    def __str__(self) -> str:
        """As one line."""
        return f"{self.topic}: of {self.account_id}, {self.what}"


@dataclass(slots=True)
class History:
    """What a shard has told and still holds. `newest_commit` is the highest one of which any event is, by epoch.

    `void` are streams of which nothing holds any more.
    """

    streams: dict[Stream, StreamFold] = field(default_factory=dict)
    void: frozenset[Stream] = frozenset()
    newest_commit: dict[str, int] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, event: StoredEvent, what: str) -> None:
        """Note what is wrong with an event as it lies in its topic."""
        self.complaints.append(Complaint(event.topic, event.key, f"offset {event.offset} {what}"))


@dataclass(frozen=True, slots=True)
class Heading:
    """What the headers of an event say, by which it is placed without being decoded."""

    epoch: str
    sequence: int
    commit_number: int
    event_type: str

    @classmethod
    def of(cls, event: StoredEvent) -> Heading | None:
        """None where they do not say it: then it is none of ours."""
        headers = dict(event.headers)
        sequence, number = headers.get("sequence", b""), headers.get("commit", b"")
        kind = headers.get("ce_type", b"").decode(errors="replace").split(".")
        if not (sequence.isdigit() and number.isdigit() and headers.get("epoch") and len(kind) > 1):
            return None
        return cls(headers["epoch"].decode(errors="replace"), int(sequence), int(number), kind[-2])


async def fold_history(shard: int, events: Events, *, leave_out: Callable[[Heading], bool] | None = None) -> History:
    """Fold every event of a shard that holds. `leave_out` says which came too late to be looked at.

    Raises: what reading raises. What is wrong with an event is a complaint.
    """
    branches = Branches(shard_subject(shard))
    history = History()
    async for stored in events():
        heading = Heading.of(stored)
        if heading is None:
            history.complain(stored, "has not the headers of an event: somebody else wrote there")
        elif leave_out is None or not leave_out(heading):
            branches.take((stored.key, stored.topic), heading.epoch, heading.sequence, heading.event_type)
            newest = history.newest_commit.get(heading.epoch, 0)
            history.newest_commit[heading.epoch] = max(newest, heading.commit_number)
    for (account_id, topic), what in branches.complaints():
        history.complaints.append(Complaint(topic, account_id, what))
    history.void = frozenset(stream for stream in branches.streams if branches.unknown(stream))
    async for stored in events():
        heading = Heading.of(stored)
        if heading is None or (leave_out is not None and leave_out(heading)):
            continue
        stream = (stored.key, stored.topic)
        if not branches.void(stream, heading.epoch, heading.sequence):
            _take(history, history.streams.setdefault(stream, StreamFold(*stream)), stored, heading)
    for (account_id, topic), fold in history.streams.items():
        history.complaints += [Complaint(topic, account_id, what) for what in fold.complaints]
    return history


def _take(history: History, fold: StreamFold, stored: StoredEvent, heading: Heading) -> None:
    try:
        event = read_event(stored.topic, stored.value)
    except DataError as error:
        history.complain(stored, f"cannot be read: {error}")
        return
    said: Mapping[str, bytes] = dict(stored.headers)
    ours = dict(cloud_event_headers(event, stored.topic, heading.commit_number))
    if event.account_id != stored.key or any(said.get(name) != value for name, value in ours.items()):
        history.complain(stored, "has headers or a key that say something else than its value")
        return
    fold.take(event, heading.commit_number)
