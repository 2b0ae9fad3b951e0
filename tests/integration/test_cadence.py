"""Live, snapshots and off: who is asked when, what checkpoints vouch for, and that every mode ends in the same fold.

The connector runs by itself, on a clock that is moved from one turn to the next.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.cadence import Mode, parse_mode
from connector.domains.registry import DOMAINS
from connector.observe import Depth
from connector.runtime import polls
from connector.runtime.shard_worker import ShardWorker
from connector.runtime.timetable import Timetable
from connector.runtime.writes import Write
from connector.settings import load_settings
from tests.contract.journal.backends import Backend
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import OPTIONS, World, people

HOUR = 3600.0
FEED = "*/accounts/*/transactions*"
PATHS = {"transactions": FEED, "lending": "*/advance-cash/*", "loyalty": "*/z-miles/*"}
TWICE = "snapshot@06:00,18:00"
RUNTIME = replace(OPTIONS, command_interval_seconds=30.0, checkpoint_seconds=600.0)
"""A day has many seconds, and each round costs a test a moment."""


SOME = ("transactions", "lending", "loyalty")


def everywhere(text: str, among: Collection[str] = tuple(DOMAINS)) -> dict[str, Mode]:
    return {domain: parse_mode(text if domain in among else "off") for domain in DOMAINS}


@asynccontextmanager
async def a_world(
    directory: Path,
    cadence: str,
    *labels: str,
    seed: int = 1,
    place: Backend | None = None,
    among: Collection[str] = tuple(DOMAINS),
) -> AsyncIterator[World]:
    """`cadence` is that of the domains named; all others are off."""
    directory.mkdir(exist_ok=True)
    options = replace(RUNTIME, modes=everywhere(cadence, among))
    scenario = people(*labels)
    async with World.open(directory, scenario, seed=seed, clock=VirtualClock(), place=place, options=options) as world:
        await world.link(*labels)
        yield world


async def pass_time(world: World, worker: ShardWorker, seconds: float) -> None:
    """Move on from one due job to the next, at most a few minutes at a time, as commands and checkpoints need."""
    clock = world.clock
    assert isinstance(clock, VirtualClock)
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        dues = [due for queue in worker._board._queues.values() if (due := queue.next_due()) is not None]
        until = min([*dues, end, clock.monotonic() + 300.0])
        clock.jump(max(0.0, until - clock.monotonic() - 0.3))
        await clock.advance(0.6)


class Asked:
    """When the bank was asked for what, since last looked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: list[tuple[datetime, str]] = []
        self._inner = world.transport.handle_async_request
        world.transport.handle_async_request = self._noted  # type: ignore[method-assign]

    async def _noted(self, request: Any) -> Any:
        self.calls.append((self.world.clock.now(), request.url.path))
        return await self._inner(request)

    def take(self, part: str) -> list[str]:
        """The local times at which paths with `part` were asked, seconds and all; then forgotten."""
        found = [f"{at + timedelta(hours=5):%d %H:%M:%S}" for at, path in self.calls if part in path]
        self.calls = [(at, path) for at, path in self.calls if part not in path]
        return found


async def checkpoint(world: World, worker: ShardWorker) -> dict[str, Any]:
    """What the next checkpoint says."""
    await worker.checkpoint()
    told = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
    said: dict[str, Any] = told[-1]["after"]["checkpoint"]
    return said


@pytest.mark.anyio
async def test_a_day_of_snapshots(tmp_path: Path, place: Backend) -> None:
    """First sync at once, then both times of day and nothing between; what they find is called a snapshot."""
    async with a_world(tmp_path, TWICE, "borrower", place=place) as world:
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 120)
            assert len(asked.take("/transactions")) >= 2, "the first sync, and the complete read that follows it"
            world.bank.step()
            await pass_time(world, worker, 6 * HOUR)
            assert asked.take("/transactions") == [], "between half past nine and half past three in Pakistan"
            known = len(await world.told("transactions"))
            await pass_time(world, worker, 18 * HOUR)
            evening, *others = asked.take("/transactions")
            assert "01 18:00:00" <= evening <= "01 18:15:01"
            morning = [at for at in others if at.startswith("02")]
            assert morning
            assert all("02 06:00:00" <= at <= "02 06:20:00" for at in morning)
            found = (await world.told("transactions"))[known:]
            assert found
            assert {event["source"]["mode"] for event in found} == {"snapshot"}
            await world.assert_sound()


