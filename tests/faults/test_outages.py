"""429, 5xx and answers that never come: who is asked how often meanwhile, and that an outage is never *no data*.

The connector runs by itself here, on a clock that moves only when told to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.cadence import Intervals
from connector.domains.registry import DOMAINS
from connector.runtime.backend import Backend as Limited
from connector.runtime.backend import BackendLimits
from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.log_watch import Log
from tests.support.proofs import quickly
from tests.support.virtual_clock import VirtualClock
from tests.support.world import BACKENDS, KINDS, OPTIONS, World, people

FEED = "/accounts/*/transactions"
MILES = "/z-miles/*"
COOL_DOWN_SECONDS = 40.0
LIMITS = BackendLimits(rate_per_second=50.0, failure_threshold=3, cool_down_seconds=COOL_DOWN_SECONDS)
OF_THE_BANK = {name for name, domain in DOMAINS.items() if any(kind.backend == "bank" for kind in domain.resources)}
RUNTIME = replace(
    OPTIONS,
    backends=dict.fromkeys(BACKENDS, LIMITS),
    intervals=dict.fromkeys(KINDS, Intervals(10.0, 20.0)),
    command_interval_seconds=30.0,
    degraded_after_seconds=120.0,
)


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(
        tmp_path, people("borrower"), seed=4, clock=VirtualClock(), options=RUNTIME, place=place
    ) as opened:
        await opened.link("borrower")
        yield opened


async def pass_time(world: World, seconds: float) -> None:
    assert isinstance(world.clock, VirtualClock)
    await world.clock.advance(seconds)


async def assert_nothing_lost(world: World) -> None:
    """Two complete reads of everything at the connector's own pace, and the oracle."""
    await pass_time(world, 90)
    await world.assert_sound(lockstep=True)


def state_of(worker: ShardWorker, backend: str) -> str:
    return worker._board.backends[backend].state(worker._clock.monotonic())


@pytest.mark.anyio
async def test_retry_after_is_honoured_to_the_second_and_is_no_outage(world: World, log: Log) -> None:
    async with world.running() as worker:
        await pass_time(world, 30)
        world.bank.step()
        world.strike("rate_limit", path=FEED, params={"retry_after": 37})
        before, loans = world.calls(FEED), world.calls("/advance-cash/*")
        while world.calls(FEED, status=429) == 0:
            await pass_time(world, 0.5)
        refused_at, asked = world.clock.monotonic(), world.calls(FEED)
        await pass_time(world, 36)
        # Silence towards the bank's backend, profile and all; the others are read on.
        assert world.calls(FEED) == asked
        assert world.calls("/advance-cash/*") > loans
        assert state_of(worker, "bank") == "closed"
        while world.calls(FEED) == asked:
            await pass_time(world, 0.25)
        assert 36.5 <= world.clock.monotonic() - refused_at <= 60
        assert before < asked
        assert [line["error"] for line in log.lines("read_failed")] == ["RateLimitedError"]
        await assert_nothing_lost(world)
    [account_id] = world.msisdn_of
    assert await world.links_told(account_id) == ["ConsentGranted", "LinkActivated"]


@pytest.mark.anyio
async def test_a_429_without_a_number_backs_off(world: World) -> None:
    async with world.running():
        await pass_time(world, 30)
        world.strike("rate_limit", path=MILES, count=6, params={"retry_after": 0})
        before = world.calls(MILES)
        await pass_time(world, 30)
        # Not once every ten seconds for two resources, and far from as often as the pace would allow.
        assert 2 <= world.calls(MILES) - before <= 8
        await pass_time(world, 120)
        await assert_nothing_lost(world)


