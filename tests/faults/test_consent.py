"""Consent and links from their first event to their last: what is asked, what is told, what is never asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.domains.registry import DOMAINS
from tests.contract.journal.backends import Backend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

DAY = 86_400.0
LABELS = ("adult", "borrower")


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, people(*LABELS, "teen"), seed=12, clock=VirtualClock(), place=place) as opened:
        yield opened


async def of_account(world: World, account_id: str) -> list[tuple[str, dict[str, Any]]]:
    return [(topic, event) for topic, event in await world.events() if event["account_id"] == account_id]


def asked(world: World, account_id: str) -> int:
    msisdn = world.msisdn_of[account_id]
    return sum(count for (_, _, who, _), count in world.bank.call_counts.items() if who == msisdn)


def closed(reason: str) -> list[str]:
    return ["StreamOpened", "BackfillCompleted", f"StreamClosed {reason}"]


@pytest.mark.anyio
async def test_a_consent_that_runs_out_closes_everything_and_ends_the_session(world: World) -> None:
    [adult, borrower] = [*await world.link("adult", days=1), *await world.link("borrower", days=30)]
    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        await worker.sweep()
        before = await of_account(world, adult)
        world.clock.jump(DAY - 1)  # type: ignore[attr-defined]
        await worker.checkpoint()
        assert await of_account(world, adult) == before
        world.clock.jump(1)  # type: ignore[attr-defined]
        world.bank.step()
        await worker.checkpoint()
        told = (await of_account(world, adult))[len(before) :]
        assert sorted((topic, event["event_type"], event["op"]) for topic, event in told) == sorted(
            [
                ("lifecycle", "ConsentExpired", "u"),
                ("lifecycle", "LinkClosed", "u"),
                *((domain, "StreamClosed", "s") for domain in DOMAINS),
            ]
        )
        assert {event["reason"] for topic, event in told if topic != "lifecycle"} == {"consent"}
        assert [event["event_type"] for topic, event in told if topic == "lifecycle"] == [
            "ConsentExpired",
            "LinkClosed",
        ]
        expired = next(event for topic, event in told if event["event_type"] == "ConsentExpired")
        assert expired["effective_at"] == expired["after"]["consent"]["valid_until"]
        # Nothing of it is left: no session in the vault, none at the bank.
        assert await world.vault.load_session(adult) is None
        assert world.msisdn_of[adult] not in world.bank.desk.live_holders()
        assert world.calls("/auth/session", status=204) == 1
        silent = asked(world, adult)
        for _ in range(3):
            world.clock.jump(DAY)  # type: ignore[attr-defined]
            await world.read_once(worker)
            await worker.sweep()
            await worker.checkpoint()
        assert asked(world, adult) == silent
        assert len(await of_account(world, adult)) == len(before) + len(told)
        # The other one is read on.
        await worker.sweep()
    verdict = await world.verdict(lockstep=False)
    assert verdict.sound, verdict.findings
    assert (await world.links_told(borrower)) == ["ConsentGranted", "LinkActivated"]


@pytest.mark.anyio
async def test_a_consent_that_ran_out_while_the_connector_was_down_is_noticed_before_any_call(world: World) -> None:
    [adult] = await world.link("adult", days=1)
    async with world.working() as worker:
        await worker.sweep()
    world.clock.jump(2 * DAY)  # type: ignore[attr-defined]
    before = asked(world, adult)
    async with world.working() as worker:
        await world.read_once(worker)
        assert asked(world, adult) == before
        # The end is for good: it is told once the clock, which nobody can confirm here, has stood for a minute.
        assert await world.links_told(adult) == ["ConsentGranted", "LinkActivated"]
        world.clock.jump(60)  # type: ignore[attr-defined]
        await worker.checkpoint()
        assert await world.links_told(adult) == ["ConsentGranted", "LinkActivated", "ConsentExpired", "LinkClosed"]
        assert await world.vault.load_session(adult) is None
    # Its end is told as of when it ended, not of when that was noticed. The token had run out: one refresh, one logout.
    paths = [path for _, path, _ in world.transport.calls[-2:]]
    assert asked(world, adult) - before <= 2
    assert paths == ["/auth/refresh", "/auth/session"]
    told = await of_account(world, adult)
    ended = [event for _, event in told if event["event_type"] == "StreamClosed"]
    assert {event["observed_at"] for event in ended} == {told[0][1]["after"]["consent"]["valid_until"]}


@pytest.mark.anyio
async def test_a_session_outlives_no_consent_even_when_the_connector_dies_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a consent is committed; the connector dies before it has logged out: the next one does."""
    [adult, borrower] = [*await world.link("adult", days=1), *await world.link("borrower", days=30)]
    async with world.working() as worker:
        await worker.sweep()
        await world.command("remove", borrower)

        async def die(account: object) -> None:
            del account

        monkeypatch.setattr(worker.runner, "end_session", die)
        world.clock.jump(DAY)  # type: ignore[attr-defined]
        await worker.checkpoint()
        await worker.apply_commands()
        assert await world.vault.load_session(adult) is not None
        assert await world.vault.load_session(borrower) is not None
    async with world.running():
        await world.clock.advance(5)  # type: ignore[attr-defined]
        assert await world.vault.load_session(adult) is None
        assert await world.vault.load_session(borrower) is None
    assert world.bank.desk.live_holders() == set()


