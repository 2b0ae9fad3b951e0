"""An hour of an account, worked out from what was measured, and its tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bench.measure import Sample, Spread, ratio_of
from tests.bench.table import Table, figure

OURS = "connector"
YARDSTICK = "httpx"
HOUR_SECONDS = 3600.0
LOGIN = "(login)"
"""Stands for a domain where the login itself is read."""

Depth = Literal["head", "complete"]


@dataclass(frozen=True, slots=True)
class Polls:
    """Idle polls of one resource kind at one depth.

    `resources` is how many of the kind all accounts have, `turns_an_hour` how often each is read so deep while nothing
    happens, `turns_after_change` how many turns a change adds. Samples by name (the connector's and those of bare
    requests), one a round; each is of its own part of the accounts.
    """

    domain: str
    kind: str
    depth: Depth
    resources: int
    turns_an_hour: float
    turns_after_change: float
    samples: dict[str, list[Sample]]

    def cpu_micros(self, name: str = OURS) -> Spread:
        """CPU microseconds a poll."""
        return Spread.of([sample.cpu_micros for sample in self.samples[name]])

    @property
    def an_hour(self) -> float:
        """Polls of all accounts in an hour."""
        return self.resources * self.turns_an_hour

    def hour_seconds(self, name: str = OURS) -> float:
        """CPU seconds that these polls of all accounts take in an hour."""
        return self.an_hour * self.cpu_micros(name).median / 1e6


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Something done for all accounts together, idle or not, every `interval_seconds`."""

    name: str
    interval_seconds: float
    sample: Sample

    @property
    def hour_seconds(self) -> float:
        """CPU seconds that it takes in an hour."""
        return HOUR_SECONDS / self.interval_seconds * self.sample.cpu_micros / 1e6


@dataclass(frozen=True, slots=True)
class Active:
    """A round in which the bank lived on for `hours`, and the same reads before it, with nothing to find.

    The reads are of `accounts`. What they found are `events`; `commits` counts by kind of resource what they were told
    in. `stated` is how many changes the bank says there were for these accounts. The samples count polls.
    """

    accounts: int
    hours: float
    stated: int
    events: int
    commits: dict[str, int]
    idle: Sample
    active: Sample

    @property
    def change_seconds(self) -> float:
        """CPU seconds an event, beyond those of the same reads while idle."""
        return (self.active.cpu_seconds - self.idle.cpu_seconds) / self.events

    @property
    def found_seconds(self) -> float:
        """CPU seconds an event, with the polls that found it."""
        poll = self.idle.cpu_seconds / self.idle.count
        return self.change_seconds + poll * sum(self.commits.values()) / self.events

    @property
    def rate(self) -> float:
        """Events an account and hour of the bank's."""
        return self.events / self.accounts / self.hours


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a process grew by, by restoring so many accounts and by reading each once more."""

    gauge: str
    accounts: int
    restored: int
    polled: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Both."""
        return self.restored, self.polled


@dataclass(frozen=True, slots=True)
class Hour:
    """All that was measured on one journal. `entities` are those of all accounts together."""

    journal: str
    accounts: int
    entities: int
    polls: list[Polls]
    upkeep: list[Upkeep]
    active: list[Active]
    footprints: list[Footprint]

    @property
    def domains(self) -> list[str]:
        """In the order measured."""
        return list(dict.fromkeys(polls.domain for polls in self.polls))

    def of(self, domain: str | None) -> list[Polls]:
        """The polls of a domain; None: of all."""
        return [polls for polls in self.polls if domain in {None, polls.domain}]

    @property
    def idle_seconds(self) -> float:
        """CPU seconds an account and hour with nothing to find, upkeep included."""
        total = _seconds(self.polls) + sum(one.hour_seconds for one in self.upkeep)
        return total / self.accounts

    @property
    def rate(self) -> float:
        """Events an account and hour, over all rounds."""
        return sum(one.events for one in self.active) / sum(one.accounts * one.hours for one in self.active)

    @property
    def following_seconds(self) -> float:
        """CPU seconds an account and hour of the polls that come sooner after changes at that rate."""
        heads = [one for one in self.polls if one.depth == "head"]
        after = {one.kind: one.turns_after_change * one.cpu_micros().median / 1e6 for one in heads}
        hours = sum(one.accounts * one.hours for one in self.active)
        return sum(after[kind] * count for one in self.active for kind, count in one.commits.items()) / hours

    @property
    def active_seconds(self) -> float:
        """CPU seconds an account and hour at that rate."""
        change = Spread.of([one.change_seconds for one in self.active]).median
        return self.idle_seconds + self.rate * change + self.following_seconds


def tables(hours: Sequence[Hour]) -> tuple[Table, ...]:
    """Polls by kind, hours by domain, changes, memory."""
    return (_kinds(hours), _domains(hours), _changes(hours), _memory(hours))


