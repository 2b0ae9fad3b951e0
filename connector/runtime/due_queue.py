"""Due queue: what is to be read when. Pure bookkeeping over many thousand keys; it never sleeps.

One queue for every backend, so that a backend in trouble delays nobody else's reads. Keys belong to owners, and owners
that have something due take turns: one with ten thousand keys waits for its next turn like one with a single key.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_Waiting = tuple[float, int, K]
"""When it is due, the order of putting, the key."""

_NOBODY: Final = object()


def _same_owner(_key: Hashable) -> Hashable:
    return None


def _anybody(_owner: Hashable) -> bool:
    return True


class DueQueue(Generic[K]):
    """Keys with the moment (seconds on the monotonic clock) from which they are due.

    A key is either waiting or taken; a taken one comes back by `put`. Putting a waiting key again moves it. `owner`
    says whose a key is; all are of one owner unless it is given.
    """

    def __init__(self, owner: Callable[[K], Hashable] = _same_owner) -> None:
        self._owner = owner
        self._heap: list[_Waiting[K]] = []
        self._due: dict[Hashable, list[_Waiting[K]]] = {}
        """Keys that have come due, by owner; the owner whose turn is next comes first."""
        self._places: dict[K, int] = {}
        self._count = 0

    def put(self, key: K, due_seconds: float) -> None:
        """Wait until `due_seconds`; equal moments of one owner are served in the order of putting."""
        self._count += 1
        self._places[key] = self._count
        heapq.heappush(self._heap, (due_seconds, self._count, key))

    def drop(self, key: K) -> None:
        """Forget a waiting key; unknown keys are no matter."""
        self._places.pop(key, None)

    def take(self, now_seconds: float, admits: Callable[[Hashable], bool] = _anybody) -> K | None:
        """The key that has been due longest of the owner whose turn it is; None where nothing is due.

        Owners that `admits` refuses are passed over, and keep their turn.
        """
        self._ripen(now_seconds)
        done: list[Hashable] = []
        taken: Hashable = _NOBODY
        for owner, keys in self._due.items():
            first = self._first(keys)
            if first is None:
                done.append(owner)
            elif first <= now_seconds and admits(owner):
                taken = owner
                break
        for owner in done:
            del self._due[owner]
        if taken is _NOBODY:
            return None
        # Whoever was served goes to the end of the line.
        keys = self._due.pop(taken)
        key = heapq.heappop(keys)[2]
        del self._places[key]
        if keys:
            self._due[taken] = keys
        return key

    def next_due(self) -> float | None:
        """When the next key is due; where some have come due, when the first of whoever is next did.

        None when nothing waits. What it costs does not grow with how many are due.
        """
        while self._due:
            owner, keys = next(iter(self._due.items()))
            first = self._first(keys)
            if first is not None:
                return first
            del self._due[owner]
        return self._first(self._heap)

    def _ripen(self, now_seconds: float) -> None:
        while (due := self._first(self._heap)) is not None and due <= now_seconds:
            waiting = heapq.heappop(self._heap)
            heapq.heappush(self._due.setdefault(self._owner(waiting[2]), []), waiting)

    def _first(self, keys: list[_Waiting[K]]) -> float | None:
        """When the first of `keys` is due that was not dropped or moved meanwhile."""
        while keys and self._places.get(keys[0][2]) != keys[0][1]:
            heapq.heappop(keys)
        return keys[0][0] if keys else None

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)