@pytest.mark.anyio
async def test_a_removal_takes_two_snapshots_and_the_second_follows_soon(tmp_path: Path) -> None:
    async with a_world(tmp_path, TWICE, "borrower") as world:
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 120)
            world.mutate(holder="borrower", domain="transactions", op="remove", age_days=5)
            asked.take("/transactions")
            await pass_time(world, worker, 9 * HOUR)
            removed = [event for event in await world.told("transactions") if event["op"] == "d"]
            assert [event["source"]["mode"] for event in removed] == ["snapshot"]
            first, *_, last = asked.take("/transactions")
            assert "01 18:00:00" <= first < last <= "01 18:17:00"
            await world.assert_sound()


@pytest.mark.anyio
async def test_a_restart_repeats_no_snapshot_and_makes_up_for_a_missed_one_once(tmp_path: Path, place: Backend) -> None:
    async with a_world(tmp_path, TWICE, "adult", place=place, among=SOME) as world:
        async with world.running() as worker:
            await pass_time(world, worker, 12 * HOUR)
        asked = Asked(world)
        for _ in range(2):
            async with world.running() as worker:
                await pass_time(world, worker, 600)
        assert [*asked.take("/transactions"), *asked.take("/z-miles"), *asked.take("/advance-cash")] == []
        world.clock.jump(14.4 * HOUR)  # type: ignore[attr-defined]
        async with world.running() as worker:
            await pass_time(world, worker, 5 * HOUR)
        made_up = asked.take("/transactions")
        assert made_up
        assert all("02 12:1" in at for at in made_up), "past six o'clock, and at once"


@pytest.mark.anyio
async def test_a_mode_is_changed_by_command_while_it_runs(tmp_path: Path, place: Backend) -> None:
    async with a_world(tmp_path, "live", "borrower", place=place, among=SOME) as world:
        [account_id] = world.msisdn_of
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, HOUR)
            assert len(asked.take("/transactions")) > 20
            await world.command("cadence", account_id, cadence={"transactions": TWICE})
            await pass_time(world, worker, 60)
            asked.take("/transactions")
            await pass_time(world, worker, 4 * HOUR)
            assert asked.take("/transactions") == []
            assert len(asked.take("/z-miles")) > 50, "other domains go on as they did"
            link = (await world.reader.links())[account_id]
            assert (link.generation, link.cadence) == (2, (("transactions", parse_mode(TWICE)),))
            await world.command("cadence", account_id, cadence={"transactions": None})
            await pass_time(world, worker, HOUR)
            assert len(asked.take("/transactions")) > 20
        assert (await world.links_told(account_id)).count("LinkActivated") == 1
        async with world.running() as worker:
            # What was asked for outlives the connector.
            await pass_time(world, worker, 60)
            assert worker.accounts[account_id].link == (await world.reader.links())[account_id]


@pytest.mark.anyio
async def test_off_asks_nothing_and_coming_back_begins_with_a_complete_read(tmp_path: Path, place: Backend) -> None:
    async with a_world(tmp_path, "live", "borrower", place=place) as world:
        [account_id] = world.msisdn_of
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 120)
            await world.command("cadence", account_id, cadence={"transactions": "off"})
            await pass_time(world, worker, 60)
            asked.take("/transactions")
            # An amendment far down, which only a complete read shows.
            world.mutate(holder="borrower", domain="transactions", op="amend", age_days=20)
            world.bank.step()
            known = len(await world.told("transactions"))
            await pass_time(world, worker, 600)
            await worker.sweep()
            assert asked.take("/transactions") == []
            assert len(await world.told("transactions")) == known
            assert await world.streams_told("transactions", account_id) == ["StreamOpened", "BackfillCompleted"]
            await world.command("cadence", account_id, cadence={"transactions": "live"})
            await pass_time(world, worker, 45)
            back = (await world.told("transactions"))[known:]
            assert "TransactionAmended" in {event["event_type"] for event in back}
            assert {event["source"]["mode"] for event in back} == {"reconcile"}
            await pass_time(world, worker, HOUR)
            await world.assert_sound()


