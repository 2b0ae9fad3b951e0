"""Branches: which of the events that a shard has ever told still hold, where its journal went on as another branch.

Pure. Knows of every stream only where it changed from one epoch to another, so that a history of any length is looked
through once for this and folded after. The rules are those that consumers are told with `EpochBegan`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connector.domains.lifecycle import NAME as LIFECYCLE

EPOCH_BEGAN: Final = "EpochBegan"

Stream = tuple[str, str]
"""Account id and topic."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a stream goes on in another epoch: by which sequence, and whether it says so."""

    epoch: str
    first: int
    announced: bool


class Branches:
    """The epochs of every stream of a shard; `shard_subject` is who tells of the shard itself."""

    def __init__(self, shard_subject: str) -> None:
        self._own: Stream = (shard_subject, LIFECYCLE)
        self._stretches: dict[Stream, list[Stretch]] = {}

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Every stream that has told anything."""
        return tuple(self._stretches)

    def take(self, stream: Stream, epoch: str, sequence: int, event_type: str) -> None:
        """One more event of a stream, in the order of its topic."""
        stretches = self._stretches.setdefault(stream, [])
        if not stretches or stretches[-1].epoch != epoch:
            stretches.append(Stretch(epoch, sequence, event_type == EPOCH_BEGAN))

    def void(self, stream: Stream, epoch: str, sequence: int) -> bool:
        """Does an event not hold any more? It was told again, or taken back, by a later epoch."""
        if self.unknown(stream):
            return True
        stretches = self._stretches[stream]
        place = next(place for place, one in enumerate(stretches) if one.epoch == epoch)
        return any(later.first <= sequence for later in stretches[place + 1 :])

    def unknown(self, stream: Stream) -> bool:
        """Is the whole stream none of the present branch? Then it is void from its beginning."""
        lineage = self._lineage()
        last = self._stretches[stream][-1]
        if not lineage or stream == self._own or last.epoch == lineage[-1]:
            return False
        # An epoch that the shard has not announced yet began in the streams before it.
        return last.epoch in lineage or not last.announced

    def complaints(self) -> Iterator[tuple[Stream, str]]:
        """Whatever no connector can have told: an epoch that comes back, or that begins without a word."""
        lineage = self._lineage()
        for stream, stretches in self._stretches.items():
            epochs = [one.epoch for one in stretches]
            places = [lineage.index(epoch) for epoch in epochs if epoch in lineage]
            if len(set(epochs)) < len(epochs) or places != sorted(places):
                yield stream, "an epoch comes back after a later one: somebody else wrote there"
            for one in stretches[1:]:
                if not one.announced and (one.first != 1 or one.epoch not in lineage):
                    yield stream, f"sequence {one.first} is of another epoch, and no EpochBegan says so"

    def _lineage(self) -> list[str]:
        """The epochs of the shard, oldest first, as far as it has announced them; none where it has had but one."""
        own = self._stretches.get(self._own, [])
        return [one.epoch for one in own] if any(one.announced for one in own) else []
