"""What the adversary and its judge are worth: rules broken on purpose, each of them found.

A break stands before a port (the source, the journal). `SCRIPT` is a short life without any lie of the bank's, so that
what is found is the break's doing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from connector.domains.model import Entry
from connector.ports import Commit, Page, PageRequest, RawPage, Resource
from tests.adversary.broken_rules import OVER_TIME
from tests.adversary.machine import THEMES, Script, Siege, Theme, play, script_of
from tests.second_bank.surfaces import LEDGERS

THEME = Theme((), history=12, page_limits=(7, 7, 7))
BILLS = LEDGERS.index("bills")
SCRIPT: Script = [
    *([("wait", 0, 4), ("read", 0, 0)] * 2),
    ("add", BILLS, 6),
    ("wait", 0, 1),
    ("look", 0, 0),
    ("amend", BILLS, 40),
    ("garble", BILLS, 3),
    ("wait", 0, 4),
    ("read", 0, 0),
    *([("wait", 0, 4), ("read", 0, 0)] * 2),
    ("mend", 0, 0),
    ("remove", BILLS, 2),
    ("wait", 0, 4),
    ("read", 0, 0),
]


class _Source:
    """A source with one thing wrong."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def normalise(self, resource: Resource, body: bytes) -> Page:
        page: Page = self._inner.normalise(resource, body)
        return page

    async def understand(self, resource: Resource, body: bytes) -> Page:
        return self.normalise(resource, body)


class _LosesAnEntry(_Source):
    def normalise(self, resource: Resource, body: bytes) -> Page:
        page: Page = self._inner.normalise(resource, body)
        return replace(page, entries=page.entries[:3] + page.entries[4:])


class _TakesOnePageForAll(_Source):
    def normalise(self, resource: Resource, body: bytes) -> Page:
        return replace(self._inner.normalise(resource, body), next_cursor=None)


class _DropsWhatItCannotRead(_Source):
    def normalise(self, resource: Resource, body: bytes) -> Page:
        page: Page = self._inner.normalise(resource, body)
        return replace(page, entries=tuple(one for one in page.entries if isinstance(one, Entry)))


class _ShowsWhatItShowedFirst(_Source):
    def __init__(self, inner: Any, shown: dict[object, RawPage]) -> None:
        super().__init__(inner)
        self._shown = shown

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        fresh: RawPage = await self._inner.fetch_page(resource, request)
        first = self._shown.setdefault((resource.name, replace(request, etag=None, since=None)), fresh)
        return replace(fresh, body=first.body, digest=first.digest)


class _Journal:
    """A journal that writes another commit than the one it was given."""

    def __init__(self, change: Callable[[Commit], Commit], inner: Any) -> None:
        self._inner = inner
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def acquire(self, shard: int) -> Any:
        return _Shard(self._change, await self._inner.acquire(shard))


class _Shard(_Journal):
    def restore(self) -> Any:
        return self._inner.restore()

    async def commit(self, commit: Commit) -> None:
        await self._inner.commit(self._change(commit))


class _TellsLate(_Journal):
    """A journal that writes the events of a commit with the next one, the last ones when it is released."""

    def __init__(self, inner: Any) -> None:
        super().__init__(lambda commit: commit, inner)

    async def acquire(self, shard: int) -> Any:
        return _LateShard(await self._inner.acquire(shard))


class _LateShard(_Shard):
    def __init__(self, inner: Any) -> None:
        super().__init__(lambda commit: commit, inner)
        self._owed: Commit | None = None

    async def commit(self, commit: Commit) -> None:
        owed, self._owed = self._owed, commit
        await self._inner.commit(replace(commit, events=owed.events if owed is not None else ()))

    async def release(self) -> None:
        if (owed := self._owed) is not None:
            journal = self._inner._journal
            await journal.database.run(lambda connection: self._inner.write_events(connection, owed))
        await self._inner.release()


def _without_the_last_event(commit: Commit) -> Commit:
    return replace(commit, events=commit.events[:-1] if len(commit.events) > 4 else commit.events)


def _with_an_event_twice(commit: Commit) -> Commit:
    return replace(commit, events=(*commit.events, *commit.events[-1:]))


def _in_the_wrong_order(commit: Commit) -> Commit:
    return replace(commit, events=commit.events[::-1])


KILLED: Script = [*SCRIPT[:6], ("kill", 0, 0), *SCRIPT[6:9], ("restart", 0, 0), *SCRIPT[9:]]


@dataclass(frozen=True)
class Break:
    """What is broken, and what must be found."""

    siege: Callable[[Theme], Siege]
    found: str


BREAKS = {
    "an entry is lost": Break(partial(Siege, source=_LosesAnEntry), "and is not told"),
    "one page is all": Break(partial(Siege, source=_TakesOnePageForAll), "at the end .* is told as gone"),
    "the unreadable is dropped": Break(
        partial(Siege, source=_DropsWhatItCannotRead), "removed, and never was|at the end"
    ),
    "answers are kept": Break(
        partial(Siege, source=partial(_ShowsWhatItShowedFirst, shown={})), "is told as it was before"
    ),
    "an event is lost": Break(
        partial(Siege, journal=partial(_Journal, _without_the_last_event)), "the sequence does not follow"
    ),
    "an event comes twice": Break(
        partial(Siege, journal=partial(_Journal, _with_an_event_twice)), "the sequence does not follow"
    ),
    "events change places": Break(
        partial(Siege, journal=partial(_Journal, _in_the_wrong_order)), "the sequence does not follow"
    ),
}


QUICK = {"an entry is lost", "events change places"}


@pytest.mark.parametrize(
    "broken", [pytest.param(one, marks=() if one in QUICK else pytest.mark.proof) for one in BREAKS]
)
def test_the_judge_finds_what_is_broken(broken: str) -> None:
    findings = play(THEME, SCRIPT, BREAKS[broken].siege)
    assert any(_matches(BREAKS[broken].found, one) for one in findings), "\n".join(findings[:8]) or "nothing was found"


@pytest.mark.parametrize("script", [SCRIPT, pytest.param(KILLED, marks=pytest.mark.proof)])
def test_the_same_life_without_a_break_is_told_rightly(script: Script) -> None:
    assert play(THEME, script) == []


@pytest.mark.proof
def test_what_is_told_after_the_commit_is_found_where_somebody_is_killed_in_between() -> None:
    late = partial(Siege, journal=_TellsLate)
    assert play(THEME, [step for step in KILLED if step[0] != "kill"], late) == []
    assert any("the sequence does not follow" in one for one in play(THEME, KILLED, late))


# By theme and seed, and in what words.
LIVES = {
    "a claim is of our clock alone": ("clocks", 1, "claims .* and it is|and never was"),
    "our clock alone ends what cannot be undone": ("clocks", 1, "though nobody ended anything"),
    "a step of the clock is not doubted": ("clocks", 1, "though nobody ended anything|closed for consent"),
}


@pytest.mark.proof
@pytest.mark.parametrize("broken", LIVES)
def test_a_life_finds_what_is_broken_about_clocks(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theme, seed, words = LIVES[broken]
    OVER_TIME[broken](monkeypatch)
    findings = play(THEMES[theme], script_of(THEMES[theme], seed))
    assert any(_matches(words, one) for one in findings), "\n".join(findings[:8]) or "nothing was found"


def _matches(pattern: str, words: str) -> bool:
    return re.search(pattern, words) is not None
