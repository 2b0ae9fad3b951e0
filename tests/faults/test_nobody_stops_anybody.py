"""Whatever goes wrong with one account, command, stream or shard, everybody else goes on; and it is said once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast

import pytest

from connector.cadence import Intervals
from connector.errors import ConfigurationError, RateLimitedError
from connector.runtime.backend import BackendLimits
from connector.runtime.fitness import require_fitness
from connector.runtime.shard_worker import ShardWorker
from connector.vault import SqliteVault
from tests.contract.journal.backends import SqliteBackend
from tests.support.log_watch import logged
from tests.support.virtual_clock import VirtualClock
from tests.support.world import BACKENDS, KINDS, MASTER_KEY, OPTIONS, World, people

RUNTIME = replace(
    OPTIONS,
    backends=dict.fromkeys(BACKENDS, BackendLimits(rate_per_second=inf)),
    intervals=dict.fromkeys(KINDS, Intervals(10.0, 20.0)),
)
LOYALTY = frozenset({"loyalty"})


@pytest.fixture(autouse=True)
def log() -> Any:
    """Here defects are planted: the log is read, not held to be free of them."""
    with logged() as log:
        yield log


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(
        tmp_path, people("adult", "borrower"), seed=9, clock=VirtualClock(), options=RUNTIME
    ) as opened:
        await opened.link("adult", "borrower", domains=LOYALTY)
        yield opened


async def pass_time(world: World, seconds: float) -> None:
    await cast("VirtualClock", world.clock).advance(seconds)


def journal_of(world: World) -> sqlite3.Connection:
    assert isinstance(world.place, SqliteBackend)
    return sqlite3.connect(world.place.location, isolation_level=None)


def vault_of(world: World) -> sqlite3.Connection:
    return sqlite3.connect(world.directory / "vault.db", isolation_level=None)


def accounts_of(world: World) -> tuple[str, str]:
    one, other = world.msisdn_of
    return one, other


async def read_all(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()


def forget_key(world: World, account_id: str) -> None:
    vault_of(world).execute("UPDATE account SET data_key = NULL WHERE account_id = ?", (account_id,))


def forget_account(world: World, account_id: str) -> None:
    vault_of(world).execute("DELETE FROM account WHERE account_id = ?", (account_id,))


def damage_key(world: World, account_id: str) -> None:
    vault_of(world).execute("UPDATE account SET data_key = x'0102' WHERE account_id = ?", (account_id,))


def damage_head(world: World, account_id: str) -> None:
    key = f"{account_id}/loyalty"
    changed = journal_of(world).execute("UPDATE state SET value = x'0102' WHERE key = ?", (key,)).rowcount
    assert changed == 1


def damage_entity(world: World, account_id: str) -> None:
    first = journal_of(world).execute("SELECT min(key) FROM state WHERE key LIKE ?", (f"{account_id}/loyalty/%",))
    journal_of(world).execute("UPDATE state SET value = x'0102' WHERE key = ?", first.fetchone())


def damage_link(world: World, account_id: str) -> None:
    journal_of(world).execute("UPDATE links SET value = '{\"version\": 77}' WHERE account_id = ?", (account_id,))


DAMAGES = [forget_key, forget_account, damage_key, damage_head, damage_entity, damage_link]


@pytest.mark.anyio
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_an_account_that_cannot_be_opened_is_set_aside_and_can_be_removed_and_linked_anew(
    world: World, log: Any, damage: Callable[[World, str], None]
) -> None:
    broken, sound = accounts_of(world)
    await read_all(world)
    key = await world.vault.data_key(broken)
    damage(world, broken)
    world.bank.step()
    told = len(await world.told("loyalty", broken))
    async with world.working() as worker:
        assert set(worker.set_aside) == {broken}
        await world.read_once(worker)
        await worker.checkpoint()
        assert worker.accounts[sound].profile is not None
        assert broken not in worker.accounts or worker.accounts[broken].profile is None
        [said] = log.lines("account_set_aside")
        assert said["account_id"] == broken
        assert said["reason"]
        assert "link remove" in said["next_step"]
        checkpoint = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"][-1]
        behind = [row["account_id"] for row in checkpoint["after"]["checkpoint"]["behind"]]
        assert broken in behind, "nobody vouches for what is not read"
        if damage is forget_key:
            row = vault_of(world).execute("SELECT data_key FROM account WHERE account_id = ?", (broken,)).fetchone()
            assert row == (None,), "no key is made beside the one that its state is sealed under"
        await world.command("remove", broken)
        await worker.apply_commands()
        assert await world.reader.pending_commands() == ()
        assert (await world.reader.links())[broken].removed
        assert worker.set_aside == {}
    assert len(await world.told("loyalty", broken)) == told
    world.new_source()  # a command line is a process of its own
    await world.link("adult", domains=LOYALTY)
    async with world.working() as worker:
        assert worker.set_aside == {}
        await worker.sweep()
        mended = [account for account, one in worker.accounts.items() if one.link is not None and not one.link.removed]
        assert len(mended) == 2
        assert sound in mended
    # Under an id whose stream was told before, no sequence is told a second time.
    events = [event for _, event in await world.events("loyalty", "lifecycle")]
    places = [(event["account_id"], event["domain"], event["sequence"]) for event in events if "domain" in event]
    assert len(places) == len(set(places))
    assert key


@pytest.mark.anyio
async def test_whatever_restoring_one_account_comes_up_with_ends_with_it(
    world: World, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = accounts_of(world)
    await read_all(world)

    class Exploding:
        def __init__(self, vault: Any) -> None:
            self._vault = vault

        def __getattr__(self, name: str) -> Any:
            return getattr(self._vault, name)

        async def data_keys(self) -> Any:
            keys = dict(await self._vault.data_keys())
            return keys | {broken: ExplodingKey(keys[broken])}

    class ExplodingKey(bytes):
        def __len__(self) -> int:
            raise ZeroDivisionError

    monkeypatch.setattr(world, "vault", Exploding(world.vault))
    async with world.working() as worker:
        assert set(worker.set_aside) == {broken}
        assert "ZeroDivisionError" in worker.set_aside[broken]
        assert sound in worker.accounts
    assert len(log.lines("account_set_aside")) == 1


@pytest.mark.anyio
async def test_poison_commands_are_set_aside_once_and_the_others_applied(world: World, log: Any) -> None:
    one, other = accounts_of(world)
    await world.command("pause", "acc_nobody_knows")
    await world.command("pause", one)
    bad = "INSERT INTO commands (command_id, shard, account_id, value) VALUES (?, 0, ?, ?)"
    journal_of(world).execute(bad, ("cmd_poison", other, '{"version": 99}'))
    await world.command("pause", other)
    async with world.working() as worker:
        for _ in range(5):
            await worker.apply_commands()
        assert worker.accounts[one].link is not None
        assert worker.accounts[one].link.paused
        assert worker.accounts[other].link is not None
        assert worker.accounts[other].link.paused
    said = [(line["command_id"], line["account_id"]) for line in log.lines("command_set_aside")]
    assert sorted(said) == [("cmd_3", "acc_nobody_knows"), ("cmd_poison", other)]


@pytest.mark.anyio
async def test_many_commands_are_few_commits(world: World) -> None:
    """A link each for many accounts, and a change of each: applied side by side, in a handful of commits."""
    commits: list[int] = []
    ids = [await world.vault.account_for(f"+92300{number:07}") for number in range(120)]
    async with world.working() as worker:
        link = worker.accounts[accounts_of(world)[0]].link
        assert link is not None
        for account_id in ids:
            await world.command("connect", account_id, link=replace(link, account_id=account_id))
            await world.command("pause", account_id)
        inner = worker._shard.commit

        async def counted(commit: Any) -> None:
            commits.append(commit.number)
            await inner(commit)

        worker.commits._shard = cast(
            "Any",
            type(
                "Counting",
                (),
                {
                    "commit": staticmethod(counted),
                    "number": 0,
                    "maximum_record_bytes": worker._shard.maximum_record_bytes,
                },
            )(),
        )
        await worker.apply_commands()
        assert all(one.link is not None and one.link.paused for key, one in worker.accounts.items() if key in set(ids))
    assert len(commits) <= 6


class ExplodingSource:
    """A source whose every page of one account makes our own code divide by zero."""

    def __init__(self, source: Any, account_id: str) -> None:
        self._source = source
        self._account_id = account_id
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_page(self, resource: Any, request: Any) -> Any:
        if resource.account_id == self._account_id:
            self.calls += 1
            raise ZeroDivisionError
        return await self._source.fetch_page(resource, request)


@pytest.mark.anyio
async def test_a_stream_that_fails_as_nobody_foresaw_is_isolated_and_the_others_go_on(world: World, log: Any) -> None:
    broken, sound = accounts_of(world)
    exploding = ExplodingSource(world.source, broken)
    world.source = cast("Any", exploding)
    async with world.running():
        await pass_time(world, 300)
    assert await world.told("loyalty", sound)
    assert exploding.calls <= 12
    assert [line["error"] for line in log.lines("unforeseen_error")] == ["ZeroDivisionError"]
    assert log.lines("unforeseen_error")[0]["where"].startswith("test_nobody_stops_anybody.py:")
    aside = log.lines("stream_set_aside")
    assert aside
    assert {(line["account_id"], line["domain"], line["error"]) for line in aside} == {
        (broken, "loyalty", "ZeroDivisionError")
    }


@pytest.mark.anyio
async def test_a_write_that_cannot_be_encoded_as_nobody_foresaw_ends_alone(world: World, log: Any) -> None:
    broken, sound = accounts_of(world)
    async with world.working() as worker:

        def explode(*_: object) -> bytes:
            raise ZeroDivisionError

        subject = worker.accounts[broken].subject
        worker.accounts[broken].subject = cast(
            "Any", type("Exploding", (), {"entity_record": explode, "token": subject.token, "head_record": explode})()
        )
        await world.read_once(worker)
        await worker.checkpoint()
        assert await world.told("loyalty", sound)
        assert not await world.told("loyalty", broken)
    assert "unforeseen_error" in {line["event"] for line in log.lines()}


@pytest.mark.anyio
async def test_one_accounts_trouble_stops_no_round_over_all(
    world: World, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, _sound = accounts_of(world)
    async with world.working() as worker:
        look = worker.runner.look_at_consent

        async def explode(account: Any) -> None:
            if account.account_id == broken:
                raise ZeroDivisionError
            await look(account)

        monkeypatch.setattr(worker.runner, "look_at_consent", explode)
        for _ in range(3):
            await worker.checkpoint()
        told = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
        assert len(told) >= 1
    [said] = log.lines("account_failed")
    assert (said["account_id"], said["error"]) == (broken, "ZeroDivisionError")


@pytest.mark.anyio
async def test_a_shard_that_fails_as_nobody_foresaw_is_taken_up_again(world: World, log: Any) -> None:
    failing = [ZeroDivisionError(), ZeroDivisionError()]

    class Exploding:
        def __init__(self, journal: Any) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def acquire(self, shard: int) -> Any:
            if failing:
                raise failing.pop()
            return await self._journal.acquire(shard)

    world.journal = cast("Any", Exploding(world.journal))
    async with world.at_work():
        await pass_time(world, 30)
    assert not failing
    assert await world.told("loyalty")
    [said] = log.lines("shard_failed")
    assert said["error"] == "ZeroDivisionError"


class Refusing:
    """A source that refuses one account for a day."""

    def __init__(self, source: Any, account_id: str) -> None:
        self._source = source
        self._account_id = account_id
        self.refused_at: list[float] = []
        self.served = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_page(self, resource: Any, request: Any) -> Any:
        if resource.account_id == self._account_id:
            self.refused_at.append(self._source._clock.monotonic())
            raise RateLimitedError("too many", retry_after_seconds=85_092.0)
        self.served += 1
        return await self._source.fetch_page(resource, request)


@pytest.mark.anyio
async def test_an_account_refused_for_a_day_holds_nobody_else_and_is_asked_again(world: World, log: Any) -> None:
    broken, _sound = accounts_of(world)
    refusing = Refusing(world.source, broken)
    world.source = cast("Any", refusing)
    async with world.running():
        await pass_time(world, 60)
        before = refusing.served
        await pass_time(world, 840)
        assert refusing.served - before > 60, "the other one is read at its own pace"
        first = len(refusing.refused_at)
        await pass_time(world, 120)
        assert len(refusing.refused_at) > first, "asked again within a quarter of an hour"
    assert first <= 2, "once for each resource"
    [said] = log.lines("account_held")
    assert (said["account_id"], said["retry_after_seconds"], said["asked_seconds"]) == (broken, 900, 85_092)
    assert not log.lines("backend_held")


@pytest.mark.anyio
async def test_a_wrong_vault_refuses_the_start_and_fences_nobody(world: World) -> None:
    await read_all(world)
    before = journal_of(world).execute("SELECT fence FROM shards").fetchall()
    other = await SqliteVault.open(world.directory / "other.db", MASTER_KEY)
    try:
        with pytest.raises(ConfigurationError, match=r"other\.db knows none of the 2 accounts"):
            await require_fitness(world.reader, other, vault_name="other.db", journal_name="journal.db")
        # Where the operator has closed them all there is nothing left to refuse for.
        for account_id in accounts_of(world):
            await world.command("remove", account_id)
        await require_fitness(world.reader, other, vault_name="other.db", journal_name="journal.db")
    finally:
        await other.close()
    assert journal_of(world).execute("SELECT fence FROM shards").fetchall() == before


@pytest.mark.anyio
async def test_a_vault_that_lacks_some_accounts_starts(world: World) -> None:
    await read_all(world)
    forget_account(world, accounts_of(world)[0])
    await require_fitness(world.reader, world.vault, vault_name="vault.db", journal_name="journal.db")


def worker_account(worker: ShardWorker, account_id: str) -> Any:
    return worker.accounts[account_id]


class Swapped:
    """A source that answers one account with what another one has: two tokens changed places."""

    def __init__(self, source: Any, places: dict[str, str]) -> None:
        self._source = source
        self.places = places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Any:
        return await self._source.fetch_profile(self.places.get(account_id, account_id), etag)

    async def fetch_page(self, resource: Any, request: Any) -> Any:
        place = self.places.get(resource.account_id, resource.account_id)
        return await self._source.fetch_page(replace(resource, account_id=place), request)


@pytest.mark.anyio
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("profile_first", [False, True])
async def test_two_swapped_holders_are_halted_before_anything_of_them_is_told(
    tmp_path: Path, log: Any, *, restarted: bool, profile_first: bool
) -> None:
    account = frozenset({"account"})
    async with World.open(
        tmp_path, people("adult", "borrower", "retiree"), seed=9, clock=VirtualClock(), options=RUNTIME
    ) as world:
        linked = await world.link(domains=account)
        one, other = linked[:2]
        swapped = Swapped(world.source, {})
        world.source = cast("Any", swapped)
        await read_all(world)
        told = len(await world.told("account"))
        if restarted:
            async with world.working() as worker:
                swapped.places = {one: other, other: one}
                await world.read_once(worker)
                states = {key: worker_account(worker, key).waiting_for for key in linked}
        else:
            async with world.working() as worker:
                await worker.sweep()
                swapped.places = {one: other, other: one}
                world.bank.step()
                await world.read_once(worker, kinds=() if profile_first else ("holder",))
                states = {key: worker_account(worker, key).waiting_for for key in linked}
        assert states[one] == states[other] == "holder_mismatch"
        assert all(state is None for key, state in states.items() if key not in {one, other})
        assert sorted(line["account_id"] for line in log.lines("account_halted")) == sorted([one, other])
        strangers = [event for event in (await world.told("account"))[told:] if event["account_id"] in {one, other}]
        assert strangers == []
        assert (await world.links_told(one))[-1] == "LinkActionRequired"
