"""Due queue: what is to be read when. Pure bookkeeping over many thousand keys; it never sleeps.

One heap for every backend, so that a backend in trouble delays nobody else's reads.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class DueQueue(Generic[K]):
    """Keys with the moment (seconds on the monotonic clock) from which they are due.

    A key is either waiting or taken; a taken one comes back by `put`. Putting a waiting key again moves it.
    """

    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _places: dict[K, int] = field(default_factory=dict)
    _count: int = 0

    def put(self, key: K, due_seconds: float) -> None:
        """Wait until `due_seconds`; equal moments are served in the order of putting."""
        self._count += 1
        self._places[key] = self._count
        heapq.heappush(self._heap, (due_seconds, self._count, key))

    def drop(self, key: K) -> None:
        """Forget a waiting key; unknown keys are no matter."""
        self._places.pop(key, None)

    def take(self, now_seconds: float) -> K | None:
        """The key that has been due longest, or None."""
        due = self.next_due()
        if due is None or due > now_seconds:
            return None
        _due, _place, key = heapq.heappop(self._heap)
        del self._places[key]
        return key

    def next_due(self) -> float | None:
        """When the next key is due; None when nothing waits."""
        while self._heap and self._places.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)
