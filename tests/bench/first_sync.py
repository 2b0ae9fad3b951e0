"""First sync: the connector against raw loops over the same libraries, and over the leanest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio

from connector.journal.choice import open_reader
from connector.runtime.connector import worker_options
from tests.bench import raw_loops
from tests.bench.comparison import COLUMNS, Comparison
from tests.bench.linked import DOMAIN, Place, connect, opened_edges, worker_of
from tests.bench.measure import Sample, metered
from tests.bench.rig import Rig
from tests.bench.table import Table

OURS = "connector"
COMPLETE = "complete read after it"


@dataclass(frozen=True, slots=True)
class Synced:
    """A first sync, and the complete read that follows every first sync and makes removals visible."""

    first: Sample
    complete: Sample


async def sync(place: Place, base_url: str, holders: int, records: int) -> Synced:
    """Sync `holders` with `records` entries in all.

    Raises:
        RuntimeError: not everything was told.
    """
    settings = place.settings(base_url)
    async with opened_edges(settings) as edges:
        await connect(edges, settings, holders)
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            with metered() as first:
                await worker.read_all(worker.linked)
            with metered() as complete:
                await worker.read_all(worker.linked, profile=False)
        reader = await open_reader(settings, edges.clock)
        try:
            told = [event async for event in reader.read_events((DOMAIN,))]
        finally:
            await reader.close()
    # Beside the entries each stream tells that it opened, and that it is backfilled.
    if len(told) != records + 2 * holders:
        raise RuntimeError(f"{len(told)} events were told of {records} entries")
    return Synced(first.sample(records), complete.sample(records))


def run(parent: Path, brokers: str | None, base_url: str, holders: int, entries: int) -> Synced:
    """One run in this process, after a small one that warms it up."""

    async def both() -> Synced:
        await sync(Place.fresh(parent, brokers), base_url, 1, entries)
        return await sync(Place.fresh(parent, brokers), base_url, holders, holders * entries)

    return anyio.run(both)


def measure(rig: Rig) -> list[Comparison]:
    """Rounds of the connector and of every raw loop, one after the other, on each journal."""
    holders, entries = rig.scale.sync_holders, rig.scale.sync_entries
    found = []
    with rig.bank(holders, holders, entries) as bank:
        for journal, brokers in rig.journals.items():
            samples: dict[str, list[Sample]] = {name: [] for name in (OURS, COMPLETE, *raw_loops.LOOPS)}
            for number in range(rig.scale.rounds):
                rig.say(f"first sync, {journal}, round {number + 1} of {rig.scale.rounds}")
                synced = rig.run(run, rig.directory, brokers, bank.base_url, holders, entries)
                samples[OURS].append(synced.first)
                samples[COMPLETE].append(synced.complete)
                for loop in raw_loops.LOOPS:
                    place = (rig.directory, brokers, bank.base_url)
                    samples[loop].append(rig.run(raw_loops.run, *place, loop, holders, entries))
            found.append(Comparison(journal, OURS, samples))
    return found


def table(figures: list[Comparison]) -> Table:
    """Microseconds a record."""
    records = figures[0].samples[OURS][0].count
    return Table(
        f"First sync of {records:,} records: us a record",
        COLUMNS,
        tuple(row for comparison in figures for row in comparison.rows()),
        (
            "The complete read follows every first sync at once; it is not part of it.",
            (
                "Raw loops neither diff nor remember. 'same libraries' is httpx, pydantic, fastavro, aiokafka (or "
                "SQLite) with the published schema and headers; 'leanest' is aiohttp and orjson, money as long, no "
                "headers. To Kafka they write acknowledged batches, lz4, in no transaction."
            ),
        ),
    )
