"""One stream whose writes the broker refuses: every other stream of its shard goes on, and it does once it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from connector.cadence import Intervals
from connector.domains.registry import DOMAINS
from connector.proving.broker import Broker
from connector.runtime import connector
from connector.runtime.isolation import Isolation, Stream
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.kafka.raw import configure
from tests.support.log_watch import logged
from tests.support.virtual_clock import VirtualClock
from tests.support.world import KINDS, OPTIONS, World, people

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 20_000
"""Of a batch in `lending`: more than one holder's loans take, and less than the other's."""
# Long enough that one commit gathers what all streams have to say.
RUNTIME = replace(
    OPTIONS, linger_seconds=3.0, command_interval_seconds=10.0, intervals=dict.fromkeys(KINDS, Intervals(20.0, 40.0))
)


@pytest.fixture
async def world(tmp_path: Path, broker: Broker) -> AsyncIterator[World]:
    place = await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning={**QUICK, "compression": "none"})
    scenario = people("adult", "borrower")
    with logged() as log:
        async with World.open(tmp_path, scenario, seed=4, clock=VirtualClock(), options=RUNTIME, place=place) as opened:
            await configure(place, "lending", max_message_bytes=LIMIT_BYTES)
            await opened.link("adult", "borrower")
            yield opened
        print(log.getvalue())


async def pass_time(world: World, seconds: float) -> None:
    await cast("VirtualClock", world.clock).advance(seconds)


def streams_of(world: World) -> set[Stream]:
    return {(account_id, domain) for account_id in world.msisdn_of for domain in DOMAINS}


async def complete(world: World) -> set[Stream]:
    """The streams whose first sync is told to be complete."""
    return {
        (account_id, domain)
        for account_id, domain in streams_of(world)
        if "BackfillCompleted" in await world.streams_told(domain, account_id)
    }


async def quarantined(world: World) -> set[Stream]:
    """The streams that the last checkpoint calls quarantined."""
    told = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
    behind: list[dict[str, Any]] = told[-1]["after"]["checkpoint"]["behind"]
    return {(row["account_id"], row["domain"]) for row in behind if row["status"] == "ISOLATED"}


async def test_all_others_go_on_and_the_poisoned_one_once_it_can(world: World) -> None:
    _, borrower = world.msisdn_of
    poisoned = (borrower, "lending")
    async with world.at_work():
        await pass_time(world, 60)
        assert streams_of(world) - await complete(world) == {poisoned}
        assert await world.events("lending") != []
        assert await quarantined(world) == {poisoned}
        known = len(await world.told("transactions"))
        world.bank.step()
        await pass_time(world, 120)
        assert len(await world.told("transactions")) > known, "and goes on"
        await configure(cast("KafkaBackend", world.place), "lending")
        await pass_time(world, 200)
        assert await complete(world) == streams_of(world)
        assert await quarantined(world) == set()
    await world.assert_sound()


class Indifferent(Isolation):
    """Tries everything together again, for ever."""

    def admits(self, streams: Collection[Stream], taken: Collection[Stream]) -> bool:
        del streams, taken
        return True


async def test_without_halving_one_stream_stops_them_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "Isolation", Indifferent)
    async with world.at_work():
        await pass_time(world, 180)
        assert await complete(world) == set()
