"""Idle polls: nothing changed at the bank. The connector as `run` drives it, against bare requests for the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio

from connector.cadence import Intervals
from connector.runtime.connector import worker_options
from connector.runtime.polls import PollCounts
from tests.bench.comparison import COLUMNS, Comparison
from tests.bench.linked import CONCURRENCY, Place, connect, opened_edges, worker_of
from tests.bench.measure import Sample, metered
from tests.bench.raw_http import CLIENTS, PAGE_LIMIT, feed_path, headers_of
from tests.bench.rig import Rig
from tests.bench.table import Table

OURS = "connector"
SATURATING = Intervals(head_interval_seconds=0.001, reconcile_interval_seconds=1e9)
"""Every account is due again at once, and no complete read comes in between."""
WARM_ROUNDS = 3
LOOK_SECONDS = 0.01


def require_idle(before: PollCounts, after: PollCounts) -> None:
    """Pass where all polls between two counts found nothing.

    Raises:
        RuntimeError: some found something.
    """
    # A poll that is in flight is counted already, and not yet known to be idle.
    polls, unchanged = after.polls - before.polls, after.unchanged - before.unchanged
    if after.committed > before.committed or polls - unchanged > CONCURRENCY:
        raise RuntimeError(f"of {polls} polls {polls - unchanged} were not idle")


async def poll(place: Place, base_url: str, holders: int, polls: int) -> Sample:
    """Idle head polls of a connector that was restarted with everything known, through scheduler and job runner."""
    settings = place.settings(base_url)
    options = replace(worker_options(settings), intervals={"transactions": SATURATING})
    async with opened_edges(settings) as edges:
        await connect(edges, settings, holders)
        async with worker_of(edges, options).opened_by_hand() as first:
            await first.read_all(first.linked)
            await first.read_all(first.linked, profile=False)
        worker, stop = worker_of(edges, options), anyio.Event()
        counts = worker.polls.counts

        async def until(target: int) -> None:
            while counts.polls < target:  # noqa: ASYNC110  nothing tells of a poll, and nothing must for this
                await anyio.sleep(LOOK_SECONDS)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, stop)
            await until(WARM_ROUNDS * holders)
            before = replace(counts)
            with metered() as meter:
                await until(before.polls + polls)
                done = counts.polls - before.polls
            require_idle(before, counts)
            stop.set()
    return meter.sample(done)


async def request(base_url: str, client: str, holders: int, requests: int, *, tags: bool) -> Sample:
    """Bare requests for the same pages, body read, nothing looked at; with `tags` each is asked for if it changed."""
    known: dict[int, str | None] = {}

    async with CLIENTS[client](base_url) as get:

        async def lane(numbers: Iterator[int]) -> None:
            for number in numbers:
                headers = headers_of(number)
                if tags and (tag := known.get(number)):
                    headers["If-None-Match"] = tag
                _, known[number] = await get(feed_path(number), {"limit": str(PAGE_LIMIT)}, headers)

        async def many(count: int) -> None:
            numbers = iter([place % holders for place in range(count)])
            async with anyio.create_task_group() as lanes:
                for _ in range(CONCURRENCY):
                    lanes.start_soon(lane, numbers)

        await many(WARM_ROUNDS * holders)
        with metered() as meter:
            await many(requests)
    return meter.sample(requests)


def run_connector(parent: Path, brokers: str | None, base_url: str, holders: int, polls: int) -> Sample:
    """`poll`, in this process."""
    return anyio.run(poll, Place.fresh(parent, brokers), base_url, holders, polls)


def run_requests(base_url: str, client: str, holders: int, requests: int, tags: bool) -> Sample:
    """`request`, in this process."""

    async def requesting() -> Sample:
        return await request(base_url, client, holders, requests, tags=tags)

    return anyio.run(requesting)


def measure(rig: Rig) -> list[Comparison]:
    """Rounds of the connector and of both clients, with and without entity tags."""
    holders, polls = rig.scale.idle_holders, rig.scale.idle_polls
    found = []
    for tags in (True, False):
        with rig.bank(holders, holders, PAGE_LIMIT, tags=tags) as bank:
            for journal, brokers in rig.journals.items():
                name = f"{journal}, {'304' if tags else 'no ETag'}"
                samples: dict[str, list[Sample]] = {OURS: [], **{client: [] for client in CLIENTS}}
                for number in range(rig.scale.rounds):
                    rig.say(f"idle polls, {name}, round {number + 1} of {rig.scale.rounds}")
                    place = (rig.directory, brokers, bank.base_url)
                    samples[OURS].append(rig.run(run_connector, *place, holders, polls))
                    for client in CLIENTS:
                        samples[client].append(rig.run(run_requests, bank.base_url, client, holders, polls, tags))
                found.append(Comparison(name, OURS, samples))
    return found


def table(figures: list[Comparison]) -> Table:
    """Microseconds a poll."""
    return Table(
        f"Idle head polls of {PAGE_LIMIT} entries: us a poll",
        COLUMNS,
        tuple(row for comparison in figures for row in comparison.rows()),
        ("The connector is `run` with every account due at once; 'httpx' is httpx over httpx-aiohttp, as in it.",),
    )
