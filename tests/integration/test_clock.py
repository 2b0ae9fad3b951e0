"""The host's clock wrong in every way: what is read, what is claimed, what is never ended by it.

The bank's answers carry the world's time, whatever the host's wall clock shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from connector.runtime.shard_worker import ShardWorker
from connector.sources.zindigi.http import BankHttp
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from tests.support.virtual_clock import VirtualClock
from tests.support.world import OPTIONS, World, people

pytestmark = pytest.mark.anyio

HOUR = 3600.0
DAY = 86_400.0


class Dated(httpx.AsyncBaseTransport):
    """A bank whose every answer says what time it is, `ahead` of the world's or not; away while `away`."""

    def __init__(self, world: World, clock: VirtualClock) -> None:
        self._world = world
        self._clock = clock
        self.ahead = timedelta()
        self.away = False
        self.probes: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away")
        date = format_datetime(self._clock.world_time + self.ahead, usegmt=True)
        if request.method == "HEAD":
            self.probes.append(request)
            return httpx.Response(405, headers={"date": date})
        answer = await self._world.transport.handle_async_request(request)
        answer.headers["date"] = date
        return answer


class Place:
    """A world, its clock, and its bank's transport."""

    def __init__(self, world: World, clock: VirtualClock, bank: Dated) -> None:
        self.world = world
        self.clock = clock
        self.bank = bank

    async def believe(self, worker: ShardWorker) -> None:
        """Let the clocks be looked at until there is no more to find out."""
        for _ in range(4):
            await worker.heed_clock()
            self.clock.jump(5)

    async def read(self, worker: ShardWorker, times: int = 3) -> None:
        for _ in range(times):
            await self.world.read_once(worker)
            self.clock.jump(1)

    async def claims(self) -> list[datetime]:
        """Every instant that a checkpoint or an event of the connector's claims as past."""
        told: list[datetime] = []
        for _, event in await self.world.events("lifecycle"):
            checkpoint = (event["after"] or {}).get("checkpoint")
            if checkpoint is not None:
                told += [checkpoint[name] for name in ("polled_until", "reconciled_until") if checkpoint[name]]
        return told

    async def names(self, account_id: str) -> list[str]:
        return await self.world.links_told(account_id)

    def logouts(self) -> int:
        return self.world.calls("/auth/session", status=204)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    clock = VirtualClock()
    options = replace(OPTIONS, bank_tells_time=True)
    async with World.open(tmp_path, people("adult"), seed=7, clock=clock, options=options) as world:
        bank = Dated(world, clock)
        await world.source.close()
        settings = ZindigiOptions(base_url="http://127.0.0.1:1")
        world.source = ZindigiSource(BankHttp(settings, clock, transport=bank), world.vault, clock, settings)
        yield Place(world, clock, bank)


async def test_a_first_sync_with_the_clock_ahead_is_gone_on_with_once_it_is_right(place: Place) -> None:
    place.clock.step(5 * HOUR)
    [adult] = await place.world.link("adult")
    async with place.world.working() as worker:
        await place.read(worker)
        await place.believe(worker)
        await place.read(worker)
        assert await place.world.told("transactions", adult)
        place.clock.step(-5 * HOUR)
        await place.believe(worker)
        # The consent was given by the clock that ran ahead: it begins when it says.
        assert worker.runner._until_consent(worker.accounts[adult]) is not None
        assert all(
            memory.read_at is None or memory.read_at <= place.clock.now()
            for stream in worker.accounts[adult].streams.values()
            for memory in stream.resources.values()
        )
        await worker.checkpoint()
        latest = await place.claims()
        assert all(at <= place.clock.now() for at in latest[-2:])
        place.clock.jump(5 * HOUR)
        place.world.bank.step()
        await place.read(worker)
        for _ in range(3):
            await worker.sweep()
        await place.world.assert_sound()


@pytest.mark.parametrize("days", [200, 400])
async def test_a_clock_far_ahead_for_three_seconds_ends_nothing(place: Place, days: int) -> None:
    [adult] = await place.world.link("adult")
    async with place.world.working() as worker:
        await place.read(worker)
        before = await place.names(adult)
        asked = len(place.world.transport.calls)
        place.clock.step(days * DAY)
        for _ in range(3):
            await worker.checkpoint()
            await place.world.read_once(worker)
            await worker.heed_clock()
            place.clock.jump(1)
        assert len(place.world.transport.calls) == asked, "nothing is read in doubt"
        place.clock.step(-days * DAY)
        await worker.heed_clock()
        await place.read(worker)
        await worker.checkpoint()
        assert await place.names(adult) == before
        assert place.logouts() == 0
        assert place.clock.now() - max(await place.claims()) < timedelta(minutes=1)
        assert max(await place.claims()) <= place.clock.now()
        for probe in place.bank.probes:
            assert "authorization" not in probe.headers
            assert "x-device-id" not in probe.headers


