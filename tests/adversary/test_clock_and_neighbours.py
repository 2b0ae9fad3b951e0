"""A host whose clock is wrong for a while, and an account that is refused beside others that are not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connector.domains.registry import DOMAINS
from connector.runtime import job_board
from tests.adversary.bench import Bench, bench
from tests.adversary.test_directed import walk
from tests.second_bank.bank import Answer, Request
from tests.second_bank.books import Books
from tests.second_bank.surfaces import LEDGERS, entry
from tests.support.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

HOUR, DAY = 3_600.0, 86_400.0


@pytest.mark.parametrize("hours", walk([5, -5, 24 * 200], 5))
async def test_a_clock_that_was_wrong_at_the_first_sync_hides_nothing_afterwards(tmp_path: Path, hours: int) -> None:
    async with bench(tmp_path, read=False) as made:
        made.clock.step(hours * HOUR)
        async with made.working():
            await made.full(times=4)
        made.clock.step(-hours * HOUR)
        async with made.working():
            gone = {surface: made.feed(surface).ascending()[1].id for surface in ("bills", "vouchers")}
            for surface, one in gone.items():
                made.feed(surface).remove(one)
            await made.full(times=3)
            for surface, one in gone.items():
                assert ("d", one) in await made.ops(surface), "a removal is not told"
            await made.settle()
            await made.assert_right()


async def test_a_clock_that_is_months_ahead_for_a_moment_ends_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, read=False) as made:
        link = await made.world.link_holder(days=90)
        async with made.working():
            await made.full(times=2)
            made.clock.step(200 * DAY)
            await made.world.read(made.worker)
            await made.clock.advance(3)
            made.clock.step(-200 * DAY)
            await made.settle()
            made.adversary.add(0, 0)
            await made.full(times=2)
            await made.assert_right()
        told = await made.world.links_told(link)
        assert "ConsentExpired" not in told
        assert "LinkClosed" not in told
        assert ("DELETE", "/auth/session", 204) not in made.bank.calls


async def test_a_huge_retry_after_for_one_account_holds_no_other(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # How often an idle queue is looked at costs a virtual hour most of its real time.
        patch.setattr(job_board, "LOOK_SECONDS", 5.0)
        async with bench(tmp_path, read=False, history=5, settings=CALM) as made:
            await _refuse_one_of_two(made)


async def test_a_link_that_a_clock_ahead_has_made_is_read_from_then_on(tmp_path: Path) -> None:
    async with bench(tmp_path, consent_begins=timedelta(hours=5)) as made:
        told = {topic for topic, _ in await made.world.events()}
        assert told <= {"lifecycle"}, "it is read before its consent begins"
        await made.clock.advance(5 * HOUR)
        await made.settle()
        await made.assert_right()
        assert await made.vouched("bills")


async def test_a_snapshot_that_a_suspend_has_slept_through_is_made_up_for(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_board, "LOOK_SECONDS", 5.0)
        async with bench(tmp_path, read=False, history=3, settings=CALM) as made:
            snapshots = dict.fromkeys(DOMAINS, "snapshot/6h")
            await made.world.command("cadence", made.account_id, cadence=snapshots)
            async with made.world.running():
                await made.clock.advance(300)
                fresh = made.adversary.many("bills", 1)[0]
                suspend(made.clock, 9 * HOUR)
                await made.clock.advance(300)
                told = any(fresh.id in str(event["after"]) for event in await made.world.told("bills"))
    assert told, "it is not made up for"


def suspend(clock: VirtualClock, seconds: float) -> None:
    """Nobody runs, and every clock goes on."""
    clock.jump(seconds)


CALM = {"command_interval_seconds": 60.0, "profile_interval_seconds": 600.0}


async def _refuse_one_of_two(made: Bench) -> None:
    world, clock = made.world, made.clock
    other = made.bank.open(Books(made.bank.now, msisdn="+923000000702"))
    for surface in LEDGERS:
        other.feed(surface).add(*[entry(surface, 900 + n, made.bank.now() - timedelta(days=9 - n)) for n in range(5)])
    neighbour = await world.link_holder(other)
    limited = Answer(429, {"code": "RATE_LIMITED", "message": "No."}, {"retry-after": "85092"})

    def for_one(request: Request, _answer: Answer) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        session = next((one for one in made.bank._sessions if one.access == token), None)
        return limited if session is not None and session.books is made.books else None

    async with world.running():
        await clock.advance(120)
        with made.bank.overlaid("/bills", for_one):
            await clock.advance(60)
            fresh = entry("bills", 990, made.bank.now())
            other.feed("bills").add(fresh)
            await clock.advance(120)
            served = any(fresh.id in str(event["after"]) for event in await world.told("bills", neighbour))
        late = made.adversary.many("bills", 1)[0]
        await clock.advance(1_200)
        told = any(late.id in str(event["after"]) for event in await world.told("bills", made.account_id))
    assert served, "the other is served meanwhile"
    assert told, "the one is asked again"