@pytest.mark.anyio
async def test_what_is_off_and_read_all_the_same_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_world(tmp_path, "live", "adult", among=SOME) as world:
        [account_id] = world.msisdn_of
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 120)
            await world.command("cadence", account_id, cadence={"transactions": "off"})
            await pass_time(world, worker, 60)
            asked.take("/transactions")
            monkeypatch.setattr(Timetable, "until_due", lambda *_: 0.0)
            worker._read_soon(worker.accounts[account_id], "transactions")
            await pass_time(world, worker, 10)
            assert asked.take("/transactions") != []


@pytest.mark.anyio
async def test_a_snapshot_that_leaves_no_mark_is_made_again_and_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_world(tmp_path, TWICE, "adult") as world:
        async with world.running() as worker:
            await pass_time(world, worker, 120)
        # Broken on purpose: nothing is committed where nothing changed, as when live.
        monkeypatch.setattr(polls, "prepare", without_marks(polls.prepare))
        async with world.running() as worker:
            await pass_time(world, worker, 12 * HOUR)
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 600)
        assert asked.take("/transactions") != []


def without_marks(prepare: Callable[..., Write | None]) -> Callable[..., Write | None]:
    def prepared(*args: Any, **kwargs: Any) -> Write | None:
        write = prepare(*args, **kwargs)
        return write if write is not None and write.changes else None

    return prepared


@pytest.mark.anyio
async def test_while_every_domain_is_off_the_login_is_not_asked_either(tmp_path: Path) -> None:
    async with a_world(tmp_path, "off", "adult") as world:
        [account_id] = world.msisdn_of
        asked = Asked(world)
        async with world.running() as worker:
            await pass_time(world, worker, 5 * HOUR)
            assert asked.calls == []
            await world.command("cadence", account_id, cadence={"loyalty": "live"})
            await pass_time(world, worker, HOUR)
            assert asked.take("/z-miles")
            assert asked.take("/transactions") == []
            assert [domain for domain, event in await world.events() if event["op"] == "s"].count("loyalty") == 2


@pytest.mark.anyio
async def test_the_operator_s_word_on_removals_is_heeded_between_snapshots(tmp_path: Path) -> None:
    async with a_world(tmp_path, TWICE, "borrower") as world:
        [account_id] = world.msisdn_of
        async with world.running() as worker:
            await pass_time(world, worker, 120)
            world.mutate(holder="borrower", domain="transactions", op="remove", age_days=5, count=40)
            await pass_time(world, worker, 9 * HOUR)
            assert [event for event in await world.told("transactions") if event["op"] == "d"] == []
            asked = Asked(world)
            await pass_time(world, worker, HOUR)
            assert asked.take("/transactions") == [], "what waits for a person is not read again and again"
            await world.command("accept", account_id, domain="transactions")
            await pass_time(world, worker, 180)
            assert len([event for event in await world.told("transactions") if event["op"] == "d"]) == 40


