"""One stream whose writes the broker refuses: every other stream of its shard goes on, and it does once it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
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
PATIENCE = 400
DROPS = 8
"""With halving, all but one stream are complete by then."""
# Long enough that one commit gathers what all streams have to say.
RUNTIME = replace(
    OPTIONS, linger_seconds=3.0, command_interval_seconds=10.0, intervals=dict.fromkeys(KINDS, Intervals(20.0, 40.0))
)


@pytest.fixture
async def world(tmp_path: Path, broker: Broker) -> AsyncIterator[World]:
    place = await fresh_kafka(
        broker.bootstrap_servers,
        shard_count=1,
        tuning={**QUICK, "compression": "none", "request_timeout_seconds": 20.0},
    )
    scenario = people("adult", "borrower")
    with logged() as log:
        async with World.open(tmp_path, scenario, seed=4, clock=VirtualClock(), options=RUNTIME, place=place) as opened:
            await configure(place, "lending", max_message_bytes=LIMIT_BYTES)
            await opened.link("adult", "borrower")
            yield opened
        print(log.getvalue())


async def until(world: World, there: Callable[[], Awaitable[bool]], what: str) -> None:
    """Pass time until that is so: how much of it a commit takes on a real broker depends on the machine.

    It goes on while the topics are read: a dropped shard's transaction stays open until the shard is taken up again.
    """

    async def pass_time() -> None:
        while True:
            await cast("VirtualClock", world.clock).advance(1)
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as passing:
        passing.start_soon(pass_time)
        for _ in range(PATIENCE):
            if await there():
                passing.cancel_scope.cancel()
                return
            await anyio.sleep(0.2)
    pytest.fail(f"it never came to this: {what}")


def streams_of(world: World) -> set[Stream]:
    return {(account_id, domain) for account_id in world.msisdn_of for domain in DOMAINS}


async def complete(world: World) -> set[Stream]:
    """The streams whose first sync is told to be complete."""
    return {
        (event["account_id"], domain)
        for domain, event in await world.events(*DOMAINS)
        if event["event_type"] == "BackfillCompleted"
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

        async def others_complete() -> bool:
            return await complete(world) == streams_of(world) - {poisoned} and await quarantined(world) == {poisoned}

        await until(world, others_complete, "every stream but one is complete, and that one told as set aside")
        assert await world.events("lending") != []
        known = len(await world.told("transactions"))
        world.bank.step()

        async def goes_on() -> bool:
            return len(await world.told("transactions")) > known

        await until(world, goes_on, "the others tell what is new")
        assert poisoned not in await complete(world)
        await configure(cast("KafkaBackend", world.place), "lending")

        async def whole() -> bool:
            return await complete(world) == streams_of(world) and await quarantined(world) == set()

        await until(world, whole, "the one goes on, too")
    await world.assert_sound()


class Indifferent(Isolation):
    """Tries everything together again, for ever."""

    def admits(self, streams: Collection[Stream], taken: Collection[Stream]) -> bool:
        del streams, taken
        return True


@pytest.mark.proof
async def test_without_halving_one_stream_stops_them_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "Isolation", Indifferent)
    with logged() as log:
        async with world.at_work():

            async def dropped() -> bool:
                return len(log.lines("shard_restored")) >= DROPS

            await until(world, dropped, f"the shard was taken up again {DROPS} times")
            assert await complete(world) == set()
