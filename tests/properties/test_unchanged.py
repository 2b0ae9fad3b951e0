"""Whatever the path, a poll that ends as unchanged was of what is committed; and what is below a gap stays there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import anyio
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connector.domains.model import ResourceKind
from tests.adversary.broken_rules import JOINING, UNCHANGED
from tests.adversary.seams import Plant
from tests.properties.bank import ASCENDING, CHANGES, NEWEST_FIRST, WHOLE
from tests.properties.polled import Fault, PolledLife
from tests.support.silence import silence

Step = tuple[str, int, int]
READS = ("head", "head", "head", "sweep", "sweep", "sweep")
FAULTS: tuple[Fault, ...] = ("before", "after")

names = st.sampled_from((*CHANGES, *READS, *READS, "burst", "brief", "flip", "flip", "restart", "fail"))
steps = st.lists(st.tuples(names, st.integers(0, 60), st.integers(0, 59)), min_size=10, max_size=40)
kinds = st.sampled_from((NEWEST_FIRST, NEWEST_FIRST, ASCENDING, WHOLE))
places = st.tuples(st.sampled_from((2, 4, 30)), st.sampled_from((1, 3)), st.booleans())


async def live(kind: ResourceKind, history: int, place: tuple[int, int, bool], life: Sequence[Step]) -> int:
    """Live through it; how many polls took something for unchanged."""
    size, cap, tagged = place
    polled = PolledLife(kind, history, size=size, cap=cap, tagged=tagged)
    for what, a, b in life:
        await _step(polled, what, a, b)
    return polled.unchanged


async def _step(polled: PolledLife, what: str, a: int, b: int) -> None:
    match what:
        case "head":
            await polled.poll()
        case "sweep":
            await polled.sweep()
        case "restart":
            polled.restart()
        case "fail":
            polled.committed.fault = FAULTS[b % 2]
        case "burst":
            for number in range(a):
                polled.bank.add(1, number)
        case "brief":
            await polled.brief(b, swept=bool(b % 2))
        case "flip":
            await polled.flip(a)
        case _:
            getattr(polled.bank, what)(a % 8, b)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    with silence():
        yield


@settings(max_examples=60)
@given(kinds, st.integers(0, 12), places, steps)
def test_unchanged_means_equal_to_what_is_committed(
    kind: ResourceKind, history: int, place: tuple[int, int, bool], life: list[Step]
) -> None:
    anyio.run(partial(live, kind, history, place, life))


@pytest.mark.proof
@settings(settings.get_profile("proof"), max_examples=600)
@given(kinds, st.integers(0, 12), places, steps)
def test_unchanged_means_equal_to_what_is_committed_in_many_lives(
    kind: ResourceKind, history: int, place: tuple[int, int, bool], life: list[Step]
) -> None:
    anyio.run(partial(live, kind, history, place, life))


def test_polls_of_a_bank_that_stands_still_are_unchanged() -> None:
    """Or the law would be about nothing."""
    still = [("head", 0, 0), ("sweep", 0, 0)] * 6
    assert anyio.run(live, NEWEST_FIRST, 8, (4, 3, False), still) >= 6
    assert anyio.run(live, WHOLE, 8, (4, 3, True), still) >= 6


BREAKS: dict[str, tuple[Plant, str, ResourceKind]] = {
    "a digest survives the commit of another read": (
        UNCHANGED["a digest survives the commit of another read"],
        "taken for unchanged",
        NEWEST_FIRST,
    ),
    "a tag survives the commit of another read": (
        UNCHANGED["a tag survives the commit of another read"],
        "taken for unchanged",
        NEWEST_FIRST,
    ),
    "a page that shows nothing new vouches for what is below": (
        JOINING["a page that shows nothing new vouches for what is below"],
        "new, and taken for unchanged",
        ASCENDING,
    ),
    "claims move while there is a hole": (JOINING["claims move while there is a hole"], "claimed", NEWEST_FIRST),
    "a hole does not stop the floor": (JOINING["a hole does not stop the floor"], "forgot above", NEWEST_FIRST),
}


QUICK = "a digest survives the commit of another read"


@pytest.mark.parametrize(
    "broken", [pytest.param(one, marks=() if one == QUICK else pytest.mark.proof) for one in BREAKS]
)
def test_the_law_notices_when_a_rule_is_broken(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, words, kind = BREAKS[broken]
    plant(monkeypatch)

    @settings(max_examples=400, phases=(Phase.generate,), report_multiple_bugs=False)
    @given(st.integers(0, 12), places, steps)
    def lives(history: int, place: tuple[int, int, bool], life: list[Step]) -> None:
        anyio.run(partial(live, kind, history, place, life))

    with pytest.raises(AssertionError, match=words):
        lives()
