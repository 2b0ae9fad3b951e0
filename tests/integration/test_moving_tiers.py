"""Tiers that move: what opens with a backfill, what closes without a removal, and what is never asked meanwhile.

What a tier gains or loses is worked out from the registered domains and the one table, whatever they hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.cadence import Intervals
from connector.domains.model import Profile
from connector.domains.registry import DOMAINS
from connector.domains.tiers import HOLDINGS, may_hold
from connector.errors import ConsentError
from connector.runtime.job_board import PROFILE, Job
from tests.support.virtual_clock import VirtualClock
from tests.support.world import OPTIONS, World, people

pytestmark = pytest.mark.anyio

HOLDER_SECONDS = 700.0
"""Longer than anything goes unread."""
RUNTIME = replace(
    OPTIONS,
    intervals={kind.name: Intervals(300.0, 600.0) for domain in DOMAINS.values() for kind in domain.resources},
    checkpoint_seconds=600.0,
    command_interval_seconds=600.0,
)
OPENED = ["StreamOpened", "BackfillCompleted"]


def domains_of(tier: str, *, minor: bool = False) -> set[str]:
    profile = Profile(tier, minor, ())
    return {
        name
        for name, domain in DOMAINS.items()
        if any(may_hold(profile, kind.surface) for kind in domain.resources)
    }  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    label = getattr(request, "param", "borrower")
    async with World.open(tmp_path, people(label), seed=21, clock=VirtualClock(), options=RUNTIME) as opened:
        yield opened


async def pass_time(world: World, seconds: float = HOLDER_SECONDS) -> None:
    assert isinstance(world.clock, VirtualClock)
    await world.clock.advance(seconds)


async def names(world: World, domain: str) -> list[str]:
    return [event["event_type"] for event in await world.told(domain)]


def asked(world: World) -> dict[str, int]:
    """Calls by path template."""
    counts: dict[str, int] = {}
    for (_, path, _, _), calls in world.bank.call_counts.items():
        counts[path] = counts.get(path, 0) + calls
    return counts


@pytest.mark.parametrize("world", ["basic"], indirect=True)
async def test_moving_up_opens_what_the_tier_adds_with_a_backfill(world: World) -> None:
    gained = domains_of("L1") - domains_of("L0")
    assert "lending" in gained
    [account_id] = await world.link("basic")
    world.mutate(holder="basic", domain="lending", op="disburse")
    async with world.running():
        await pass_time(world)
        for domain in gained:
            assert await world.streams_told(domain, account_id) == []
        assert world.calls("/advance-cash/*") == 0
        world.mutate(holder="basic", domain="account", op="set_tier", tier="L1")
        await pass_time(world)
        for domain in gained:
            assert await world.streams_told(domain, account_id) == OPENED, domain
            assert {event["source"]["mode"] for event in await world.told(domain)} <= {"backfill"}
        assert "LoanDisbursed" in await names(world, "lending")
        # The holder's own record and that of the bank account.
        assert (await names(world, "account")).count("TierChanged") == 2
        await pass_time(world)
    await world.assert_sound(lockstep=True)


@pytest.mark.parametrize("world", ["teen"], indirect=True)
async def test_coming_of_age_opens_what_a_minor_may_not_hold(world: World) -> None:
    gained = domains_of("L1") - domains_of("L1", minor=True)
    assert "lending" in gained
    [account_id] = await world.link("teen")
    world.mutate(holder="teen", domain="lending", op="disburse")
    async with world.running():
        await pass_time(world)
        assert world.calls("/advance-cash/*") == 0
        world.mutate(holder="teen", domain="account", op="come_of_age")
        await pass_time(world)
        for domain in gained:
            assert await world.streams_told(domain, account_id) == OPENED, domain
        [changed] = [event for event in await world.told("account") if event["event_type"] == "TierChanged"]
        assert (changed["before"]["holder"]["minor"], changed["after"]["holder"]["minor"]) == (True, False)
        assert changed["changed"] == ["minor", "segment"]
        await pass_time(world)
    await world.assert_sound(lockstep=True)
    assert sum(world.bank.call_counts[call] for call in world.bank.call_counts if call[3] == 403) == 0


@pytest.mark.parametrize("also_lost", [frozenset(), frozenset({"points"})], ids=["as it is", "and points"])
async def test_moving_down_closes_without_a_removal_and_coming_back_begins_with_a_reconcile(
    world: World, also_lost: frozenset[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HOLDINGS, "L0", HOLDINGS["L0"] - also_lost)
    lost = domains_of("L1") - domains_of("L0")
    assert {"lending", *(["loyalty"] if also_lost else [])} <= lost
    [account_id] = await world.link("borrower")
    world.mutate(holder="borrower", domain="lending", op="disburse")
    async with world.running():
        await pass_time(world)
        before = {domain: len(await world.events(domain)) for domain in lost}
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L0")
        await pass_time(world)
        for domain in lost:
            [closed] = (await world.events(domain))[before[domain] :]
            assert (closed[1]["event_type"], closed[1]["reason"]) == ("StreamClosed", "tier")
        silent = asked(world)
        world.mutate(holder="borrower", domain="lending", op="repay")
        world.mutate(holder="borrower", domain="loyalty", op="earn")
        await pass_time(world)
        for domain in lost:
            assert len(await world.events(domain)) == before[domain] + 1
        moved = {path for path, calls in asked(world).items() if calls != silent.get(path)}
        assert "/advance-cash/inquiry" not in moved
        assert ("/z-miles/ledger" in moved) is not bool(also_lost)
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L1")
        await pass_time(world)
        for domain in lost:
            assert await world.streams_told(domain, account_id) == [*OPENED, "StreamClosed tier", "StreamOpened"]
            told = [event for _, event in (await world.events(domain))[before[domain] + 2 :]]
            assert "d" not in {event["op"] for event in told}
            # Complete reads come first: what changed meanwhile is found however far back it lies.
            assert {event["source"]["mode"] for event in told} <= {"snapshot", "reconcile"}
        assert "LoanRepaid" in await names(world, "lending")
        assert "PointsEarned" in await names(world, "loyalty")
        for _ in range(3):
            await pass_time(world)
    await world.assert_sound()


async def test_a_domain_that_keeps_some_of_its_resources_stays_open_and_removes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loyalty = DOMAINS["loyalty"]
    kinds = tuple(
        replace(kind, surface="credit") if kind.name == "vouchers" else kind for kind in loyalty.resources
    )  # fmt: skip
    monkeypatch.setitem(DOMAINS, "loyalty", replace(loyalty, resources=kinds))
    [account_id] = await world.link("borrower")
    world.mutate(holder="borrower", domain="loyalty", op="redeem")
    async with world.running():
        await pass_time(world)
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L0")
        await pass_time(world)
        known, silent = len(await world.told("loyalty")), asked(world)["/z-miles/summary"]
        world.mutate(holder="borrower", domain="loyalty", op="redeem")
        await pass_time(world)
        told = (await world.told("loyalty"))[known:]
        assert [event["event_type"] for event in told] == ["PointsRedeemed"]
        assert asked(world)["/z-miles/summary"] == silent
        assert await world.streams_told("loyalty", account_id) == OPENED
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L1")
        await pass_time(world)
        told = (await world.told("loyalty"))[known:]
        assert [event["event_type"] for event in told] == ["PointsRedeemed", "VoucherIssued"]
        assert await world.streams_told("loyalty", account_id) == OPENED
        for _ in range(3):
            await pass_time(world)
    await world.assert_sound()


async def test_a_refusal_puts_nothing_off_once_the_tier_is_back(world: World) -> None:
    """The bank refuses before the new tier is known; the surface is asked again as soon as it may be."""
    [account_id] = await world.link("borrower")
    async with world.working() as worker:
        await worker.sweep()
        account = worker.accounts[account_id]
        job = Job(account_id, "lending", "loan")
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L0")
        await worker.runner.run(job, account)
        assert job in worker._board._queues[job.backend]
        await worker.runner.run(Job(account_id, "", PROFILE), account)
        assert job not in worker._board._queues[job.backend]
        assert not worker._board.failing(account_id)
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L1")
        await worker.runner.run(Job(account_id, "", PROFILE), account)
        due = worker._board._queues[job.backend].next_due()
        assert due is not None
        assert due - world.clock.monotonic() <= 1.5


async def test_a_commit_under_way_does_not_bring_back_what_the_tier_lost_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [account_id] = await world.link("borrower")
    async with world.working() as worker:
        await worker.sweep()
        account = worker.accounts[account_id]
        submit = worker.commits.submit

        async def submit_while_the_tier_falls(*writes: Any) -> None:
            monkeypatch.setattr(worker.commits, "submit", submit)
            await submit(*writes)
            await worker.runner.refresh_profile(account)

        monkeypatch.setattr(worker.commits, "submit", submit_while_the_tier_falls)
        world.mutate(holder="borrower", domain="loyalty", op="earn")
        world.mutate(holder="borrower", domain="account", op="set_tier", tier="L0")
        await world.read_once(worker, kinds={"points"})
        assert ("loyalty", "points") in account.resources
        assert ("lending", "loan") not in account.resources


async def test_no_page_is_asked_of_a_resource_that_is_not_held_any_more(world: World) -> None:
    [account_id] = await world.link("borrower")
    async with world.working() as worker:
        await worker.sweep()
        account = worker.accounts[account_id]
        loan = account.resources["lending", "loan"]
        account.resources = {key: value for key, value in account.resources.items() if value is not loan}
        calls = world.calls()
        with pytest.raises(ConsentError, match="no longer holds loan"):
            await worker.polls.poll(account, loan, worker.commits)
        assert world.calls() == calls