@pytest.mark.anyio
async def test_an_outage_opens_the_breaker_of_its_backend_only_and_a_probe_closes_it(world: World, log: Log) -> None:
    async with world.running() as worker:
        await pass_time(world, 30)
        world.bank.step()
        outage = world.strike("server_error", backend="z_miles", count=None, params={"status": 503})
        while state_of(worker, "z-miles") == "closed":
            await pass_time(world, 1)
        assert world.calls(MILES, status=503) == LIMITS.failure_threshold
        feed_before = world.calls(FEED)
        await pass_time(world, COOL_DOWN_SECONDS * 0.75)
        assert world.calls(MILES, status=503) == LIMITS.failure_threshold
        assert world.calls(FEED) - feed_before >= 3
        # One probe; it fails, and the wait doubles.
        while world.calls(MILES, status=503) == LIMITS.failure_threshold:
            await pass_time(world, 1)
        probed_at = world.clock.monotonic()
        assert world.calls(MILES, status=503) == LIMITS.failure_threshold + 1
        await pass_time(world, COOL_DOWN_SECONDS * 2 * 0.75)
        assert world.calls(MILES, status=503) == LIMITS.failure_threshold + 1
        world.bank.faults.clear(outage.id)
        while state_of(worker, "z-miles") != "closed":
            await pass_time(world, 1)
        # Cool-downs are spread by a fifth either way.
        assert COOL_DOWN_SECONDS * 1.6 <= world.clock.monotonic() - probed_at <= COOL_DOWN_SECONDS * 2.4 + 15
        assert {line["error"] for line in log.lines("read_failed")} == {"UnavailableError"}
        await assert_nothing_lost(world)


@pytest.mark.anyio
async def test_a_long_outage_degrades_the_link_and_its_end_recovers_it(world: World) -> None:
    [account_id] = world.msisdn_of
    async with world.running():
        await pass_time(world, 30)
        outage = world.strike("server_error", backend="bank", count=None, params={"status": 500})
        world.bank.step()
        known = len(await world.told("transactions"))
        await pass_time(world, 340)
        assert (await world.links_told(account_id))[2:] == ["LinkDegraded"]
        # An outage is not *no data*: nothing of the feed was believed to be gone.
        assert len(await world.told("transactions")) == known
        behind = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"][-1]
        told = {row["domain"]: row["status"] for row in behind["after"]["checkpoint"]["behind"]}
        at_the_bank = {name for name, domain in DOMAINS.items() if any(x.backend == "bank" for x in domain.resources)}
        assert told["transactions"] == "STALE"
        assert told.keys() <= at_the_bank
        world.bank.faults.clear(outage.id)
        await pass_time(world, 400)
        assert (await world.links_told(account_id))[2:] == ["LinkDegraded", "LinkRecovered"]
        await assert_nothing_lost(world)


@pytest.mark.anyio
async def test_a_503_that_says_how_long_is_left_alone_that_long(world: World) -> None:
    async with world.running():
        await pass_time(world, 30)
        world.strike("server_error", path=FEED, params={"status": 503, "retry_after": 45})
        while world.calls(FEED, status=503) == 0:
            await pass_time(world, 0.5)
        asked = world.calls(FEED)
        await pass_time(world, 44)
        assert world.calls(FEED) == asked
        await pass_time(world, 30)
        assert world.calls(FEED) > asked
        await assert_nothing_lost(world)


@pytest.mark.anyio
async def test_after_an_outage_everything_is_read_once_not_at_once(world: World) -> None:
    async with world.running() as worker:
        await pass_time(world, 30)
        outage = world.strike("server_error", count=None, params={"status": 502})
        await pass_time(world, 600)
        world.bank.faults.clear(outage.id)
        while any(state_of(worker, name) != "closed" for name in BACKENDS):
            await pass_time(world, 1)
        before = Counter(path for _, path, _ in world.transport.calls)
        await pass_time(world, 12)
        after = Counter(path for _, path, _ in world.transport.calls) - before
        # Ten minutes were missed at a turn every ten seconds: at most the turns of twelve seconds are made.
        assert after
        assert max(after.values()) <= 4, after
        await assert_nothing_lost(world)


