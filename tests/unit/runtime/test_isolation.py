from __future__ import annotations

from random import Random

import pytest

from connector.runtime.isolation import FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS, Isolation, Stream
from tests.support.virtual_clock import VirtualClock

Write = frozenset[Stream]


def stream(name: str, domain: str = "lending") -> Stream:
    return (name, domain)


class Shard:
    """Writes that wait, a journal that refuses any commit with a poisoned stream, and the way commits are made."""

    def __init__(self, poisoned: set[Stream]) -> None:
        self.clock = VirtualClock()
        self.isolation = Isolation(self.clock)
        self.poisoned = poisoned
        self.away = False
        self.number = 0
        self.failures = 0
        self.done: list[Stream] = []

    def turn(self, waiting: list[Write]) -> list[Write]:
        """One commit of what is admitted; what is left waiting."""
        taken: set[Stream] = set()
        batch: list[Write] = []
        for write in waiting:
            if not any(map(self.isolation.held, write)) and self.isolation.admits(write, taken):
                batch.append(write)
                taken |= write
        if not batch:
            return []
        if self.away or taken & self.poisoned:
            self.failures += 1
            self.isolation.failed(self.number + 1, taken, indivisible=len(taken) == 1 or len(batch) == 1)
            self.isolation.restored(self.number)
            return waiting
        self.number += 1
        self.isolation.committed(taken)
        self.done += taken
        return [write for write in waiting if write not in batch]

    def work(self, streams: list[Stream], *, beat: bool = True) -> None:
        """Until everything is committed or held; `beat` is the shard's own checkpoint, before every turn."""
        waiting = [frozenset({one}) for one in streams]
        for _ in range(40 * len(streams)):
            if beat:
                self.turn([frozenset({("shard/0", "lifecycle")})])
            waiting = self.turn(waiting)
            if not waiting:
                return


def held(shard: Shard, streams: list[Stream]) -> set[Stream]:
    return {one for one in streams if shard.isolation.held(one)}


@pytest.mark.parametrize("seed", range(30))
def test_the_offenders_are_held_and_all_others_are_committed(seed: int) -> None:
    random = Random(seed)
    print(f"seed {seed}")
    streams = [stream(f"a{number}") for number in range(random.randint(2, 60))]
    poisoned = set(random.sample(streams, random.randint(1, 2)))
    shard = Shard(poisoned)
    shard.work(streams)
    assert held(shard, streams) == poisoned
    assert set(streams) - set(shard.done) == poisoned
    # Halving: a few steps for each doubling, not one for each stream.
    assert shard.failures <= 2 + len(poisoned) * (2 + 2 * len(streams).bit_length())


def test_a_failure_or_two_hold_nobody() -> None:
    streams = [stream("a"), stream("b")]
    shard = Shard(set())
    shard.away = True
    for _ in range(2):
        shard.turn([frozenset(streams)])
    shard.away = False
    shard.work(streams)
    assert held(shard, streams) == set()
    assert set(shard.done) >= set(streams)


def test_while_nothing_can_be_committed_nobody_is_held() -> None:
    streams = [stream("a"), stream("b"), stream("c")]
    shard = Shard(set())
    shard.away = True
    shard.work(streams)
    assert held(shard, streams) == set()
    shard.away = False
    shard.work(streams)
    assert set(shard.done) >= set(streams)


def test_a_commit_that_happened_all_the_same_blames_nobody() -> None:
    isolation = Isolation(VirtualClock())
    for number in range(1, 10):
        isolation.failed(number, {stream("a")}, indivisible=True)
        isolation.restored(number)
    assert not isolation.held(stream("a"))


def test_the_held_are_tried_again_alone_and_ever_more_rarely() -> None:
    bad, good = stream("bad"), stream("good")
    shard = Shard({bad})
    shard.work([bad, good])
    waits = []
    for _ in range(9):
        before = shard.clock.monotonic()
        while shard.isolation.held(bad):
            shard.clock.jump(1)
        waits.append(shard.clock.monotonic() - before)
        failures = shard.failures
        shard.work([bad, good])
        assert shard.failures == failures + 1, "one try"
    assert waits == [min(FIRST_HOLD_SECONDS * 2**times, LONGEST_HOLD_SECONDS) for times in range(9)]
    shard.clock.jump(LONGEST_HOLD_SECONDS)
    shard.poisoned.clear()
    shard.work([bad, good])
    assert bad in shard.done
    # Whoever is well again is like everybody else.
    shard.poisoned = {bad}
    shard.turn([frozenset({bad})])
    assert not shard.isolation.held(bad)


def test_of_a_write_that_cannot_be_divided_lifecycle_is_never_held() -> None:
    told, closing = stream("a", "lifecycle"), stream("a", "lending")
    shard = Shard({closing})
    for _ in range(3):
        assert held(shard, [told, closing]) == set()
        # It comes first, so that nothing else is committed meanwhile.
        shard.turn([frozenset({told, closing})])
    assert held(shard, [told, closing]) == {closing}


def test_one_that_is_released_is_tried_at_once_and_held_for_longer_if_it_fails() -> None:
    bad, good = stream("bad"), stream("good")
    shard = Shard({bad})
    shard.work([bad, good])
    assert not shard.isolation.release(good)
    assert shard.isolation.release(bad)
    assert held(shard, [bad, good]) == set()
    failures = shard.failures
    shard.work([bad, good])
    assert shard.failures == failures + 1, "one try"
    assert held(shard, [bad, good]) == {bad}
    shard.clock.jump(FIRST_HOLD_SECONDS)
    assert held(shard, [bad, good]) == {bad}
    assert shard.isolation.release(bad)
    shard.poisoned.clear()
    shard.work([bad, good])
    assert bad in shard.done