async def test_a_start_with_the_clock_far_ahead_ends_nothing_even_if_it_stays(place: Place) -> None:
    [adult] = await place.world.link("adult")
    async with place.world.working() as worker:
        await place.read(worker)
    before = await place.names(adult)
    place.clock.step(200 * DAY)
    async with place.world.working() as worker:
        for _ in range(10):
            await worker.checkpoint()
            await place.world.read_once(worker)
            await place.believe(worker)
        assert await place.names(adult) == before
        assert place.logouts() == 0
        place.clock.step(-200 * DAY)
        await place.believe(worker)
        place.world.bank.step()
        for _ in range(3):
            await worker.sweep()
        await place.world.assert_sound()


async def test_a_consent_s_end_comes_when_two_clocks_say_so_and_not_while_the_bank_is_away(place: Place) -> None:
    [adult] = await place.world.link("adult", days=1)
    async with place.world.working() as worker:
        await place.read(worker)
    place.clock.jump(DAY)
    place.bank.away = True
    async with place.world.working() as worker:
        asked = len(place.world.transport.calls)
        await worker.checkpoint()
        await place.read(worker)
        await place.believe(worker)
        assert len(place.world.transport.calls) == asked, "the gate is shut by our own clock"
        assert "ConsentExpired" not in await place.names(adult)
        place.bank.away = False
        await place.believe(worker)
        await worker.checkpoint()
        assert (await place.names(adult))[-2:] == ["ConsentExpired", "LinkClosed"]


async def test_a_clock_set_back_over_a_consent_s_end_reopens_nothing(place: Place) -> None:
    await place.world.link("adult", days=1)
    async with place.world.working() as worker:
        await place.read(worker)
        place.clock.jump(DAY - 30)
        await place.read(worker, 2)
        # Pages of just before the end confirmed that time, and the checkpoint keeps it.
        await worker.checkpoint()
    place.clock.jump(60)
    # The end has come and is not told; somebody sets the clock back, and the bank is away.
    place.bank.away = True
    place.clock.step(-5 * HOUR)
    asked = len(place.world.transport.calls)
    async with place.world.working() as worker:
        await place.believe(worker)
        await place.read(worker)
        assert worker.clock_doubt.doubtful
        assert worker.clock_doubt.confirmed is not None
        place.bank.away = False
        await place.believe(worker)
        await place.read(worker)
        assert len(place.world.transport.calls) == asked


async def test_nine_hours_of_suspend_over_a_snapshot_are_made_up_for(place: Place) -> None:
    [adult] = await place.world.link("adult")
    cadence: dict[str, str | None] = {"lending": "snapshot/6h"}
    await place.world.command("cadence", adult, cadence=cadence)
    async with place.world.running():
        await place.clock.advance(60)
        before = place.world.calls("/advance-cash/*")
        assert before > 0
        place.clock.jump(9 * HOUR)
        await place.clock.advance(5)
        assert place.world.calls("/advance-cash/*") > before


async def test_a_turn_at_a_time_of_day_follows_the_wall_clock_when_it_is_set(place: Place) -> None:
    place.clock.step(-5 * HOUR)
    [adult] = await place.world.link("adult")
    at = place.clock.world_time + timedelta(hours=5 + 5, minutes=20)
    await place.world.command("cadence", adult, cadence={"lending": f"snapshot@{at:%H:%M}"})
    async with place.world.running():
        await place.clock.advance(60)
        before = place.world.calls("/advance-cash/*")
        place.clock.step(5 * HOUR)
        # Twenty minutes and what spreads it (fifteen); by the wrong clock it would have been five hours more.
        await place.clock.advance(2_200)
        assert place.world.calls("/advance-cash/*") > before


async def test_a_bank_whose_clock_alone_is_off_is_read_all_the_same(place: Place) -> None:
    place.bank.ahead = timedelta(days=730)
    [adult] = await place.world.link("adult")
    async with place.world.working() as worker:
        await place.read(worker, 1)
        await place.believe(worker)
        for _ in range(3):
            await worker.sweep()
        await worker.checkpoint()
        assert await place.world.told("transactions", adult)
        assert max(await place.claims()) <= place.clock.now()
        assert place.logouts() == 0


async def test_what_a_person_commands_does_not_wait_for_the_clock(place: Place) -> None:
    [adult] = await place.world.link("adult")
    async with place.world.working() as worker:
        await place.read(worker)
        place.clock.step(200 * DAY)
        await worker.heed_clock()
        assert worker.clock_doubt.doubtful
        await place.world.command("remove", adult)
        await worker.apply_commands()
        assert (await place.names(adult))[-2:] == ["ConsentRevoked", "LinkClosed"]
        assert place.logouts() == 1
