"""The due queue: the key that has been due longest comes first, moved and dropped keys do not come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.runtime.due_queue import DueQueue

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "take"]), st.integers(0, 5), st.integers(0, 20)), max_size=60
)


@given(STEPS)
def test_it_behaves_like_a_sorted_table(steps: list[tuple[str, int, int]]) -> None:
    queue: DueQueue[int] = DueQueue()
    table: dict[int, tuple[int, int]] = {}
    now = 0
    for place, (step, key, seconds) in enumerate(steps):
        if step == "put":
            # Also what was due a while ago.
            queue.put(key, now - 5 + seconds)
            table[key] = (now - 5 + seconds, place)
        elif step == "drop":
            queue.drop(key)
            table.pop(key, None)
        else:
            now += seconds
            due = [(when, key_) for key_, when in table.items() if when[0] <= now]
            expected = min(due)[1] if due else None
            assert queue.take(now) == expected
            if expected is not None:
                del table[expected]
        assert len(queue) == len(table)
        first = min((when[0] for when in table.values()), default=None)
        told = queue.next_due()
        assert told == first or (told is not None and first is not None and first <= told <= now)
        assert all((key_ in queue) == (key_ in table) for key_ in range(6))


class _Looks(DueQueue[int]):
    """Counts how many owners are looked at."""

    count = 0

    def _first(self, keys: list[tuple[float, int, int]]) -> float | None:
        self.count += 1
        return super()._first(keys)


@pytest.mark.parametrize("owners", [10, 1_000])
def test_what_a_turn_costs_does_not_grow_with_how_many_are_due(owners: int) -> None:
    queue = _Looks(owner=lambda key: key)
    for key in range(owners):
        queue.put(key, 0.0)
    assert queue.take(1.0) is not None
    queue.count = 0
    for _ in range(5):
        assert queue.next_due() == 0.0
        assert queue.take(1.0) is not None
    assert queue.count <= 5 * 4
