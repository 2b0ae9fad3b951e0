"""Commits that fail, that may have happened, that another owner forbids, and events too big to be committed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from connector.cadence import Intervals
from connector.cli import exits, main
from connector.domains.registry import DOMAINS
from connector.errors import FencedError, JournalError
from connector.journal.sqlite import SqliteShard
from connector.ports import Commit, Journal
from tests.contract.journal.backends import Backend, SqliteBackend
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import KINDS, OPTIONS, World, people

HOLDER = "borrower"
NARROW_BYTES = 1_500
RUNTIME = replace(OPTIONS, intervals=dict.fromkeys(KINDS, Intervals(5.0, 10.0)))

SOMETHING_NEW: tuple[dict[str, Any], ...] = (
    {"domain": "account", "op": "amend"},
    {"domain": "account", "op": "amend", "iban": "first"},
    {"domain": "transactions", "op": "add"},
    {"domain": "cards", "op": "limits"},
    {"domain": "bills", "op": "add"},
    {"domain": "investments", "op": "buy"},
    {"domain": "investments", "op": "fill"},
    {"domain": "investments", "op": "publish_nav"},
    {"domain": "investments", "op": "publish_nav"},
    {"domain": "lending", "op": "disburse"},
    {"domain": "loyalty", "op": "redeem"},
    {"domain": "bookings", "op": "add"},
)
"""Commands that let something new into every resource, so that each is looked into again."""

Lost = list[Callable[[], None]]
"""Told when something was read and not committed: to the bank that is a client which was lost."""


def unsure(trouble: dict[int, str], lost: Lost, journal: Any) -> Journal:
    """Commits of some numbers end in an error: before they happened, or after."""

    async def commit(self: Any, commit: Commit) -> None:
        when = trouble.pop(commit.number, None)
        if when == "before":
            for tell in lost:
                tell()
        else:
            await super(shard_type, self).commit(commit)
        if when is not None:
            self._unusable = JournalError("the disk answered nothing for a while")
            raise self._unusable

    shard_type = type("Unsure", (journal.shard_type,), {"commit": commit})
    return dropping(lost, changed(journal, shard_type))


def refusing(topics: set[str], lost: Lost, journal: Any) -> Journal:
    """Commits with an event of one of `topics` fail."""

    async def commit(self: Any, commit: Commit) -> None:
        if topics & {event.topic for event in commit.events}:
            for tell in lost:
                tell()
            self._unusable = JournalError("the brokers do not take it")
            raise self._unusable
        await super(shard_type, self).commit(commit)

    shard_type = type("Refusing", (journal.shard_type,), {"commit": commit})
    return dropping(lost, changed(journal, shard_type))


def dropping(lost: Lost, journal: Any) -> Journal:
    """What other polls had read when a shard was dropped is lost, too: the bank is told once nobody reads any more."""

    async def release(self: Any) -> None:
        if self._unusable is not None:
            for tell in lost:
                tell()
        await super(shard_type, self).release()

    shard_type = type("Dropping", (journal.shard_type,), {"release": release})
    return changed(journal, shard_type)


def limited(maximum_record_bytes: int, journal: Any) -> Journal:
    limits = {"maximum_record_bytes": maximum_record_bytes}
    return changed(journal, type("Limited", (journal.shard_type,), limits))


def changed(journal: Any, shard_type: type) -> Journal:
    """The journal, giving out shards of another type from here on."""
    journal.shard_type = shard_type
    return cast("Journal", journal)


narrow = partial(limited, NARROW_BYTES)


@asynccontextmanager
async def opened(
    directory: Path, place: Backend, journal: Callable[[Any], Journal] = lambda journal: journal
) -> AsyncIterator[World]:
    async with World.open(
        directory, people(HOLDER), seed=15, clock=VirtualClock(), options=RUNTIME, place=place, journal=journal
    ) as world:
        await world.link(HOLDER)
        yield world


async def pass_time(world: World, seconds: float) -> None:
    await cast("VirtualClock", world.clock).advance(seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("numbers", [(1,), (2, 3), (4, 6, 9, 14)])
async def test_a_commit_whose_outcome_is_unknown_loses_and_doubles_nothing(
    tmp_path: Path, place: Backend, log: Log, when: str, numbers: tuple[int, ...]
) -> None:
    trouble = dict.fromkeys(numbers, when)
    lost: Lost = []
    async with opened(tmp_path, place, partial(unsure, trouble, lost)) as world:
        lost.append(world.bank.client_lost)
        async with world.at_work():
            for _ in range(6):
                await pass_time(world, 25)
                world.bank.step()
            # A stream that was alone in three of them is set aside for a minute.
            await pass_time(world, 120)
        assert trouble == {}
        assert len(log.lines("shard_dropped")) == len(numbers)
        verdict = await world.verdict()
        assert verdict.sound, verdict.findings
        [account_id] = world.msisdn_of
        # The command whose commit was in doubt was applied once.
        assert await world.links_told(account_id) == ["ConsentGranted", "LinkActivated"]
        for domain in DOMAINS:
            assert await world.streams_told(domain, account_id) == ["StreamOpened", "BackfillCompleted"]


@pytest.mark.anyio
async def test_a_disk_that_fails_inside_the_transaction_is_begun_again(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself fails half-way through a commit: nothing of it stays. (What a broker does so is in tests/kafka.)"""
    write_state, left = SqliteShard.write_state, [2, 5]

    def failing(self: SqliteShard, connection: sqlite3.Connection, commit: Commit) -> None:
        write_state(self, connection, commit)
        if commit.number in left:
            left.remove(commit.number)
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(SqliteShard, "write_state", failing)
    async with opened(tmp_path, SqliteBackend(str(tmp_path / "journal.db"), shard_count=1)) as world:
        async with world.at_work():
            await pass_time(world, 30)
            world.bank.step()
            await pass_time(world, 60)
        assert left == []
        assert len(log.lines("shard_dropped")) == 2
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_link_ends_although_one_of_its_streams_cannot_be_written(tmp_path: Path, place: Backend) -> None:
    """The poisoned stream keeps neither its neighbours from going on nor a consent from ending; its end is owed."""
    refused = {"lending"}
    lost: Lost = []
    async with opened(tmp_path, place, partial(refusing, refused, lost)) as world:
        lost.append(world.bank.client_lost)
        [account_id] = world.msisdn_of
        async with world.at_work():
            await pass_time(world, 60)
            for domain in DOMAINS.keys() - refused:
                assert await world.streams_told(domain, account_id) == ["StreamOpened", "BackfillCompleted"]
            refused.clear()
            await pass_time(world, 300)
            refused.add("lending")
            world.bank.step()
            await pass_time(world, 60)
            await world.command("remove", account_id)
            await pass_time(world, 60)
            assert (await world.links_told(account_id))[-2:] == ["ConsentRevoked", "LinkClosed"]
            assert world.bank.desk.live_holders() == set()
            assert (await world.streams_told("lending", account_id))[-1] == "BackfillCompleted"
            refused.clear()
            await pass_time(world, 300)
            for domain in DOMAINS:
                assert (await world.streams_told(domain, account_id))[-1] == "StreamClosed link"
        verdict = await world.verdict(settled=False)
        assert verdict.sound, verdict.findings