@pytest.mark.anyio
async def test_a_link_removed_and_made_again_while_nothing_ran_keeps_its_new_session(world: World) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
    await world.command("remove", adult)
    world.clock.jump(60)  # type: ignore[attr-defined]
    assert await world.link("adult") == [adult]
    async with world.running():
        await world.clock.advance(60)  # type: ignore[attr-defined]
        assert await world.vault.load_session(adult) is not None
    assert (await world.links_told(adult))[-3:] == ["LinkClosed", "ConsentGranted", "LinkActivated"]
    assert (await world.streams_told("loyalty", adult))[-2:] == ["StreamClosed link", "StreamOpened"]


@pytest.mark.anyio
async def test_after_its_end_nothing_but_a_new_connection_moves_a_link(world: World) -> None:
    [adult] = await world.link("adult", days=1)
    async with world.working() as worker:
        await worker.sweep()
        world.clock.jump(DAY)  # type: ignore[attr-defined]
        await worker.checkpoint()
        told = await world.links_told(adult)
        for kind in ("pause", "resume", "accept", "remove"):
            await world.command(kind, adult, domain="transactions")
            await worker.apply_commands()
            await worker.checkpoint()
        # The desired state counts its changes; how the link stands does not change.
        assert set((await world.links_told(adult))[len(told) :]) <= {"LinkClosed"}
        links = [event for _, event in await world.events("lifecycle") if event["entity_id"] == "link"]
        assert links[-1]["after"]["link"]["status"] == "CLOSED"


@pytest.mark.anyio
async def test_a_domain_that_consent_does_not_cover_is_never_asked(world: World) -> None:
    [adult] = await world.link("adult", domains=frozenset({"loyalty"}))
    async with world.working() as worker:
        for _ in range(3):
            await worker.sweep()
            await world.read_once(worker)
            world.bank.step()
    assert world.calls("/accounts/*") == 0
    assert world.calls("/advance-cash/*") == 0
    assert world.calls("/z-miles/*") > 0
    assert {topic for topic, _ in await of_account(world, adult)} == {"lifecycle", "loyalty"}


@pytest.mark.anyio
async def test_a_link_that_asks_for_more_than_its_consent_gets_no_more(world: World) -> None:
    [adult] = await world.link("adult", domains=frozenset({"loyalty"}), asking=frozenset(DOMAINS))
    async with world.working() as worker:
        for _ in range(2):
            await worker.sweep()
            await world.read_once(worker)
    assert world.calls("/accounts/*") == 0
    assert world.calls("/advance-cash/*") == 0
    assert {topic for topic, _ in await of_account(world, adult)} == {"lifecycle", "loyalty"}


@pytest.mark.anyio
async def test_a_consent_that_is_narrowed_closes_what_it_no_longer_covers(world: World) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
        before = world.calls("/accounts/*")
        await world.link("adult", domains=frozenset({"loyalty"}))
        await worker.apply_commands()
        for _ in range(2):
            world.bank.step()
            await worker.sweep()
        assert await world.streams_told("transactions", adult) == closed("link")
        assert await world.streams_told("lending", adult) == closed("link")
        assert await world.streams_told("loyalty", adult) == ["StreamOpened", "BackfillCompleted"]
        assert world.calls("/accounts/*") == before
        await worker.sweep()
    verdict = await world.verdict()
    assert verdict.sound, verdict.findings