# ── Four backends fail alone ────────────────────────────────────────────────────────────────────────────────────────

CHANGES = {
    # What goes on at each backend all the while: a domain of it, and a change that can be had again and again.
    "bank": ("transactions", "add"),
    "brokerage": ("investments", "buy"),
    "advance-cash": ("lending", "disburse"),
    "z-miles": ("loyalty", "earn"),
}
TROUBLE: dict[str, dict[str, Any]] = {
    "down": {"kind": "server_error", "params": {"status": 503}},
    "rate limited": {"kind": "rate_limit", "params": {"retry_after": 7}},
}
ROUNDS = 10
ROUND_SECONDS = 30.0
LEAST_RATIO = 0.9


@asynccontextmanager
async def one_world(directory: Path) -> AsyncIterator[World]:
    """Whose trouble holds up whom is no matter of the journal."""
    async with World.open(
        directory, people("borrower"), seed=4, clock=VirtualClock(), options=RUNTIME, page_limit=100
    ) as opened:
        await opened.link("borrower")
        yield opened


async def events_a_minute(world: World) -> dict[str, float]:
    """Let every backend's books change once a round, and count what is told of them meanwhile."""
    before = Counter(event["source"]["backend"] for _, event in await world.events(*DOMAINS))
    for _ in range(ROUNDS):
        for domain, op in CHANGES.values():
            world.mutate(holder="borrower", domain=domain, op=op)
        await pass_time(world, ROUND_SECONDS)
    after = Counter(event["source"]["backend"] for _, event in await world.events(*DOMAINS))
    minutes = ROUNDS * ROUND_SECONDS / 60
    return {backend: (after[backend] - before[backend]) / minutes for backend in CHANGES}


async def ratios_in_trouble(world: World, backend: str, trouble: str) -> dict[str, float]:
    """Events a minute of each backend while one of them is in trouble, to what they were before."""
    await pass_time(world, 60)
    quiet = await events_a_minute(world)
    world.strike(backend=backend.replace("-", "_"), count=None, **TROUBLE[trouble])
    troubled = await events_a_minute(world)
    ratios = {name: troubled[name] / quiet[name] for name in CHANGES}
    print(f"{backend} {trouble}: events a minute {quiet} before, {troubled} meanwhile; ratios {ratios}")
    return ratios


def test_something_goes_on_at_every_backend() -> None:
    assert sorted(CHANGES) == BACKENDS


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("backend", "trouble"),
    quickly([(backend, trouble) for backend in CHANGES for trouble in TROUBLE], ("brokerage", "down")),
)
async def test_one_backend_in_trouble_leaves_the_events_of_the_others_flowing(
    tmp_path: Path, backend: str, trouble: str
) -> None:
    async with one_world(tmp_path) as world, world.running():
        ratios = await ratios_in_trouble(world, backend, trouble)
        assert ratios.pop(backend) == 0
        assert min(ratios.values()) >= LEAST_RATIO
        # Consumers are told which streams are behind, and that the others are not.
        behind = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"][-1]
        told = {row["domain"]: row["status"] for row in behind["after"]["checkpoint"]["behind"]}
        asked = {name for name, domain in DOMAINS.items() if any(kind.backend == backend for kind in domain.resources)}
        assert told == dict.fromkeys(asked, "STALE")
        world.bank.faults.clear()
        await pass_time(world, 400)
        await assert_nothing_lost(world)


@pytest.mark.anyio
async def test_backends_that_wait_for_one_another_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measure itself, on a connector that lets the trouble of one backend hold up all of them."""
    alone = Limited.wait_seconds
    async with one_world(tmp_path) as world, world.running() as worker:
        backends = worker._board.backends.values()
        monkeypatch.setattr(Limited, "wait_seconds", lambda _, now: max(alone(one, now) for one in backends))
        ratios = await ratios_in_trouble(world, "brokerage", "down")
        del ratios["brokerage"]
        assert min(ratios.values()) < LEAST_RATIO
