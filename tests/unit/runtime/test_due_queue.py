"""The due queue: the key that has been due longest comes first, moved and dropped keys do not come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.runtime.due_queue import DueQueue

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "take"]), st.integers(0, 5), st.integers(0, 50)), max_size=60
)


@given(STEPS)
def test_it_behaves_like_a_sorted_table(steps: list[tuple[str, int, int]]) -> None:
    queue: DueQueue[int] = DueQueue()
    table: dict[int, tuple[int, int]] = {}
    for place, (step, key, moment) in enumerate(steps):
        if step == "put":
            queue.put(key, moment)
            table[key] = (moment, place)
        elif step == "drop":
            queue.drop(key)
            table.pop(key, None)
        else:
            due = [(when, key_) for key_, when in table.items() if when[0] <= moment]
            expected = min(due)[1] if due else None
            assert queue.take(moment) == expected
            if expected is not None:
                del table[expected]
        assert len(queue) == len(table)
        assert queue.next_due() == min((when[0] for when in table.values()), default=None)
        assert all((key_ in queue) == (key_ in table) for key_ in range(6))