@pytest.mark.anyio
async def test_an_under_18_is_never_asked_for_loans(world: World) -> None:
    [teen] = await world.link("teen")
    async with world.working() as worker:
        for _ in range(3):
            await worker.sweep()
            await world.read_once(worker)
            world.bank.step()
    assert world.calls("/advance-cash/*") == 0
    calls = {path for (_, path, who, _) in world.bank.call_counts if who == world.msisdn_of[teen]}
    assert "/advance-cash/inquiry" not in calls
    assert calls >= {"/me", "/accounts/{iban}/transactions", "/z-miles/ledger", "/z-miles/summary"}
    assert "lending" not in {topic for topic, _ in await of_account(world, teen)}


@pytest.mark.anyio
async def test_pause_stops_every_call_and_resume_catches_up(world: World) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
        await world.command("pause", adult)
        await worker.apply_commands()
        silent = asked(world, adult)
        world.bank.step()
        for _ in range(3):
            await worker.sweep()
            await world.read_once(worker)
        assert asked(world, adult) == silent
    async with world.working() as worker:
        # A restart forgets no pause.
        await worker.sweep()
        await world.read_once(worker)
        assert asked(world, adult) == silent
        await world.command("resume", adult)
        await worker.apply_commands()
        for _ in range(3):
            await worker.sweep()
    assert await world.links_told(adult) == ["ConsentGranted", "LinkActivated", "LinkPaused", "LinkResumed"]
    assert await world.streams_told("transactions", adult) == ["StreamOpened", "BackfillCompleted"]
    await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_removing_a_link_closes_it_and_logs_out(world: World) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
        await world.command("remove", adult)
        await worker.apply_commands()
        assert await world.vault.load_session(adult) is None
        assert world.calls("/auth/session", status=204) == 1
        told, silent = await world.events(), asked(world, adult)
        world.bank.step()
        for _ in range(3):
            await worker.sweep()
            await world.read_once(worker)
        assert asked(world, adult) == silent
        assert await world.events() == told
    assert await world.links_told(adult) == ["ConsentGranted", "LinkActivated", "ConsentRevoked", "LinkClosed"]
    for domain in DOMAINS:
        assert await world.streams_told(domain, adult) == closed("link")
        assert {event["op"] for event in await world.told(domain, adult)} == {"c"}


@pytest.mark.anyio
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("moved", [False, True])
async def test_a_link_that_comes_back_goes_on_where_it_stopped(world: World, *, moved: bool, restarted: bool) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
        await worker.sweep()
        await world.command("remove", adult)
        await worker.apply_commands()
        before = await of_account(world, adult)
        if moved:
            world.bank.step()
        if not restarted:
            await reconnect(world, worker, adult)
    if restarted:
        async with world.working() as worker:
            await reconnect(world, worker, adult)
    after = (await of_account(world, adult))[len(before) :]
    for domain in DOMAINS:
        stream = [event for topic, event in after if topic == domain]
        assert stream, f"{domain} never came back"
        # Nothing is emitted again; the first word is that the stream is open, and a complete read finds what moved.
        assert stream[0]["event_type"] == "StreamOpened"
        assert {event["source"]["mode"] for event in stream} <= {"reconcile", "snapshot"}
        assert "BackfillCompleted" not in {event["event_type"] for event in stream}
        if not moved:
            assert len(stream) == 1
    verdict = await world.verdict(lockstep=True)
    assert verdict.sound, verdict.findings


async def reconnect(world: World, worker: Any, account_id: str) -> None:
    world.clock.jump(0.001)  # type: ignore[attr-defined]  # a login takes a moment, and its session is newer by it
    assert await world.link("adult") == [account_id]
    await worker.apply_commands()
    for _ in range(3):
        await worker.sweep()


@pytest.mark.anyio
async def test_a_tier_that_no_longer_holds_a_surface_closes_it(world: World) -> None:
    [adult] = await world.link("adult")
    async with world.working() as worker:
        await worker.sweep()
        world.mutate(holder="adult", domain="account", op="set_tier", tier="L0")
        await worker.sweep()
        assert await world.streams_told("lending", adult) == closed("tier")
        assert {event["op"] for event in await world.told("lending", adult)} <= {"c"}
        calls = world.calls("/advance-cash/*")
        await worker.sweep()
        assert world.calls("/advance-cash/*") == calls
        world.mutate(holder="adult", domain="account", op="set_tier", tier="L1")
        for _ in range(2):
            await worker.sweep()
        assert await world.streams_told("lending", adult) == [*closed("tier"), "StreamOpened"]
        await worker.sweep()
    await world.assert_sound(lockstep=True)
