"""Tokens, devices, locks: what the connector does about them, how often it calls, and that nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from connector.errors import RetryableError
from connector.runtime.job_board import Job
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.faults import Kind
from tests.contract.journal.backends import Backend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

LABELS = ("adult", "borrower")


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, people(*LABELS), seed=3, clock=VirtualClock(), place=place) as opened:
        await opened.link(*LABELS)
        yield opened


async def settled(world: World, worker: ShardWorker) -> None:
    for _ in range(3):
        await worker.sweep()
    await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_an_expired_token_costs_one_refresh_for_all_who_wait(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        world.strike("expire_token", holder="adult")
        account = next(iter(a for a in worker.accounts.values() if a.link and a.link.label == "adult"))
        jobs = [Job(account.account_id, *key) for key in account.resources]
        assert len(jobs) > 3
        async with anyio.create_task_group() as tasks:
            for job in jobs:
                tasks.start_soon(worker.runner.run, job, account)
        assert world.calls("/auth/refresh") == 1
        # Whoever had been refused asked once more, and was answered. A login is refused once, for want of its password.
        assert 1 <= world.calls(status=401) - len(LABELS) <= len(jobs)
        assert await world.links_told(account.account_id) == ["ConsentGranted", "LinkActivated"]
        await settled(world, worker)
        assert world.calls("/auth/refresh") == 1


@pytest.mark.anyio
async def test_a_token_is_refreshed_ahead_of_its_expiry(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        await world.clock.advance(545)  # type: ignore[attr-defined]  # of 600, with a margin of 60
        world.bank.step()
        await worker.sweep()
        assert world.calls("/auth/refresh", status=200) == 2
        assert world.calls(status=401) == 0 + 2 * 1  # the logins' OTP_REQUIRED
        await settled(world, worker)


@pytest.mark.anyio
async def test_a_rotated_refresh_token_is_in_the_vault_before_it_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    store = world.vault.store_session

    async def storing(session: object) -> None:
        await store(session)  # type: ignore[arg-type]
        order.append("stored")

    monkeypatch.setattr(world.vault, "store_session", storing)
    calls = world.transport.handle_async_request

    async def calling(request: object) -> object:
        answer = await calls(request)  # type: ignore[arg-type]
        order.append(f"{world.transport.calls[-1][1]} {world.transport.calls[-1][2]}")
        return answer

    monkeypatch.setattr(world.transport, "handle_async_request", calling)
    async with world.working() as worker:
        await worker.sweep()
        order.clear()
        world.strike("expire_token", holder="adult")
        await worker.sweep()
    refresh = order.index("/auth/refresh 200")
    assert order[refresh - 1].endswith(" 401")
    assert order[refresh + 1] == "stored"
    # Another process finds the session that is good.
    async with world.working() as worker:
        await settled(world, worker)
    assert world.calls("/auth/refresh") == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("refresh_reused", "otp"),
        ("refresh_expired", "otp"),
        ("session_ended", "otp"),
        ("device_unbound", "device"),
        ("pin_lock", "locked"),
        ("app_upgrade", "app_upgrade"),
    ],
)
async def test_the_link_waits_for_its_holder_and_others_go_on(world: World, kind: Kind, reason: str) -> None:
    adult, borrower = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        if kind.startswith("refresh_"):
            world.strike("expire_token", holder="adult")
        world.strike(kind, holder="adult", count=None if kind == "app_upgrade" else 1)
        await world.read_once(worker)
        assert (await world.links_told(adult))[2:] == ["LinkActionRequired"]
        told = [event for _, event in await world.events("lifecycle") if event["account_id"] == adult][-1]
        assert told["after"]["link"]["action"] == reason
        # Silence: no call goes out for the one who must act, by whatever job.
        before = world.bank.call_counts.copy()
        for _ in range(3):
            await world.read_once(worker)
            for key in worker.accounts[adult].resources:
                await worker.runner.run(Job(adult, *key), worker.accounts[adult])
            world.clock.jump(60)  # type: ignore[attr-defined]
        asked = {who for (_, _, who, _), _ in (world.bank.call_counts - before).items()}
        assert asked == {world.msisdn_of[borrower]}
        assert (await world.links_told(adult))[2:] == ["LinkActionRequired"]
        assert await world.links_told(borrower) == ["ConsentGranted", "LinkActivated"]
        # While the one waits, the other's changes are told.
        world.bank.step(2)
        known = len(await world.told("transactions", borrower))
        for _ in range(2):
            await world.read_once(worker)
            world.clock.jump(1801)  # type: ignore[attr-defined]
        await world.read_once(worker)
        assert len(await world.told("transactions", borrower)) > known

        # The holder acts: PIN, one-time password where it is wanted; the same account goes on without a gap.
        world.bank.faults.clear()
        if kind == "pin_lock":
            world.clock.jump(world.bank.scenario.front_door.lock_seconds)  # type: ignore[attr-defined]
        assert await world.link("adult") == [adult]
        await worker.apply_commands()
        for _ in range(3):
            await worker.sweep()
        assert (await world.links_told(adult))[2:4] == ["LinkActionRequired", "ConsentGranted"]
        assert (await world.links_told(adult))[-1] == "LinkRecovered"
        await world.assert_sound()


@pytest.mark.anyio
async def test_a_dead_refresh_token_is_offered_once_in_a_connector_s_life(world: World) -> None:
    """A restart may ask once more: the vault may have been given a new session meanwhile."""
    adult, _ = world.msisdn_of
    world.strike("expire_token", holder="adult")
    world.strike("refresh_reused", holder="adult")
    async with world.working() as worker:
        for _ in range(4):
            await world.read_once(worker)
    assert world.calls("/auth/refresh") == 1
    async with world.working() as worker:
        for _ in range(4):
            await world.read_once(worker)
    # The session itself is over by then: the bank says so to the first call, and that is the end of it.
    assert world.calls("/auth/refresh") == 1
    assert (await world.links_told(adult))[2:] == ["LinkActionRequired"]


@pytest.mark.anyio
async def test_an_app_that_was_upgraded_meanwhile_recovers_at_the_next_start(world: World) -> None:
    """Some trouble ends without a new login: a release with a newer version, say. The link must not stay red."""
    adult, _ = world.msisdn_of
    world.strike("app_upgrade", holder="adult", count=None)
    async with world.working() as worker:
        await world.read_once(worker)
    assert (await world.links_told(adult))[-1] == "LinkActionRequired"
    world.bank.faults.clear()
    await world.source.close()
    restarted = world.new_source()
    async with world.working() as worker:
        await world.read_once(worker)
        await settled(world, worker)
    assert restarted is world.source
    assert (await world.links_told(adult))[-1] == "LinkRecovered"


@pytest.mark.anyio
async def test_a_vault_that_is_locked_for_a_moment_is_no_reason_to_lose_a_rotated_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, refused = world.vault.store_session, 0

    async def storing(session: object) -> None:
        nonlocal refused
        if refused < 2:
            refused += 1
            raise RetryableError("the vault cannot be used for the moment: database is locked")
        await store(session)  # type: ignore[arg-type]

    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        monkeypatch.setattr(world.vault, "store_session", storing)
        world.strike("expire_token", holder="adult")
        for _ in range(4):
            await world.read_once(worker)
            world.clock.jump(5)  # type: ignore[attr-defined]
        assert refused == 2
        assert world.calls("/auth/refresh") == 1
        await settled(world, worker)
    for account_id in world.msisdn_of:
        assert await world.links_told(account_id) == ["ConsentGranted", "LinkActivated"]


@pytest.mark.anyio
async def test_a_death_between_a_rotation_and_the_vault_ends_in_one_action_required(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank has rotated, the vault holds the token that is dead: nobody but the holder can mend that."""
    adult, borrower = world.msisdn_of
    with monkeypatch.context() as dying:
        lost = 0

        async def never_stored(_session: object) -> None:
            nonlocal lost
            lost += 1
            raise RetryableError("the process died before this was written")

        async with world.working() as worker:
            await worker.sweep()
            world.bank.step()
            dying.setattr(world.vault, "store_session", never_stored)
            world.strike("expire_token", holder="adult")
            await world.read_once(worker)
        await world.source.close()
    assert lost > 0
    assert world.calls("/auth/refresh", status=200) == 1
    world.new_source()
    async with world.working() as worker:
        head = worker.accounts[adult].stream("lifecycle").head
        assert head.refresh_generation is not None
        for offered in (1, 2, 2):
            # What the earlier life had begun may still be under way: it is waited for first.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world.read_once, worker)
                await world.clock.advance(head.refresh_deadline_seconds - 5)  # type: ignore[attr-defined]
                assert world.calls("/auth/refresh") == offered
                await world.clock.advance(15)  # type: ignore[attr-defined]
        assert (await world.links_told(adult))[2:] == ["LinkActionRequired"]
        assert await world.links_told(borrower) == ["ConsentGranted", "LinkActivated"]
        # The dead token was offered once more, and refused; then nothing.
        assert world.calls("/auth/refresh") == 2
        assert await world.link("adult") == [adult]
        await worker.apply_commands()
        await settled(world, worker)
        assert (await world.links_told(adult))[-1] == "LinkRecovered"