async def be_fenced(world: World) -> None:
    """Another owner takes the shard over in the middle of the connector's work."""
    async with world.at_work():
        await pass_time(world, 30)
        await world.journal.acquire(0)
        world.bank.step()
        await pass_time(world, 60)


@pytest.mark.anyio
async def test_a_connector_that_was_fenced_ends_and_does_not_fight(tmp_path: Path, place: Backend) -> None:
    async with opened(tmp_path, place) as world:
        with pytest.raises(ExceptionGroup) as caught:
            await be_fenced(world)
        told = len(await world.events())
        assert caught.value.subgroup(FencedError) is not None
        assert caught.value.split(FencedError)[1] is None
        assert main._refused(list(main._leaves(cast("Any", caught.value)))) == exits.FENCED != 0
        assert len(await world.events()) == told
        async with world.at_work():
            await pass_time(world, 60)
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("new", [True, False])
async def test_an_event_too_big_for_a_message_is_set_aside_and_the_page_goes_on(
    tmp_path: Path, place: Backend, *, new: bool
) -> None:
    async with opened(tmp_path, place, narrow) as world, world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        ledger = world.bank.life(HOLDER).ledgers["transactions"]
        world.mutate(holder=HOLDER, domain="transactions", op="add" if new else "amend")
        entity = ledger.changes[-1].entity
        # What the connector calls it: the only id that it was ever shown.
        shown_as = (ledger.present[entity].body or {})["id"]
        world.mutate(holder=HOLDER, domain="transactions", op="amend", age_days=3)
        big = {"field": "biller", "value": "x" * NARROW_BYTES, "entity": entity}
        world.strike("field_retyped", path="/accounts/*/transactions", count=None, params=big)
        for _ in range(3):
            world.clock.jump(1801)  # type: ignore[attr-defined]
            await world.read_once(worker, kinds={"transactions"})
        # Its neighbour was told, and it was quarantined once; the sequence has no gap for it.
        told = (await world.told("transactions"))[known:]
        assert [event["op"] for event in told] == ["u"]
        [row] = await world.quarantine()
        assert row["entity_id"] == shown_as
        assert f"takes {NARROW_BYTES}" in row["reason"]
        assert "xxx" not in row["reason"]
        world.bank.faults.clear()
        for _ in range(2):
            await worker.sweep()
        told = (await world.told("transactions"))[known:]
        assert [(event["op"], event["entity_id"] == shown_as) for event in told[1:]] == [("c" if new else "u", True)]
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_what_is_set_aside_in_the_first_sync_outlives_the_window_and_is_told_in_the_end(
    tmp_path: Path, place: Backend
) -> None:
    """Far beyond the window, where everything else is let go at once: owed is owed."""
    async with World.open(tmp_path, "lockstep", place=place, journal=partial(limited, 436)) as world:
        await world.link("adult")
        journal = world.journal._inner  # type: ignore[attr-defined]
        async with world.working() as worker:
            for _ in range(3):
                world.mutate(holder="adult", domain="transactions", op="add")
                await worker.sweep()
        aside = [row["entity_id"] for row in await world.quarantine() if row["domain"] == "transactions"]
        told = {event["entity_id"] for event in await world.told("transactions")}
        assert len(aside) > 50
        assert len(aside) == len(set(aside)), "once each"
        assert told.isdisjoint(aside)
        changed(journal, type(journal).shard_type)
        async with world.working() as worker:
            [iban] = world.bank.life("adult").ibans
            for command in SOMETHING_NEW:
                world.mutate(holder="adult", **(command | {"iban": iban} if "iban" in command else command))
            for card_id in world.bank.life("adult").cards.cards:
                world.mutate(holder="adult", domain="cards", op="decline", entity=f"card/{card_id}")
            for _ in range(3):
                await worker.sweep()
        await world.assert_sound()