@pytest.mark.anyio
async def test_checkpoints_vouch_for_what_rests_up_to_its_last_read(tmp_path: Path) -> None:
    """Neither a snapshot nor what is off is stale, nor does it hold back what is said of live streams."""
    async with a_world(tmp_path, "live", "borrower") as world:
        [account_id] = world.msisdn_of
        async with world.running() as worker:
            await pass_time(world, worker, 300)
            await world.command("cadence", account_id, cadence={"loyalty": "snapshot/12h", "lending": "off"})
            switched = world.clock.now()
            await pass_time(world, worker, 3 * HOUR)
            told = await checkpoint(world, worker)
            behind = {row["domain"]: row for row in told["behind"]}
            assert {domain: row["status"] for domain, row in behind.items()} == {
                "loyalty": "SNAPSHOT",
                "lending": "OFF",
            }
            assert behind["lending"]["polled_until"] <= switched + timedelta(seconds=60)
            account = worker.accounts[account_id]
            reads = [memory.read_at for memory in account.streams["loyalty"].resources.values()]
            assert behind["loyalty"]["polled_until"] == min(at for at in reads if at is not None)
            # Each of the live ones at its slowest; none of them is held back by what is read less often.
            until = {row["domain"]: row["polled_until"] for row in told["domains"]}
            assert set(until) == {domain for domain, stream in account.streams.items() if stream.head.status == "live"}
            assert {domain: until.pop(domain) for domain in behind} == {
                domain: row["polled_until"] for domain, row in behind.items()
            }
            for domain, polled_until in until.items():
                slowest = max(kind.head_interval_seconds for kind in DOMAINS[domain].resources)
                if DOMAINS[domain].per_bank_account:
                    slowest = max(slowest, RUNTIME.profile_interval_seconds)
                assert world.clock.now() - polled_until < timedelta(seconds=2.2 * slowest), domain
            assert told["polled_until"] == min(until.values())
            # A snapshot that cannot be made is late, whatever its mode.
            await world.command("cadence", account_id, cadence=dict.fromkeys(DOMAINS.keys() - {"loyalty"}, "off"))
            world.strike("server_error", backend="z_miles", count=None, params={"status": 500})
            await pass_time(world, worker, 13 * HOUR)
            late = {row["domain"]: row["status"] for row in (await checkpoint(world, worker))["behind"]}
            assert late["loyalty"] == "STALE"


