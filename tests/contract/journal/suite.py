"""What every journal must do. A backend is put under it by one class with a `backend` fixture."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from connector.errors import ConfigurationError, FencedError, JournalError
from connector.journal.partition import shard_of
from connector.ports import (
    Commit,
    EventRecord,
    Journal,
    JournalReader,
    LastCommit,
    QuarantineRecord,
    Shard,
    StateRecord,
    StoredEvent,
    VaultIdentity,
)
from tests.contract.journal.backends import Backend
from tests.contract.journal.samples import (
    AT,
    EVENTS_A_COMMIT,
    TOPICS,
    a_command,
    a_link,
    an_event,
    numbered_commit,
    numbers_of,
)

Told = TypeVar("Told", EventRecord, StoredEvent)

ROOT = Path(__file__).parents[3]
SHARD = 1


@asynccontextmanager
async def opened(backend: Backend) -> AsyncIterator[tuple[Journal, JournalReader]]:
    async with AsyncExitStack() as stack:
        journal = await backend.open_journal()
        stack.push_async_callback(journal.close)
        reader = await backend.open_reader()
        stack.push_async_callback(reader.close)
        yield journal, reader


async def state_of(shard: Shard) -> dict[str, bytes | None]:
    records = [record async for record in shard.restore()]
    assert len({record.key for record in records}) == len(records)
    return {record.key: record.value for record in records}


async def events_of(reader: JournalReader, *topics: str, key: str | None = None) -> list[StoredEvent]:
    return [event async for event in reader.read_events(topics or TOPICS, key=key)]


def logs_of(events: list[Told], backend: Backend) -> list[list[Told]]:
    """The events of each log, in which the backend promises an order: one for all, or one a topic."""
    if backend.one_log:
        return [events]
    return [[event for event in events if event.topic == topic] for topic in TOPICS]


def only_state(number: int, *records: StateRecord) -> Commit:
    return Commit(SHARD, number, (), records)


class _CommitsAndReads:
    async def test_a_commit_is_seen_whole(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(numbered_commit(SHARD, 1))
            events = await events_of(reader)
            expected = list(numbered_commit(SHARD, 1).events)
            assert [[event.value for event in log] for log in logs_of(events, backend)] == [
                [event.value for event in log] for log in logs_of(expected, backend)
            ]
            first = logs_of(events, backend)[0][0]
            assert first.headers == (("ce_type", b"TransactionPosted"), ("raw", b"\xff\x00"))
            assert (first.key, first.shard, first.topic) == ("account", SHARD, "transactions")
            assert await state_of(shard) == {
                "account/transactions": b"1",
                "account/lending": b"1",
                "account/transactions/t/1": b"1",
            }
            assert dict(await shard.links()) == dict(await reader.links()) == {"account": a_link("account", 1)}

    async def test_a_commit_of_nothing_but_state_or_events(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(only_state(1, StateRecord("a/b", b"1")))
            await shard.commit(Commit(SHARD, 2, (an_event("lifecycle", "a", b"e"),), ()))
            assert await state_of(shard) == {"a/b": b"1"}
            assert [event.value for event in await events_of(reader)] == [b"e"]

    async def test_offsets_rise_in_topic_and_shard(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            for number in (0, 1):
                shard = await journal.acquire(number)
                for commit in (1, 2, 3):
                    await shard.commit(numbered_commit(number, commit))
            seen: dict[tuple[str, int], list[int]] = {}
            for event in await events_of(reader):
                seen.setdefault((event.topic, event.shard), []).append(event.offset)
            assert len(seen) == 4
            assert all(len(offsets) == 3 * EVENTS_A_COMMIT // 2 for offsets in seen.values())
            assert all(offsets == sorted(set(offsets)) for offsets in seen.values())
            if backend.one_log:
                assert all(offsets == list(range(len(offsets))) for offsets in seen.values())

    async def test_order_is_that_of_the_commits(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            for number in range(1, 61):  # more than one batch of a reader
                await shard.commit(numbered_commit(SHARD, number))
            for topic in ("transactions", "lending"):
                told = numbers_of(await events_of(reader, topic))
                assert told == sorted(told)
                assert len(told) == 60 * EVENTS_A_COMMIT // 2

    async def test_events_are_filtered_by_topic_and_key(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            events = tuple(
                an_event(topic, key, f"{topic}{key}".encode()) for topic in TOPICS for key in ("a", "b", "a")
            )
            await shard.commit(Commit(SHARD, 1, events, ()))
            found = await events_of(reader, "lending", "lifecycle", key="a")
            assert sorted(event.value for event in found) == [b"lendinga", b"lendinga", b"lifecyclea", b"lifecyclea"]

    async def test_restore_gives_last_values_without_tombstones(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            rnd = random.Random(7)
            expected: dict[str, bytes | None] = {}
            for number in range(1, 40):
                records = tuple(
                    StateRecord(f"acc/d/r/{rnd.randrange(200)}", rnd.choice([None, rnd.randbytes(5), b""]))
                    for _ in range(100)
                )
                await shard.commit(only_state(number, *records))
                expected |= {record.key: record.value for record in records}
            live = {key: value for key, value in expected.items() if value is not None}
            assert await state_of(shard) == live

    async def test_restore_of_many_keys_gives_each_once(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(only_state(1, *(StateRecord(f"a/d/r/{index}", b"v") for index in range(4_321))))
            assert len(await state_of(shard)) == 4_321

    async def test_a_shard_restores_only_its_own(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            first, second = await journal.acquire(0), await journal.acquire(1)
            await first.commit(Commit(0, 1, (), (StateRecord("a/b", b"0"),), links=(a_link("a"),)))
            await second.commit(Commit(1, 1, (), (StateRecord("a/b", b"1"),), links=(a_link("b"),)))
            assert await state_of(first) == {"a/b": b"0"}
            assert await state_of(second) == {"a/b": b"1"}
            assert set(await first.links()) == {"a"}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first.commit, Commit(0, 2, (), ()))
                tasks.start_soon(second.commit, Commit(1, 2, (), ()))

    async def test_all_of_it_is_there_after_reopening(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(numbered_commit(SHARD, 1))
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            assert (await state_of(shard))["account/lending"] == b"1"
            await shard.commit(numbered_commit(SHARD, 2))
            assert sorted(set(numbers_of(await events_of(reader)))) == [1, 2]

    async def test_a_key_and_a_label_may_hold_any_text(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(Commit(SHARD, 1, (EventRecord("lending", "Ünïcode/ﷺ", b"", ()),), ()))
            [event] = await events_of(reader)
            assert (event.key, event.value, event.headers) == ("Ünïcode/ﷺ", b"", ())


class _Refusals:
    @pytest.mark.parametrize("number", [0, 2, 3])
    async def test_a_number_out_of_turn_is_refused(self, backend: Backend, number: int) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, number))
            assert await events_of(reader) == []

    async def test_a_commit_done_twice_is_refused(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(numbered_commit(SHARD, 1))
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, 1))
            assert len(await events_of(reader)) == EVENTS_A_COMMIT

    async def test_after_a_failure_the_shard_must_be_acquired_again(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, 9))
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, 1))
            again = await journal.acquire(SHARD)
            assert await state_of(again) == {}
            await again.commit(numbered_commit(SHARD, 1))

    async def test_nothing_of_a_commit_with_an_oversized_record_is_seen(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            limit = shard.maximum_record_bytes
            await shard.commit(Commit(SHARD, 1, (an_event("lending", "a", b"x" * limit),), ()))
            with pytest.raises(JournalError):
                await shard.commit(
                    Commit(SHARD, 2, (an_event("lending", "a", b"y"),), (StateRecord("a/b", b"x" * (limit + 1)),))
                )
            assert [len(event.value) for event in await events_of(reader)] == [limit]

    async def test_whoever_held_a_shard_before_is_fenced(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            before = await journal.acquire(SHARD)
            await before.commit(numbered_commit(SHARD, 1))
            after = await journal.acquire(SHARD)
            with pytest.raises(FencedError):
                await before.commit(numbered_commit(SHARD, 2))
            with pytest.raises(FencedError):
                await before.commit(numbered_commit(SHARD, 2))
            await before.release()
            await after.commit(numbered_commit(SHARD, 2))
            assert len(await events_of(reader)) == 2 * EVENTS_A_COMMIT

    async def test_a_released_shard_commits_no_more(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            await shard.release()
            await shard.release()
            with pytest.raises(FencedError):
                await shard.commit(numbered_commit(SHARD, 1))

    async def test_a_second_owner_is_refused_or_fences_the_first(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader), opened(backend) as (rival, _):
            shard = await journal.acquire(SHARD)
            await shard.commit(numbered_commit(SHARD, 1))
            if backend.refuses_second_owner:
                with pytest.raises(ConfigurationError, match=str(os.getpid())):
                    await rival.acquire(SHARD)
                await shard.release()
            successor = await rival.acquire(SHARD)
            with pytest.raises(FencedError):
                await shard.commit(numbered_commit(SHARD, 2))
            await successor.commit(numbered_commit(SHARD, 2))
            assert len(await events_of(reader)) == 2 * EVENTS_A_COMMIT

    async def test_a_shard_that_is_not_there(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            for number in (-1, journal.shard_count):
                with pytest.raises(ConfigurationError):
                    await journal.acquire(number)

    async def test_closing_twice_and_using_after(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await journal.close()
            await reader.close()
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, 1))
            with pytest.raises(JournalError):
                await reader.links()


class _Readers:
    async def test_following_waits_for_what_comes(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            seen: list[StoredEvent] = []
            wanted = 3 * EVENTS_A_COMMIT

            async def follow() -> None:
                async for event in reader.read_events(TOPICS, follow=True):
                    seen.append(event)
                    if len(seen) == wanted:
                        return

            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    for number in (1, 2, 3):
                        await shard.commit(numbered_commit(SHARD, number))
            for log in logs_of(seen, backend):
                assert numbers_of(log) == sorted(numbers_of(log))
            assert logs_of(seen, backend) == logs_of(await events_of(reader), backend)

    async def test_following_from_the_end_shows_what_comes_and_nothing_of_what_was_there(
        self, backend: Backend
    ) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            for number in (1, 2):
                await shard.commit(numbered_commit(SHARD, number))
            seen: list[StoredEvent] = []

            async def follow() -> None:
                async for event in reader.read_events(TOPICS, follow=True, from_end=True):
                    seen.append(event)
                    if len(seen) == 3 * EVENTS_A_COMMIT:
                        return

            number = 2
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    while len(seen) < 3 * EVENTS_A_COMMIT:
                        number += 1
                        await shard.commit(numbered_commit(SHARD, number))
                        await anyio.sleep(0.05)
            every = logs_of(await events_of(reader), backend)
            for log, whole in zip(logs_of(seen, backend), every, strict=True):
                if log:
                    at = whole.index(log[0])
                    assert log == whole[at : at + len(log)], "nothing between them is left out"
                    assert min(numbers_of(log)) > 2
            assert [event async for event in reader.read_events(TOPICS, from_end=True)] == []

    async def test_a_reader_never_sees_a_part_of_a_commit(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            commits = 30
            done = anyio.Event()

            async def write() -> None:
                for number in range(1, commits + 1):
                    await shard.commit(numbered_commit(SHARD, number))
                done.set()

            async def read() -> None:
                while not done.is_set():
                    events = await events_of(reader)
                    told = numbers_of(events)
                    for log in logs_of(events, backend):
                        # Each of the two topics has half of every commit.
                        whole = EVENTS_A_COMMIT if backend.one_log else EVENTS_A_COMMIT // 2
                        assert len(log) % whole == 0, "events of a part of a commit"
                    generation = (await reader.links())["account"].generation if told else 0
                    assert not told or generation >= max(told), "events without the link of their commit"

            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    tasks.start_soon(write)

    async def test_a_cancelled_commit_is_whole_or_not_there(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            for after_turns in range(6):
                shard = await journal.acquire(SHARD)
                before = int((await state_of(shard)).get("account/transactions") or b"0")
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(shard.commit, numbered_commit(SHARD, before + 1))
                        for _ in range(after_turns):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()
                restored = await state_of(await journal.acquire(SHARD))
                number = int(restored.get("account/transactions") or b"0")
                assert number in {before, before + 1}
                await self.require_whole(reader, number)

    async def test_state_is_read_beside_its_owner_by_key_and_by_what_keys_begin_with(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            for number in (0, SHARD):
                shard = await journal.acquire(number)
                for commit in (1, 2, 3, 4):
                    await shard.commit(numbered_commit(number, commit))
            await shard.commit(
                only_state(5, StateRecord("accountant/lending", b"other"), StateRecord("account/x", None))
            )
            everything = [record async for record in reader.read_state()]
            told = {"account/transactions", "account/lending", *(f"account/transactions/t/{one}" for one in (2, 3, 4))}
            assert sorted(record.key for record in everything) == sorted([*told, *told, "accountant/lending"])
            assert {record.value for record in everything if record.key == "account/lending"} == {b"4"}
            for keys, expected in (
                (("account/lending", "account/nothing"), ["account/lending"] * 2),
                (("account/transactions/",), [f"account/transactions/t/{one}" for one in (2, 3, 4)] * 2),
                (("accountant/", "account/transactions"), ["account/transactions"] * 2 + ["accountant/lending"]),
                ((), []),
            ):
                found = [record.key async for record in reader.read_state(keys)]
                assert sorted(found) == sorted(expected), keys
            # The owner was not fenced by any of it.
            await shard.commit(only_state(6, StateRecord("account/lending", b"6")))
            assert b"6" in {record.value async for record in reader.read_state(["account/lending"])}

    async def test_what_was_never_committed_is_no_state(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            await shard.commit(only_state(1, StateRecord("a/b", b"1")))
            with pytest.raises(JournalError):
                await shard.commit(only_state(3, StateRecord("a/b", b"3")))
            assert [record async for record in reader.read_state()] == [StateRecord("a/b", b"1")]

    async def test_quarantine_is_read_oldest_first(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            assert [record async for record in reader.read_quarantine()] == []
            shard = await journal.acquire(SHARD)
            for number in (1, 2, 3):
                await shard.commit(numbered_commit(SHARD, number))
            other = (QuarantineRecord("other", b"o"),)
            await shard.commit(Commit(SHARD, 4, (), (), quarantine=other))
            mine = [QuarantineRecord("account", told) for told in (b"1", b"2", b"3")]
            assert [record async for record in reader.read_quarantine()] == [*mine, *other]
            assert [record async for record in reader.read_quarantine(["account"])] == mine
            assert [record async for record in reader.read_quarantine(["accoun"])] == []

    async def require_whole(self, reader: JournalReader, commits: int) -> None:
        told = numbers_of(await events_of(reader))
        assert sorted(told) == [number for number in range(1, commits + 1) for _ in range(EVENTS_A_COMMIT)]


class _Commands:
    async def test_a_command_is_applied_once_with_its_commit(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            account = account_of_shard(journal, SHARD)
            shard = await journal.acquire(SHARD)
            assert await shard.pending_commands() == ()
            commands = [a_command(f"c{index}", account) for index in range(3)]
            for command in commands:
                await reader.append_command(command)
            assert await shard.pending_commands() == tuple(commands)
            await shard.commit(Commit(SHARD, 1, (), (), links=(a_link(account),), commands_applied=("c0", "c1")))
            assert await shard.pending_commands() == (commands[2],)
            assert [await reader.command_pending(f"c{index}") for index in range(3)] == [False, False, True]
        async with opened(backend) as (journal, reader):
            shard = await journal.acquire(SHARD)
            assert await shard.pending_commands() == (commands[2],)
            assert dict(await reader.links()) == {account: a_link(account)}

    async def test_a_command_waits_for_a_connector(self, backend: Backend) -> None:
        reader = await backend.open_reader()
        try:
            await reader.append_command(a_command("early", "some-account"))
        finally:
            await reader.close()
        async with opened(backend) as (journal, _reader):
            pending = [
                command.command_id
                for number in range(journal.shard_count)
                for command in await (await journal.acquire(number)).pending_commands()
            ]
            assert pending == ["early"]

    async def test_the_same_command_twice_is_one(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            account = account_of_shard(journal, SHARD)
            shard = await journal.acquire(SHARD)
            for _ in range(2):
                await reader.append_command(a_command("c", account))
            assert len(await shard.pending_commands()) == 1

    async def test_a_failed_commit_leaves_its_commands(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            account = account_of_shard(journal, SHARD)
            shard = await journal.acquire(SHARD)
            await reader.append_command(a_command("c", account))
            with pytest.raises(JournalError):
                await shard.commit(Commit(SHARD, 5, (), (), commands_applied=("c",)))
            assert await reader.command_pending("c")

    async def test_commands_come_in_while_commits_run(self, backend: Backend) -> None:
        async with opened(backend) as (journal, reader):
            account = account_of_shard(journal, SHARD)
            shard = await journal.acquire(SHARD)

            async def command() -> None:
                for index in range(20):
                    await reader.append_command(a_command(f"c{index}", account))

            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(command)
                    for number in range(1, 21):
                        await shard.commit(numbered_commit(SHARD, number))
            assert [command.command_id for command in await shard.pending_commands()] == [f"c{i}" for i in range(20)]


class _Branches:
    async def test_a_journal_keeps_its_epoch_until_it_begins_another(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            epoch = journal.epoch
            shard = await journal.acquire(SHARD)
            assert shard.epoch == epoch
            await shard.commit(numbered_commit(SHARD, 1))
        async with opened(backend) as (journal, _reader):
            assert journal.epoch == epoch
            assert await journal.begin_epoch() == journal.epoch != epoch
        async with opened(backend) as (again, _reader):
            assert again.epoch == journal.epoch
            shard = await again.acquire(SHARD)
            assert shard.epoch == journal.epoch
            await shard.commit(numbered_commit(SHARD, 2))

    async def test_the_last_commit_is_known_without_owning_the_shard(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader), opened(backend) as (other, _):
            assert await other.last_commit(SHARD) == LastCommit()
            shard = await journal.acquire(SHARD)
            assert shard.last == LastCommit()
            told = replace(numbered_commit(SHARD, 1), tip=b"tip", at=AT, vault=VaultIdentity("v", 7), epoch="e")
            await shard.commit(told)
            last = LastCommit(1, b"tip", AT, VaultIdentity("v", 7))
            assert await other.last_commit(SHARD) == await other.last_commit(SHARD, settled=True) == last
            await shard.commit(numbered_commit(SHARD, 2))
        async with opened(backend) as (journal, _reader):
            assert (await journal.acquire(SHARD)).last == LastCommit(2)

    async def test_the_position_is_state_like_any_other(self, backend: Backend) -> None:
        async with opened(backend) as (journal, _reader):
            shard = await journal.acquire(SHARD)
            position = StateRecord(f"shard/{SHARD}/position", b"here")
            await shard.commit(replace(only_state(1, StateRecord("a/b", b"1")), position=position))
            assert await state_of(shard) == {"a/b": b"1", position.key: b"here"}


class _Kills:
    async def test_a_kill_leaves_all_of_a_commit_or_nothing(self, backend: Backend) -> None:
        for seed in range(5):
            await kill_and_check(backend, seed)


class JournalContract(_CommitsAndReads, _Refusals, _Readers, _Commands, _Branches, _Kills):
    """The whole contract."""

    pytestmark = pytest.mark.anyio


def account_of_shard(journal: Journal, shard: int) -> str:
    """An account id that belongs to `shard`."""
    return next(
        account for account in (f"account-{n}" for n in range(1_000)) if shard_of(account, journal.shard_count) == shard
    )


async def kill_and_check(backend: Backend, seed: int) -> None:
    """Let a process commit, kill it at a moment of the seed's choosing, and look at what is left.

    Raises:
        AssertionError: a commit was torn, lost although it had returned, or came twice.
    """
    said = await anyio.to_thread.run_sync(write_until_killed, backend, seed)
    await require_untorn(backend, said, f"seed {seed}")


async def require_untorn(backend: Backend, at_least: int, where: str) -> int:
    """Look at what a writer of `numbered_commit` has left; the number of its last commit.

    Raises:
        AssertionError: a commit was torn, came twice, or number `at_least`, which had returned, was lost.
    """
    async with opened(backend) as (journal, reader):
        with anyio.fail_after(30):
            shard = await journal.acquire(SHARD)
        state = await state_of(shard)
        number = int(state.get("account/transactions") or b"0")
        assert number >= at_least, f"{where}: commit {at_least} had returned, but {number} is the last"
        told = str(number).encode()
        assert state == {
            "account/transactions": told,
            "account/lending": told,
            **{f"account/transactions/t/{n}": str(n).encode() for n in range(max(1, number - 2), number + 1)},
        }, f"{where}: state is torn"
        assert (await reader.links())["account"] == a_link("account", number), f"{where}: the link is torn"
        events = await events_of(reader)
        values = sorted(event.value for event in events)
        wanted = sorted(b"%d/%d" % (n, i) for n in range(1, number + 1) for i in range(EVENTS_A_COMMIT))
        assert values == wanted, f"{where}: events are torn"
        return number


def write_until_killed(backend: Backend, seed: int) -> int:
    """Run `crash_writer` and kill it; the number of the last commit that it said had returned."""
    rnd = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.journal.crash_writer", backend.name, backend.location, str(SHARD)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        said = 0
        for _ in range(rnd.randrange(1, 12)):
            said = int(writer.stdout.readline())
        # Then somewhere in the next commits: the moment is the machine's, only its spread is the seed's.
        killed_after = rnd.random() * 0.02
        threading.Event().wait(killed_after)
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                said = int(line)
    return said
