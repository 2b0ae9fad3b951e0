"""One test for each way in which something was once lost, doubled, or vouched for that was not so, by its inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.runtime.poller import PollLimits
from tests.adversary.bench import BELIEVED_SECONDS, Bench, bench
from tests.adversary.rules import CODES, emptied, frozen, profile_of, same_tag
from tests.second_bank.bank import Answer
from tests.second_bank.manner import Manner
from tests.second_bank.surfaces import DOMAIN, FIRST, LAST, LEDGERS

pytestmark = pytest.mark.anyio

SNAPSHOTS = ("vouchers", "holdings", "loans", "cards")
TIMED = tuple(surface for surface in LEDGERS if surface != "points")
NEVER = 30 * 86_400.0
YEAR_2099 = datetime(2099, 12, 31, tzinfo=UTC)


def walk(surfaces: Iterable[Any], *quick: Any) -> list[Any]:
    """Every surface as a parameter; the ones that are not `quick` take part in the proof only."""
    return [pytest.param(one, marks=() if one in quick else pytest.mark.proof) for one in surfaces]


async def all_told(made: Bench, surface: str) -> None:
    """Every entry was told as created, once, and none as late."""
    created = [name for op, name in await made.ops(surface) if op == "c"]
    missing = made.feed(surface).entries.keys() - set(created)
    assert not missing, f"{len(missing)} of {len(made.feed(surface).entries)} are not told"
    assert len(created) == len(set(created))


# ── Bursts and long absences ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("surface", "count"),
    [
        pytest.param(surface, count, marks=() if (surface, count) == ("bills", 1_300) else pytest.mark.proof)
        for surface, count in [*((surface, 1_300) for surface in LEDGERS), ("bills", 5_000), ("points", 5_000)]
    ],
)
async def test_a_burst_between_two_complete_reads_is_all_told(tmp_path: Path, surface: str, count: int) -> None:
    async with bench(tmp_path, full_seconds=86_400.0) as made:
        made.adversary.many(surface, count)
        await made.head(surface, times=2)
        await made.assert_right(settled=False)
        await made.full(times=2)
        await made.assert_right()
        await all_told(made, surface)


@pytest.mark.proof
@pytest.mark.parametrize("surface", LEDGERS)
async def test_three_weeks_away_are_made_up_for(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, read=False) as made:
        async with made.working():
            await made.full(times=2)
        await made.clock.advance(21 * 86_400)
        made.adversary.many(surface, 700, over=timedelta(days=21))
        async with made.working():
            await made.head(times=2)
            await made.assert_right(settled=False)
            await made.settle()
            await made.assert_right()
            await all_told(made, surface)


CADENCES = {
    "one small page": (PollLimits(head_page_cap=1), (1, 1, 1), 1_800.0, 40),
    "one page of ten, full once a day": (PollLimits(head_page_cap=1), (10, 10, 10), 86_400.0, 130),
    "ten pages of ten, never full": (PollLimits(head_page_cap=10), (10, 10, 10), NEVER, 330),
    "two pages of a hundred, never full": (PollLimits(head_page_cap=2), (100, 100, 100), NEVER, 700),
    "chunks of one page": (PollLimits(head_page_cap=3, backfill_chunk_pages=1), (20, 20, 20), 86_400.0, 600),
}


@pytest.mark.parametrize("cadence", walk(CADENCES, "one small page"))
@pytest.mark.parametrize("surface", walk(("bookings", "points", "transactions"), "bookings"))
async def test_with_any_cadence_everything_is_told(tmp_path: Path, surface: str, cadence: str) -> None:
    limits, page_limits, full_seconds, count = CADENCES[cadence]
    async with bench(tmp_path, history=12, limits=limits, page_limits=page_limits, full_seconds=full_seconds) as made:
        for _ in range(2):
            made.adversary.many(surface, count, over=timedelta(seconds=50))
            await made.head(surface, times=3)
            await made.assert_right(settled=False)
        await made.head(surface, times=3)
        await all_told(made, surface)


# ── Outliers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("odd", walk([timedelta(days=60), YEAR_2099, timedelta(days=1, hours=6)], timedelta(days=60)))
@pytest.mark.parametrize("surface", walk(TIMED, "orders"))
async def test_an_entry_of_the_future_steers_nothing(tmp_path: Path, surface: str, odd: datetime | timedelta) -> None:
    async with bench(tmp_path, history=80) as made:
        adversary, feed = made.adversary, made.feed(surface)
        pending = adversary.fresh(surface, made.bank.now() - timedelta(hours=30), settled=False)
        feed.add(pending)
        await made.head(surface)
        at = odd if isinstance(odd, datetime) else made.bank.now() + odd
        feed.add(adversary.fresh(surface, at, outlier=True))
        await made.head(surface)
        await made.full(surface, times=2)
        feed.amend(pending.id, status=LAST[surface])
        for place in (70, 10):
            feed.amend(feed.ascending()[place].id, amount=Decimal("77.00"))
            feed.remove(feed.ascending()[place - 4].id)
        feed.add(*[adversary.fresh(surface, made.bank.now() - timedelta(days=days)) for days in (2, 25)])
        feed.add(adversary.fresh(surface, made.bank.now()))
        await made.head(surface)
        await made.full(surface, times=3)
        await made.assert_right()
        feed.remove(*[one.id for one in feed.entries.values() if one.outlier])
        await made.settle()
        await made.assert_right()


async def test_a_posting_that_replaces_across_an_outlier_is_one_entity(tmp_path: Path) -> None:
    async with bench(tmp_path, history=80) as made:
        adversary, feed = made.adversary, made.feed("transactions")
        pending = adversary.fresh("transactions", made.bank.now() - timedelta(hours=2), settled=False)
        feed.add(pending, adversary.fresh("transactions", made.bank.now() + timedelta(days=60), outlier=True))
        await made.head("transactions")
        await made.full("transactions")
        feed.remove(pending.id)
        feed.add(adversary.fresh("transactions", pending.at, amount=pending.amount, replaces=pending.id))
        await made.full(times=3)
        await made.assert_right()
        assert pending.id not in await made.present("transactions")


async def test_a_freak_number_in_the_points_ledger_hides_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, full_seconds=86_400.0) as made:
        feed = made.feed("points")
        feed.add(made.adversary.fresh("points", made.bank.now(), id=str(9_007_199_254_740_990), outlier=True))
        await made.head("points", times=2)
        for _ in range(3):
            made.adversary.many("points", 5)
            await made.head("points")
            await made.assert_right(settled=False)
        await made.full("points", times=2)
        await made.assert_right()
        await all_told(made, "points")


# ── Unchanged means equal to what is committed ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("life", ["one life", "restarted"])
@pytest.mark.parametrize("surface", walk(LEDGERS, "authorizations", "points"))
async def test_what_came_and_went_between_two_complete_reads_is_told_as_removed(
    tmp_path: Path, surface: str, life: str
) -> None:
    async with bench(tmp_path, read=False) as made:
        async with made.working():
            await made.full(times=2)
            brief = made.adversary.fresh(surface, made.bank.now())
            made.feed(surface).add(brief)
            await made.head(surface)
            made.feed(surface).remove(brief.id)
            if life == "one life":
                await made.full(surface, times=3)
        if life == "restarted":
            async with made.working():
                await made.full(times=3)
        assert (await made.ops(surface))[-1] == ("d", brief.id)
        await made.assert_right()


@pytest.mark.parametrize("surface", walk(LEDGERS, "bills"))
async def test_what_only_a_complete_read_saw_go_is_told_when_it_is_back(tmp_path: Path, surface: str) -> None:
    """The mirror: a head that shows what an earlier head showed is not what was committed since."""
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        newest = feed.ascending()[-1]
        await made.head(surface, times=2)
        feed.remove(newest.id)
        await made.full(surface, times=2)
        assert (await made.ops(surface))[-1] == ("d", newest.id)
        feed.add(newest)
        await made.head(surface)
        await made.assert_right(settled=False)
        assert (await made.ops(surface))[-1] == ("c", newest.id)


@pytest.mark.parametrize("surface", walk(LEDGERS, "bookings"))
async def test_an_amendment_that_a_complete_read_saw_and_the_head_unsees_is_told_twice(
    tmp_path: Path, surface: str
) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        newest = feed.ascending()[-1]
        await made.head(surface, times=2)
        feed.amend(newest.id, amount=newest.amount + 9)
        await made.full(surface)
        feed.amend(newest.id, amount=newest.amount)
        await made.head(surface, times=2)
        await made.full(surface, times=2)
        await made.assert_right()
        assert (await made.ops(surface))[-2:] == [("u", newest.id), ("u", newest.id)]


@pytest.mark.parametrize("surface", walk([*SNAPSHOTS, "nav"], "vouchers"))
async def test_a_snapshot_that_returns_to_what_it_was_is_told(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        one = feed.ascending()[-1]
        for amount in (one.amount + 1, one.amount, one.amount + 1, one.amount):
            feed.amend(one.id, amount=amount)
            await made.full(surface)
        await made.assert_right()
        feed.remove(one.id)
        if surface != "cards":
            await made.settle()
            feed.add(one)
            await made.full(surface, times=2)
            await made.assert_right()


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("surface", walk(LEDGERS, "orders"))
async def test_a_commit_of_unknown_outcome_leaves_nothing_taken_for_told(
    tmp_path: Path, surface: str, fault: str
) -> None:
    async with bench(tmp_path, read=False) as made:
        async with made.working():
            await made.full(times=2)
        brief = made.adversary.fresh(surface, made.bank.now())
        made.feed(surface).add(brief)
        made.outcomes.fault = fault  # type: ignore[assignment]
        with pytest.raises(BaseExceptionGroup):
            async with made.working():
                await made.head(surface)
        made.feed(surface).remove(brief.id)
        async with made.working():
            await made.full(times=3)
        await made.assert_right()


@pytest.mark.parametrize("surface", walk(["vouchers", "holdings", "cards", "bills", "transactions"], "holdings"))
@pytest.mark.parametrize("lie", [frozen, same_tag])
async def test_a_tag_that_lies_is_not_believed_for_ever(tmp_path: Path, surface: str, lie: object) -> None:
    async with bench(tmp_path) as made:
        with made.lay(surface, lie):  # type: ignore[arg-type]
            await made.full(surface, times=2)
            one = made.feed(surface).ascending()[-1]
            made.feed(surface).amend(one.id, amount=one.amount + 3)
            for _ in range(12):
                await made.clock.advance(2.5 * 3600)
                await made.head(surface)
            assert ("u", one.id) in await made.ops(surface)


# ── Both-sided suspicion ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("history", [60, pytest.param(30, marks=pytest.mark.proof)])
@pytest.mark.parametrize("surface", walk(LEDGERS, "transactions", "points"))
async def test_renumbered_entries_are_not_told_beside_the_old_ones(tmp_path: Path, surface: str, history: int) -> None:
    """Under later numbers, too, as in the points ledger: nothing that is known is shown any more."""
    async with bench(tmp_path, history=history) as made:
        made.adversary.renumber(LEDGERS.index(surface), 0)
        for _ in range(3):
            await made.head(surface)
            await made.full(surface)
            assert len(await made.present(surface)) <= history + 20
        assert not await made.vouched(surface)
        await made.accept(surface)
        await made.settle()
        await made.assert_right()


@pytest.mark.parametrize("status", [200, 206, pytest.param(203, marks=pytest.mark.proof)])
@pytest.mark.parametrize("surface", walk([*LEDGERS, *SNAPSHOTS, "nav"], "vouchers", "orders"))
async def test_a_short_emptiness_is_not_believed(tmp_path: Path, surface: str, status: int) -> None:
    async with bench(tmp_path, history=15) as made:
        with made.lay(surface, emptied(status)):
            await made.full(surface, times=4)
            assert not [op for op, _ in await made.ops(surface) if op == "d"]
            assert not await made.vouched(surface)
        await made.full(surface, times=3)
        await made.assert_right()
        assert not [op for op, _ in await made.ops(surface) if op == "d"]


@pytest.mark.parametrize("surface", walk([*LEDGERS, *SNAPSHOTS, "nav"], "loans"))
async def test_an_emptiness_that_stays_is_believed_also_over_a_restart(tmp_path: Path, surface: str) -> None:
    if surface == "cards":
        pytest.skip("cards stay listed")
    async with bench(tmp_path, history=15, read=False) as made:
        async with made.working():
            await made.full(times=2)
            made.feed(surface).remove(*list(made.feed(surface).entries))
            await made.full(surface, times=2)
        await made.clock.advance(BELIEVED_SECONDS)
        async with made.working():
            await made.full(times=3)
            assert not await made.present(surface)
            await made.settle()
            await made.assert_right()


@pytest.mark.parametrize("changes", [{"accounts": []}, {"tier": "GOLD"}])
async def test_a_profile_that_lacks_something_for_a_moment_closes_nothing(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    async with bench(tmp_path) as made:
        with made.lay("profile", profile_of(changes)):
            await made.full("profile", times=3)
        await made.full(times=2)
        await made.assert_right()
        for surface in DOMAIN:
            assert "StreamClosed" not in await made.stream_events(surface)


async def test_a_bank_account_that_is_not_listed_is_said_to_be_out_of_sight(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        with made.lay("profile", profile_of({"accounts": []})):
            await made.full("profile", times=2)
            await made.full(times=1)
            assert not await made.vouched("transactions")
            assert not await made.vouched("balance")


async def test_one_of_two_bank_accounts_that_is_not_listed_any_more_is_held(tmp_path: Path) -> None:
    async with bench(tmp_path, ibans=2) as made:
        one = {"iban": made.books.ibans[0], "title": "Zindigi Wallet", "status": "ACTIVE"}
        with made.lay("profile", profile_of({"accounts": [one]})):
            await made.full("profile", times=2)
            await made.full(times=1)
            assert (await made.checkpoint())["held"] == 2
            assert not await made.vouched("transactions")
        await made.full("profile")
        await made.full(times=2)
        await made.assert_right()
        assert await made.vouched("transactions")


# ── Statuses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", walk(CODES, "firewall", "unknown 401", "429"))
@pytest.mark.parametrize(
    "path", walk(["refresh", "profile", "transactions", "holdings", "loans", "vouchers", "balance"], "refresh")
)
async def test_an_answer_that_is_none_of_the_contract_is_trouble_that_passes(
    tmp_path: Path, path: str, status: str
) -> None:
    async with bench(tmp_path, history=4) as made:
        before = await made.world.links_told(made.account_id)
        with made.lay(path, lambda _request, _answer: CODES[status]):
            for _ in range(3):
                await made.full()
        made.adversary.add(0, 0)
        await made.clock.advance(900)
        await made.full(times=2)
        await made.assert_right()
        told = (await made.world.links_told(made.account_id))[len(before) :]
        assert "LinkActionRequired" not in told
        assert "LinkClosed" not in told


async def test_a_401_of_an_unknown_code_does_not_rotate_the_tokens_at_each_try(tmp_path: Path) -> None:
    async with bench(tmp_path, history=4) as made:
        with made.lay("bills", lambda _request, _answer: CODES["unknown 401"]):
            made.bank.calls.clear()
            for _ in range(8):
                await made.head("bills")
        assert sum(path == "/auth/refresh" for _, path, _ in made.bank.calls) <= 2


# ── Entries that cannot be read ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("surface", walk(LEDGERS, "transactions"))
async def test_an_entry_shown_twice_stops_nobody_else(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        feed.amend(feed.ascending()[-3].id, twin=Decimal("55.00"))
        made.adversary.many(surface, 3)
        await made.head(surface, times=2)
        await made.full(times=2)
        await made.assert_right()
        assert not await made.vouched(surface)
        made.adversary.mend(0, 0)
        await made.full(times=3)
        await made.assert_right()
        assert await made.vouched(surface)


@pytest.mark.parametrize("surface", walk(LEDGERS, "points"))
async def test_a_first_sync_with_an_entry_shown_twice_tells_the_rest(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path, read=False) as made:
        feed = made.feed(surface)
        twin = feed.ascending()[-3]
        feed.amend(twin.id, twin=Decimal("55.00"))
        async with made.working():
            await made.full(times=2)
            assert len(await made.present(surface)) >= 29


@pytest.mark.parametrize("surface", walk([*LEDGERS, "vouchers", "holdings", "loans", "nav"], "bookings", "loans"))
async def test_what_cannot_be_read_is_counted_and_told(tmp_path: Path, surface: str) -> None:
    async with bench(tmp_path) as made:
        feed = made.feed(surface)
        one = feed.ascending()[-2]
        feed.amend(one.id, garbled=True)
        await made.full(surface, times=2)
        await made.assert_right()
        assert not await made.vouched(surface)
        assert "EntryQuarantined" in await made.stream_events(surface)
        feed.amend(one.id, garbled=False, amount=one.amount + 4)
        await made.full(surface, times=2)
        await made.assert_right()
        assert await made.vouched(surface)
        assert (await made.stream_events(surface))[-1] == "EntryReadable"


# ── A bank that prints otherwise ────────────────────────────────────────────────────────────────────────────────────

MANNERS = {
    "three decimals": Manner(amounts="scale3"),
    "exponents": Manner(amounts="exponent"),
    "no decimals": Manner(amounts="short"),
    "fractions of seconds": Manner(times="fraction"),
    "gzip": Manner(encoding="gzip", pieces=True),
    "gzip of two members": Manner(encoding="members"),
    "weak tags": Manner(tags="weak"),
    "no tags": Manner(tags="none"),
    "short pages": Manner(short_pages=7),
    "long cursors": Manner(short_pages=7, cursor_length=512),
    "shuffled keys": Manner(shuffled=True),
    "fields that nobody knows": Manner(odd_fields=True),
    "other cases of headers": Manner(header_case="UPPER"),
}


@pytest.mark.parametrize("manner", walk(MANNERS, "three decimals", "gzip of two members", "weak tags", "long cursors"))
async def test_whatever_the_contract_allows_is_understood(tmp_path: Path, manner: str) -> None:
    async with bench(tmp_path, manner=MANNERS[manner]) as made:
        assert not await made.world.quarantine()
        for a in range(10):
            made.adversary.add(a, 5)
        await made.head()
        await made.full()
        await made.assert_right()
        assert not await made.world.quarantine()


@pytest.mark.parametrize("length", [200, 256])
async def test_long_ids_are_ids(tmp_path: Path, length: int) -> None:
    async with bench(tmp_path, history=3) as made:
        for surface in TIMED:
            one = made.adversary.fresh(surface, made.bank.now())
            made.feed(surface).add(replace(one, id=one.id.ljust(length, "x")))
        await made.head()
        await made.full()
        await made.assert_right()


@pytest.mark.parametrize("name", ["balance-chain", "stream", "balance", "holder"])
async def test_an_id_of_the_banks_is_never_one_of_ours(tmp_path: Path, name: str) -> None:
    async with bench(tmp_path, history=3) as made:
        made.feed("transactions").add(replace(made.adversary.fresh("transactions", made.bank.now()), id=name))
        await made.head()
        await made.full(times=3)
        await made.assert_right()
        assert name in await made.present("transactions")


@pytest.mark.parametrize(
    "grant",
    [
        {"expires_in": 400_000_000, "refresh_expires_in": 2_592_000},
        {"expires_in": 600.0, "refresh_expires_in": 2_592_000},
        {"expires_in": 0, "refresh_expires_in": 2_592_000},
        {"expires_in": 600},
    ],
    ids=["long", "with a point", "none", "no refresh_expires_in"],
)
async def test_a_grant_that_arrived_is_used(tmp_path: Path, grant: dict[str, object]) -> None:
    async with bench(tmp_path, history=3) as made:
        made.bank.grant = grant
        await made.full(times=3)
        made.adversary.add(0, 0)
        await made.full(times=2)
        await made.assert_right()
        assert "LinkActionRequired" not in await made.world.links_told(made.account_id)


async def test_an_id_that_was_replaced_may_be_used_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        adversary, feed = made.adversary, made.feed("transactions")
        pending = adversary.fresh("transactions", made.bank.now(), settled=False)
        feed.add(pending)
        await made.head("transactions")
        feed.remove(pending.id)
        feed.add(adversary.fresh("transactions", pending.at, amount=pending.amount, replaces=pending.id))
        await made.full("transactions", times=2)
        feed.add(replace(adversary.fresh("transactions", made.bank.now()), id=pending.id))
        await made.head("transactions")
        await made.full(times=2)
        await made.assert_right()


# ── Checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_nothing_read_nothing_is_claimed(tmp_path: Path) -> None:
    async with bench(tmp_path, read=False) as made:
        async with made.working():
            await made.full(times=2)
        async with made.working():
            said = await made.checkpoint()
        assert said["polled_until"] is None
        assert said["reconciled_until"] is None
        assert all(row["polled_until"] is None for row in said["domains"])
        assert all(row["polled_until"] is None for row in said["behind"])


async def test_a_full_outage_shows_as_growing_lag(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.bank.overlays.append(("*", lambda _request, _answer: Answer(503, b"")))
        said = []
        for _ in range(3):
            await made.clock.advance(3600)
            await made.world.read(made.worker)
            said.append((await made.checkpoint())["polled_until"])
        assert all(one is None or one <= made.bank.now() - timedelta(hours=1) for one in said)
        await made.assert_right(settled=False)


async def test_a_stream_never_read_in_this_life_has_no_instant_of_another(tmp_path: Path) -> None:
    async with bench(tmp_path, read=False) as made:
        async with made.working():
            await made.full(times=2)
        async with made.working():
            await made.head("profile")
            said = await made.checkpoint()
        assert {row["domain"]: row["polled_until"] for row in said["behind"]}["transactions"] is None


@pytest.mark.parametrize("offset", [timedelta(hours=-5), timedelta(days=2), None])
async def test_no_claim_is_of_the_future_by_the_banks_own_clock(tmp_path: Path, offset: timedelta | None) -> None:
    async with bench(tmp_path) as made:
        before = (await made.checkpoint())["polled_until"]
        made.bank.date_offset = offset
        await made.full(times=2)
        said = await made.checkpoint()
        latest = made.bank.now() + min(offset or timedelta(), timedelta())
        assert said["polled_until"] is None or said["polled_until"] <= max(before, latest)
        made.bank.date_offset = timedelta()
        await made.settle()
        await made.assert_right()


def test_first_and_last_say_what_may_still_change() -> None:
    assert {surface for surface in FIRST if FIRST[surface] != LAST[surface]} >= {*TIMED, "vouchers"}