def present(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """What the events fold to: every record that is there, in the bank's own words.

    Not by entity id: what was posted under a new id before a snapshot saw it has no earlier one. Without the running
    balance, which is what the bank said at the time of the event.
    """
    entities: dict[tuple[str, str, str], tuple[str, str]] = {}
    for domain, event in told:
        if domain == "lifecycle" or event["op"] == "s":
            continue
        key = (event["account_id"], event["resource"], event["entity_id"])
        if event["op"] == "d":
            del entities[key]
            continue
        [(kind, record)] = [(kind, record) for kind, record in event["after"].items() if record is not None]
        # What lies outside equality is no part of a version, and parties are keyed by each world's own key.
        record = {name: value for name, value in record.items() if name not in {"balance_after", "as_of", "party"}}
        entities[key] = (f"{domain}/{kind}", repr(sorted(record.items())))
    return sorted(entities.values())


async def lived(world: World, seconds_a_step: float, settling: float) -> list[tuple[str, str]]:
    """Sixteen steps of the bank's life under a running connector, then rest; what the events fold to."""
    async with world.running() as worker:
        await pass_time(world, worker, 120)
        for step in range(16):
            world.bank.step()
            if step == 8:
                world.mutate(holder="borrower", domain="transactions", op="amend", age_days=12)
                world.mutate(holder="borrower", domain="transactions", op="remove", age_days=9)
                world.mutate(holder="borrower", domain="transactions", op="back_date", age_days=7)
            await pass_time(world, worker, seconds_a_step)
        await pass_time(world, worker, settling)
    return present(await world.events())


@asynccontextmanager
async def two_worlds(directory: Path, seed: int) -> AsyncIterator[tuple[World, World]]:
    """The same bank twice: one read live, one as snapshots."""
    labels = ("borrower", "freelancer")
    async with (
        a_world(directory / "live", "live", *labels, seed=seed) as live,
        a_world(directory / "snapshot", "snapshot/6h", *labels, seed=seed) as snapshot,
    ):
        yield live, snapshot


@pytest.mark.anyio
@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_both_modes_over_the_same_bank_yield_the_same_fold(tmp_path: Path, seed: int) -> None:
    async with two_worlds(tmp_path, seed) as (live, snapshot):
        one = await lived(live, 600, 2 * HOUR)
        other = await lived(snapshot, 4 * HOUR, 14 * HOUR)
        assert one == other, f"seed {seed}"
        assert len(one) > 100
        for world in (live, snapshot):
            await world.assert_sound()
        seen = [{event["source"]["mode"] for _, event in await world.events(*DOMAINS)} for world in (live, snapshot)]
        assert seen == [{"backfill", "live", "reconcile", "snapshot"}, {"backfill", "snapshot"}]
        # Fewer reads, fewer events: what happened between two snapshots is one change.
        assert len(await snapshot.events(*DOMAINS)) < len(await live.events(*DOMAINS))


def heads_only(choose: Callable[..., Depth]) -> Callable[..., Depth]:
    """Broken on purpose: what should be complete reads look at the newest entries only."""

    def chosen(resource: Any, memory: Any, *args: Any, live: bool) -> Depth:
        depth = choose(resource, memory, *args, live=live)
        return Depth.HEAD if not live and depth is Depth.RECONCILE and memory.meta.swept_at is not None else depth

    return chosen


@pytest.mark.proof
@pytest.mark.anyio
async def test_snapshots_that_are_not_complete_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_worlds(tmp_path, 1) as (live, snapshot):
        one = await lived(live, 600, 2 * HOUR)
        monkeypatch.setattr(polls, "choose_depth", heads_only(polls.choose_depth))
        assert await lived(snapshot, 4 * HOUR, 14 * HOUR) != one
        assert not (await snapshot.verdict()).sound


@pytest.mark.anyio
async def test_a_switch_moves_the_jobs_of_its_own_streams_only(tmp_path: Path) -> None:
    async with a_world(tmp_path, "snapshot/1d", "borrower", "adult", "freelancer") as world:
        account_id, *_ = world.msisdn_of
        async with world.running() as worker:
            await pass_time(world, worker, 600)
            places = {job: place for queue in worker._board._queues.values() for job, place in queue._places.items()}
            await world.command("cadence", account_id, cadence={"loyalty": "snapshot/6h", "lending": "snapshot/6h"})
            await worker.apply_commands()
            moved = {
                job
                for queue in worker._board._queues.values()
                for job, place in queue._places.items()
                if places.get(job) != place and job.domain
            }
            assert {(job.account_id, job.domain) for job in moved} == {(account_id, "loyalty"), (account_id, "lending")}


@pytest.mark.anyio
async def test_sighup_reads_the_settings_again_and_keeps_the_old_ones_where_they_are_broken(
    tmp_path: Path, log: Log
) -> None:
    file = tmp_path / "connector.toml"
    file.write_text('[cadence]\nlending = "off"\n')

    async with a_world(tmp_path / "world", "live", "borrower") as world:
        asked = Asked(world)
        async with world.at_work(lambda: load_settings(file).settings):
            await advance(world, 120)
            assert asked.take("/advance-cash")
            os.kill(os.getpid(), signal.SIGHUP)
            await advance(world, 60)
            assert len(log.lines("cadence_adopted")) == 1
            asked.take("/advance-cash")
            await advance(world, 900)
            assert asked.take("/advance-cash") == []
            assert asked.take("/transactions")
            file.write_text('[cadence]\nlending = "sometimes"\n')
            os.kill(os.getpid(), signal.SIGHUP)
            await advance(world, 60)
            assert "'sometimes' is no cadence; there are live, " in log.lines("settings_refused")[0]["problem"]
            await advance(world, 900)
            assert asked.take("/advance-cash") == []
            file.write_text('[cadence]\nlending = "live:20s"\n')
            os.kill(os.getpid(), signal.SIGHUP)
            await advance(world, 900)
            assert len(log.lines("cadence_adopted")) == 2
            # Twice its interval where it is quiet; five minutes, its own, would have given three.
            assert len(asked.take("/advance-cash")) > 12


async def advance(world: World, seconds: float) -> None:
    """Move on by a second every ten: enough for the rounds of a connector whose jobs nobody looks into."""
    assert isinstance(world.clock, VirtualClock)
    for _ in range(int(seconds / 10)):
        world.clock.jump(9)
        await world.clock.advance(1)