def _kinds(hours: Sequence[Hour]) -> Table:
    by_kind: dict[str, dict[str, list[Polls]]] = {}
    for hour in hours:
        for polls in hour.polls:
            by_kind.setdefault(polls.kind, {}).setdefault(polls.depth, []).append(polls)
    rows = []
    for kind, depths in by_kind.items():
        cells: list[str] = []
        for depth in ("head", "complete"):
            found = depths.get(depth)
            cells += ["", "", ""] if found is None else _poll_cells(found)
        rows.append((next(iter(depths.values()))[0].domain, kind, *cells))
    return Table(
        f"Idle polls of {hours[0].accounts:,} accounts: CPU us a poll",
        ("domain", "resource", "every", "head", "x", "every", "complete", "x"),
        tuple(rows),
        (
            (
                "Through the job runner, 16 at a time, on all journals: an idle poll touches none. 'every': seconds "
                "between two reads of a resource at default cadence while nothing happens. 'x': times the CPU of the "
                "same requests by httpx, bodies thrown away. What is always read whole has its figures under 'head'."
            ),
        ),
    )


def _poll_cells(found: Iterable[Polls]) -> list[str]:
    polls = list(found)
    ours, bare = ([sample.cpu_micros for one in polls for sample in one.samples[name]] for name in (OURS, YARDSTICK))
    ratio = ratio_of(ours, bare)
    return [
        figure(HOUR_SECONDS / polls[0].turns_an_hour),
        figure(Spread.of(ours).median),
        f"{ratio.median:.2f}",
    ]


def _domains(hours: Sequence[Hour]) -> Table:
    per_core = ", ".join(
        f"{HOUR_SECONDS / hour.idle_seconds:,.0f} idle or {HOUR_SECONDS / hour.active_seconds:,.0f} active accounts "
        f"on {hour.journal}"
        for hour in hours
    )
    return Table(
        f"An hour of an account, of {hours[0].accounts:,}, at default cadence",
        ("journal", "what", "polls", "CPU ms", *(f"x {name}" for name in _yardsticks(hours[0].polls))),
        tuple(row for hour in hours for row in _hour_rows(hour)),
        (
            (
                "Polls and CPU an account and hour. Looks for commands and checkpoints are of the one shard that has "
                "all accounts; their CPU is divided by them, and only that of the polls is held against bare requests. "
                "Changes have reads come sooner for a while, which is in the last line."
            ),
            f"One core has 3,600 CPU seconds an hour, which is what {per_core} take.",
        ),
    )


def _hour_rows(hour: Hour) -> Iterator[tuple[str, ...]]:
    blank = [""] * len(_yardsticks(hour.polls))
    for domain in hour.domains:
        polls = hour.of(domain)
        yield hour.journal, domain, _polls(polls, hour), _millis(_seconds(polls), hour), *_ratios(polls)
    for one in hour.upkeep:
        yield hour.journal, one.name, "", _millis(one.hour_seconds, hour), *blank
    in_all = figure(hour.idle_seconds * 1000)
    yield hour.journal, "idle, in all", _polls(hour.polls, hour), in_all, *_ratios(hour.polls)
    yield hour.journal, f"with {figure(hour.rate)} changes", "", figure(hour.active_seconds * 1000), *blank


def _polls(polls: Sequence[Polls], hour: Hour) -> str:
    return figure(sum(one.an_hour for one in polls) / hour.accounts)


def _seconds(polls: Sequence[Polls], name: str = OURS) -> float:
    return sum(one.hour_seconds(name) for one in polls)


def _yardsticks(polls: Sequence[Polls]) -> list[str]:
    return [name for name in polls[0].samples if name != OURS]


def _ratios(polls: Sequence[Polls]) -> list[str]:
    """Times the CPU of each yardstick that polls take in an hour, of the medians of the rounds."""
    return [f"{_seconds(polls) / _seconds(polls, name):.2f}x" for name in _yardsticks(polls)]


def _millis(seconds: float, hour: Hour) -> str:
    return figure(seconds / hour.accounts * 1000)


def _changes(hours: Sequence[Hour]) -> Table:
    rows = []
    for hour in hours:
        found: Mapping[str, Callable[[Active], float]] = {
            "change": lambda one: one.change_seconds * 1000,
            "found": lambda one: one.found_seconds * 1000,
            "ratio": lambda one: one.active.cpu_seconds / one.idle.cpu_seconds,
        }
        cells = {name: Spread.of([of(one) for one in hour.active]) for name, of in found.items()}
        rows.append(
            (
                hour.journal,
                f"{len(hour.active)} x {hour.active[0].accounts} accounts",
                figure(sum(one.hours for one in hour.active)),
                figure(sum(one.stated for one in hour.active)),
                figure(sum(one.events for one in hour.active)),
                figure(cells["change"].median),
                figure(cells["found"].median),
                f"{cells['ratio'].median:.2f}x",
            )
        )
    return Table(
        "Changes, read as they are due: CPU ms an event",
        ("journal", "what", "hours", "changes", "events", "ms", "with poll", "active/idle"),
        tuple(rows),
        (
            (
                "'hours' is ledger time that the bank lived on; 'changes' is what it says it did for these accounts, "
                "'events' what was told. Each hour is read by a head read, a complete read and another head read of "
                "everything, one read and one commit after another; 'ms' is that less the same reads before it."
            ),
        ),
    )


def _memory(hours: Sequence[Hour]) -> Table:
    rows = [
        (hour.journal, one.gauge, f"{one.accounts:,}", *(figure(size / one.accounts) for size in one.sizes))
        for hour in hours
        for one in hour.footprints
    ]
    entities = hours[0].entities / hours[0].accounts
    return Table(
        "Bytes of an account with all domains",
        ("journal", "gauge", "of accounts", "restored", "polled"),
        tuple(rows),
        (f"With {figure(entities)} entities an account.",),
    )
