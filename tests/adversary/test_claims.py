"""What a read may move, and what it may not: one directed test for each rule that no other one stands for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.ports import Page, Resource
from tests.adversary.bench import HEAD_SECONDS, bench
from tests.adversary.rules import emptied, lacking
from tests.adversary.test_directed import NEVER, SNAPSHOTS, TIMED, YEAR_2099, all_told, walk
from tests.second_bank.bank import Answer, Request
from tests.second_bank.surfaces import LAST, LEDGERS

pytestmark = pytest.mark.anyio


def removals(ops: list[tuple[str, str]]) -> list[str]:
    return [name for op, name in ops if op == "d"]


# ── Joining ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("surface", walk(LEDGERS, "bills"))
async def test_a_gap_is_said_and_claims_nothing_until_it_is_filled(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, full_seconds=NEVER) as made:
        made.adversary.many(surface, 1_300)
        before = made.bank.now()
        await made.head(surface)
        gap = surface != "points"  # an ascending read that stops short has told all below
        said = await made.checkpoint()
        rows = {row["domain"]: row for row in said["behind"]}
        assert (said["holes"], [row["status"] for row in rows.values()].count("HOLE")) == (1, 1) or not gap
        assert all(row["polled_until"] is None or row["polled_until"] <= before for row in rows.values())
        await made.assert_right(settled=False)
        await made.head(surface, times=3)
        assert not (await made.checkpoint())["holes"]
        await all_told(made, surface)


@pytest.mark.parametrize("surface", walk(TIMED, "authorizations"))
async def test_a_burst_beside_an_entry_of_the_future_is_all_told(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, full_seconds=NEVER) as made:
        made.feed(surface).add(made.adversary.fresh(surface, YEAR_2099, outlier=True))
        await made.head(surface, times=2)
        made.adversary.many(surface, 700)
        await made.head(surface, times=4)
        await made.assert_right(settled=False)
        await all_told(made, surface)


@pytest.mark.parametrize("surface", walk(LEDGERS, "points", "orders"))
async def test_what_is_new_behind_pages_of_known_entries_is_told(tmp_path: Path, surface: str) -> None:
    """Such as an ascending read begins with, and those of the future on top of a newest-first one."""
    async with bench(tmp_path, full_seconds=NEVER, page_limits=(4, 4, 4)) as made:
        if surface in TIMED:
            odd = [made.adversary.fresh(surface, YEAR_2099 + timedelta(days=n), outlier=True) for n in range(5)]
            made.feed(surface).add(*odd)
        await made.head(surface, times=3)
        for _ in range(2):
            made.adversary.many(surface, 2, over=timedelta(seconds=20))
            await made.head(surface)
            await made.assert_right(settled=False)
        await all_told(made, surface)


@pytest.mark.parametrize("surface", walk(TIMED, "bills"))
async def test_what_may_still_change_is_remembered_however_much_comes_after_it(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        pending = made.adversary.fresh(surface, made.bank.now() - timedelta(hours=3), settled=False)
        feed.add(pending)
        await made.head(surface)
        made.adversary.many(surface, 600)
        await made.full(surface, times=2)
        feed.amend(pending.id, status=LAST[surface])
        await made.full(surface, times=2)
        assert (await made.present(surface))[pending.id][1].lower() == LAST[surface].lower()


async def test_what_comes_in_while_a_read_pages_is_not_claimed(tmp_path: Path) -> None:
    async with bench(tmp_path, page_limits=(7, 7, 7)) as made:
        left = [1]

        def meanwhile(_request: Request, _answer: Answer) -> None:
            if left[0]:
                left[0] -= 1
                made.clock.jump(40)
                made.adversary.many("bills", 2, over=timedelta(seconds=5))
                made.clock.jump(40)

        with made.lay("bills", meanwhile):
            await made.full("bills")
        await made.assert_right(settled=False)


# ── Absence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("surface", walk([*LEDGERS, *SNAPSHOTS], "bookings"))
async def test_what_one_complete_read_lacks_is_not_gone(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path) as made:
        with made.lay(surface, lacking(1)):
            await made.full(surface)
        await made.full(surface, times=2)
        assert not removals(await made.ops(surface))
        await made.assert_right()


async def test_a_part_of_an_answer_proves_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        with made.lay("bills", lacking(2, 206)):
            await made.full("bills", times=3)
        await made.full("bills")
        assert not removals(await made.ops("bills"))


@pytest.mark.parametrize("surface", walk(LEDGERS, "transactions"))
async def test_half_of_everything_does_not_vanish_by_itself(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, history=60) as made:
        feed = made.feed(surface)
        gone = [one for number, one in enumerate(feed.ascending()) if number % 2]
        feed.remove(*[one.id for one in gone])
        await made.full(surface, times=3)
        assert not removals(await made.ops(surface))
        assert (await made.checkpoint())["held"] == 1
        feed.add(*gone)
        await made.full(times=3)
        assert not removals(await made.ops(surface))
        assert await made.vouched(surface)


@pytest.mark.parametrize("surface", walk(TIMED, "bills"))
async def test_much_that_appears_among_what_was_told_waits(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, history=50) as made:
        day = made.bank.now() - timedelta(days=5)
        feed = made.feed(surface)
        feed.add(*[made.adversary.fresh(surface, day - timedelta(hours=number)) for number in range(30)])
        await made.full(surface, times=3)
        assert len(await made.present(surface)) == 50
        assert (await made.checkpoint())["held"] == 1
        await made.accept(surface)
        await made.full(surface, times=2)
        assert len(await made.present(surface)) == 80


@pytest.mark.parametrize("surface", walk([*LEDGERS, "vouchers", "holdings", "loans"], "vouchers"))
async def test_an_emptiness_is_counted_while_it_waits(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, history=15) as made:
        with made.lay(surface, emptied()):
            await made.full(surface, times=2)
            await made.head(surface)
            said = await made.checkpoint()
            assert said["held"] == 1
            assert "HELD" in {row["status"] for row in said["behind"]}


@pytest.mark.parametrize("surface", ["bills"])
async def test_what_leaves_by_its_age_was_not_removed(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, history=5, read=False) as made:
        old = made.adversary.fresh(surface, made.bank.now() - timedelta(days=399))
        made.feed(surface).add(old)
        async with made.working():
            await made.full(times=2)
            await made.clock.advance(3 * 86_400)
            await made.full(surface, times=3)
            assert old.id not in removals(await made.ops(surface))


# ── Claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_domain_is_as_complete_as_the_least_of_its_parts(tmp_path: Path) -> None:
    """Cards are read whole; of their activity, which changed below its first page, this life saw only the top."""
    async with bench(tmp_path, read=False, page_limits=(7, 7, 7), full_seconds=86_400.0) as made:
        async with made.working():
            await made.full(times=2)
        old = made.feed("authorizations").ascending()[4]
        made.feed("authorizations").amend(old.id, amount=old.amount + 3)
        async with made.working():
            await made.head(times=3)
            said = await made.checkpoint()
            assert {row["domain"]: row["reconciled_until"] for row in said["domains"]}["cards"] is None
            await made.assert_right(settled=False)


async def test_a_clock_that_ran_ahead_leaves_no_claim_behind_where_nobody_tells_the_time(tmp_path: Path) -> None:
    async with bench(tmp_path, read=False) as made:
        made.bank.date_offset = None
        made.clock.step(5 * 3600)
        async with made.working():
            await made.full(times=2)
            made.clock.step(-5 * 3600)
            await made.world.heed_clock(made.worker)
            said = await made.checkpoint()
            claimed = [row["polled_until"] for row in (*said["behind"], *said["domains"])]
            assert all(at is None or at <= made.bank.now() for at in [*claimed, said["polled_until"]])


# ── One never stops another ─────────────────────────────────────────────────────────────────────────────────────────


class Chokes:
    """A source with a defect in one resource."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.defect = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def understand(self, resource: Resource, body: bytes) -> Page:
        if self.defect and resource.kind.name == "bills":
            raise ZeroDivisionError("planted")
        page: Page = await self._inner.understand(resource, body)
        return page


async def test_a_defect_in_one_stream_is_that_streams_alone(tmp_path: Path) -> None:
    async with bench(tmp_path, read=False) as made:
        chokes: list[Chokes] = []
        async with made.working(lambda source: chokes.append(Chokes(source)) or chokes[0]):  # type: ignore[func-returns-value]
            await made.full(times=4)
            said = await made.checkpoint()
            rows = {row["domain"]: row["status"] for row in said["behind"]}
            assert rows == {"bills": "ISOLATED"}
            assert said["isolated"] == 1
            chokes[0].defect = False
            await made.clock.advance(3600 + HEAD_SECONDS)
            await made.settle()
            await made.assert_right()


async def test_entries_that_can_be_read_are_told_beside_one_that_cannot(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed("bookings")
        feed.amend(feed.ascending()[-1].id, garbled=True)
        fresh = made.adversary.many("bookings", 3)
        await made.head("bookings")
        assert {one.id for one in fresh} <= (await made.present("bookings")).keys()
