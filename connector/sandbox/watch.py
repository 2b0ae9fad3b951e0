"""What the client was really given, worked out from what was served and from nothing else.

A *read* is a run of pages of one resource: its first page begins it, pages that continue with a token it was given
belong to it. It is

- *returned from* once the client began another read of the resource: only then is it sure that the client dealt with
  what it got (or chose to stop there, as a read of only the newest entries does);
- *broken* if, by then, its last continuation had failed, a cursor was refused or repeated, the feed of numbered pages
  grew or shrank, or an entity was shown twice with different content: a client must not believe such a read, and
  nobody can tell how much of it it did;
- *lost* if the client was killed before it came back;
- *complete* if its last page was reached and it is neither broken nor lost, nor struck by a fault that hid or spoiled
  items.

A version that some sound read showed before the client came back is *confirmed*. One that only broken or lost reads
showed is *doubtful*. A response that a fault cut, spoiled or replaced showed nothing. Order is by the sandbox's own
ordinals, never by time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from connector.sandbox.ledger import Change
    from connector.sandbox.replies import Visit
    from connector.sandbox.wire import Body, Json

Standing = Literal["observable", "coalesced", "uncertain", "pending"]
Outcome = Literal["open", "complete", "partial", "broken", "lost"]
_LOG_LENGTH = 400


@dataclass(slots=True)
class Read:
    """One read of one resource. `began` and `last` are ordinals, `epoch` counts the clients killed before it.

    `served` holds the versions shown, `latest` the last one of each entity.
    """

    number: int
    visit: Visit
    began: int
    epoch: int
    last: int = 0
    pages: int = 0
    not_modified: int = 0
    terminal: bool = False
    stumbled: bool = False
    mutated: bool = False
    tampered: bool = False
    outcome: Outcome = "open"
    total: int | None = None
    latest: dict[str, int] = field(default_factory=dict)
    served: set[tuple[str, int]] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)

    @property
    def sound(self) -> bool:
        """Whether a client may believe what it was shown."""
        return not self.stumbled and not self.mutated

    @property
    def whole(self) -> bool:
        """Whether it was shown everything in its range."""
        return self.terminal and self.sound and not self.tampered

    def describe(self) -> Body:
        """For the control surface."""
        return {
            "number": self.number,
            "range": self.visit.asked,
            "began": self.began,
            "last": self.last,
            "pages": self.pages,
            "not_modified": self.not_modified,
            "terminal": self.terminal,
            "outcome": self.outcome,
            "entities": len(self.latest),
        }


@dataclass(slots=True)
class Sight:
    """When a version was shown: read numbers as closed spans, and what came of those reads."""

    spans: list[list[int]] = field(default_factory=list)
    open_reads: int = 0
    confirmed: bool = False

    def note(self, number: int) -> None:
        """It was shown in the read of that number."""
        if self.spans and self.spans[-1][1] >= number - 1:
            self.spans[-1][1] = max(self.spans[-1][1], number)
        else:
            self.spans.append([number, number])


@dataclass(frozen=True, slots=True)
class _Complete:
    began: int
    since: int
    epoch: int


class ResourceWatch:
    """All reads of one resource."""

    def __init__(self) -> None:
        self.count = 0
        self.log: deque[Read] = deque(maxlen=_LOG_LENGTH)
        self._open: list[Read] = []
        self._sights: dict[tuple[str, int], Sight] = {}
        self._complete: list[_Complete] = []

    @property
    def current(self) -> Read | None:
        """The read that is under way, if one is."""
        return next((read for read in reversed(self._open) if not read.terminal), None)

    @property
    def complete_count(self) -> int:
        """Complete reads, the client having come back from the last one or not."""
        return self.complete_since(0)

    @property
    def in_progress(self) -> int:
        """Reads whose last page was not reached and that the client has not come back from."""
        return sum(1 for read in self._open if not read.terminal)

    def serve(
        self, visit: Visit, shown: Iterable[tuple[str, int]], next_token: str | None, *, ordinal: int, epoch: int
    ) -> Read:
        """A page went out intact."""
        read = self._continued(visit.token)
        if read is None:
            if visit.begins:
                self._come_back()
            read = self._begin(visit, ordinal, epoch)
        read.last = ordinal
        read.pages += 1
        read.stumbled = False
        for entity, version in shown:
            self._show(read, entity, version)
        if next_token is None:
            read.terminal = True
        else:
            read.tokens.add(next_token)
        return read

    def fail(self, token: str | None) -> None:
        """A page that was asked for did not go out intact."""
        read = self._continued(token)
        if read is not None:
            read.stumbled = True

    def lose_client(self) -> None:
        """The client was killed: what it had not come back from, it may or may not have dealt with."""
        for read in self._open:
            self._close(read, "lost", confirmed=False)
        self._open.clear()

    def complete_since(self, ordinal: int) -> int:
        """Complete reads begun after an ordinal, the client having come back from them or not."""
        closed = sum(1 for read in self._complete if read.began > ordinal)
        return closed + sum(1 for read in self._open if read.whole and read.began > ordinal)

    def sound_since(self, ordinal: int) -> int:
        """Reads begun after an ordinal that the client came back from, wherever it chose to stop."""
        return sum(read.outcome in {"complete", "partial"} and read.began > ordinal for read in self.log)

    def sight(self, entity: str, version: int) -> Sight | None:
        """When this version was shown, if ever."""
        return self._sights.get((entity, version))

    def absence_confirmed(self, removal: Change) -> bool:
        """Whether one and the same client made two complete reads over the place where the entity had been."""
        seen: dict[int, int] = {}
        for read in reversed(self._complete):
            if read.began <= removal.ordinal:
                break
            if read.since <= removal.booking:
                seen[read.epoch] = seen.get(read.epoch, 0) + 1
                if seen[read.epoch] >= 2:
                    return True
        return False

    def _continued(self, token: str | None) -> Read | None:
        if token is None:
            return None
        return next((read for read in reversed(self._open) if token in read.tokens and not read.terminal), None)

    def _come_back(self) -> None:
        for read in self._open:
            if not read.sound:
                self._close(read, "broken", confirmed=False)
            else:
                self._close(read, "complete" if read.whole else "partial", confirmed=True)
        self._open.clear()

    def _begin(self, visit: Visit, ordinal: int, epoch: int) -> Read:
        self.count += 1
        read = Read(self.count, visit, ordinal, epoch, tampered=not visit.begins)
        self._open.append(read)
        self.log.append(read)
        return read

    def _show(self, read: Read, entity: str, version: int) -> None:
        sight = self._sights.setdefault((entity, version), Sight())
        sight.note(read.number)
        if read.latest.setdefault(entity, version) != version:
            read.mutated = True
        read.latest[entity] = version
        if (entity, version) not in read.served:
            read.served.add((entity, version))
            sight.open_reads += 1

    def _close(self, read: Read, outcome: Outcome, *, confirmed: bool) -> None:
        read.outcome = outcome
        for shown in read.served:
            sight = self._sights[shown]
            sight.open_reads -= 1
            sight.confirmed = sight.confirmed or confirmed
        if outcome == "complete":
            self._complete.append(_Complete(read.began, read.visit.since, read.epoch))
        read.served = set()
        read.tokens = set()


class Watch:
    """Every resource of every holder. `ordinal` gives the next number of the sandbox's own order of things."""

    def __init__(self, ordinal: Callable[[], int]) -> None:
        self._ordinal = ordinal
        self._epoch = 0
        self._resources: dict[tuple[str, str], ResourceWatch] = {}

    def resource(self, msisdn: str, resource: str) -> ResourceWatch:
        """The reads of one resource."""
        return self._resources.setdefault((msisdn, resource), ResourceWatch())

    def items(self) -> list[tuple[tuple[str, str], ResourceWatch]]:
        """Every resource that was ever asked for, by msisdn and name."""
        return sorted(self._resources.items())

    def serve(self, visit: Visit, shown: Iterable[tuple[str, int]], next_token: str | None) -> Read:
        """A page went out intact."""
        watch = self.resource(visit.msisdn, visit.resource)
        return watch.serve(visit, shown, next_token, ordinal=self._ordinal(), epoch=self._epoch)

    def fail(self, visit: Visit) -> None:
        """A page that was asked for did not go out intact."""
        self.resource(visit.msisdn, visit.resource).fail(visit.token)

    def lose_client(self) -> None:
        """The client was killed."""
        self._epoch += 1
        for watch in self._resources.values():
            watch.lose_client()

    def standing(self, msisdn: str, versions: Sequence[Change], change: Change) -> Standing:
        """What may be claimed of a change, given all changes of its entity.

        A creation or update is *observable* once its version is confirmed; *coalesced* if it was superseded without
        ever being shown; *uncertain* if it was superseded and only doubtful reads showed it; otherwise *pending*: it
        stands and will be shown, or was shown and the client has not come back yet.

        A removal is *observable* once a version of the entity is confirmed and one client made two complete reads,
        begun after the removal, over the place where the entity had been; *pending* until then; *coalesced* if no
        version was ever shown; *uncertain* if only doubtful reads showed one.
        """
        watch = self.resource(msisdn, change.resource)
        if change.op != "d":
            sights = [watch.sight(change.entity, change.version)]
        else:
            sights = [watch.sight(change.entity, version.version) for version in versions]
        shown = [sight for sight in sights if sight is not None]
        superseded = change.op == "d" or versions[-1].n != change.n
        if any(sight.confirmed for sight in shown):
            return "observable" if change.op != "d" or watch.absence_confirmed(change) else "pending"
        if not superseded or any(sight.open_reads for sight in shown):
            return "pending"
        return "uncertain" if shown else "coalesced"


def describe_sight(sight: Sight | None) -> Json:
    """For the control surface: the reads in which a version was shown."""
    if sight is None:
        return None
    return {"first": sight.spans[0][0], "last": sight.spans[-1][1], "reads": [list(span) for span in sight.spans]}
