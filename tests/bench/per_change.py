"""Bytes and time per change: one new transaction a commit, with few and with many entities remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from connector.ports import Commit
from connector.runtime.connector import worker_options
from tests.bench.canned_bank import RunningBank
from tests.bench.linked import Place, connect, opened_edges, worker_of
from tests.bench.measure import Meter, Sample, metered
from tests.bench.recording import RecordingJournal, event_bytes, state_bytes
from tests.bench.rig import Rig
from tests.bench.table import Table, figure


@dataclass(frozen=True, slots=True)
class PerChange:
    """What `sample.count` changes took, each in a commit of its own: the poll that found it, and the commit.

    `events` and `state` are bytes of keys, values and headers; `written` what reached the journal's files, where known.
    """

    journal: str
    window: int
    sample: Sample
    events: int
    state: int
    written: int | None


def sqlite_written(_place: Place) -> int | None:
    """Bytes that this process wrote to files since it began; None where the system does not tell."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def kafka_written(broker_data: Path, place: Place) -> int:
    """Bytes in the log segments of the place's topics; nothing of them is compacted within an hour."""
    prefix = place.settings("http://127.0.0.1:1").kafka.prefix
    return sum(path.stat().st_size for path in broker_data.glob(f"{prefix}.*/*.log"))


async def measure_changes(
    place: Place, bank: RunningBank, window: int, holders: int, changes: int, written: Callable[[Place], int | None]
) -> PerChange:
    """Let `holders` have a window full, then one new entry after another, each found and committed by itself.

    Raises:
        RuntimeError: a commit was not of one change.
    """
    bank.show(window)
    settings = place.settings(bank.base_url, linger_seconds=0.0)
    async with opened_edges(settings) as edges:
        await connect(edges, settings, holders)
        recording = RecordingJournal(edges.journal)
        worker = worker_of(replace(edges, journal=recording), worker_options(settings))
        async with worker.opened_by_hand():
            for reading in range(3):
                await worker.read_all(worker.linked, profile=reading == 0)
            recording.commits.clear()
            before, meters = written(place), []
            for number in range(changes):
                bank.show(window + number + 1)
                with metered() as meter:
                    # One after the other: gathered into one commit, they would share what is written once.
                    await worker.read_all(worker.linked, profile=False, lanes=1)
                meters.append(meter)
            after = written(place)
    commits = recording.commits
    if [len(commit.events) for commit in commits] != [1] * (holders * changes):
        raise RuntimeError(f"{len(commits)} commits were made of {holders * changes} changes")
    return PerChange(
        place.journal,
        window,
        _together(meters, len(commits)),
        _mean(event_bytes, commits),
        _mean(state_bytes, commits),
        None if before is None or after is None else (after - before) // len(commits),
    )


def _together(meters: list[Meter], count: int) -> Sample:
    return Sample(sum(one.cpu_seconds for one in meters), sum(one.wall_seconds for one in meters), count)


def _mean(of: Callable[[Commit], int], commits: list[Commit]) -> int:
    return sum(map(of, commits)) // len(commits)


def run(
    parent: Path,
    brokers: str | None,
    broker_data: Path | None,
    base_url: str,
    window: int,
    holders: int,
    changes: int,
) -> PerChange:
    """One run, in this process."""

    def written(place: Place) -> int | None:
        return sqlite_written(place) if broker_data is None else kafka_written(broker_data, place)

    place = Place.fresh(parent, brokers)
    return anyio.run(measure_changes, place, RunningBank(base_url), window, holders, changes, written)


def measure(rig: Rig) -> list[PerChange]:
    """Every journal at every window."""
    holders, changes = rig.scale.change_holders, rig.scale.changes
    found = []
    for window in rig.scale.change_windows:
        with rig.bank(holders, holders, window + changes) as bank:
            for journal, brokers in rig.journals.items():
                rig.say(f"per change, {journal}, window {window}")
                data = rig.broker_data if brokers is not None else None
                place = (rig.directory, brokers, data, bank.base_url)
                found.append(rig.run(run, *place, window, holders, changes))
    return sorted(found, key=lambda one: list(rig.journals).index(one.journal))


def table(figures: list[PerChange]) -> Table:
    """Bytes and microseconds a change."""
    rows = [
        (
            one.journal,
            f"window {one.window}",
            figure(one.events),
            figure(one.state),
            "" if one.written is None else figure(one.written),
            figure(one.sample.cpu_micros),
            figure(one.sample.wall_micros),
        )
        for one in figures
    ]
    return Table(
        "One new transaction in a commit of its own",
        ("journal", "what", "event bytes", "state bytes", "on disk", "CPU us", "wall us"),
        tuple(rows),
        (
            (
                f"Means of {figures[0].sample.count} changes. Time includes the poll that found the change. On disk: "
                "what SQLite wrote, its log and its checkpoints; what the broker's logs grew by, markers included."
            ),
        ),
    )
