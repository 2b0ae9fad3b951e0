"""A journal that goes back in time, or was changed behind the connector's back: found, and refused or announced."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.errors import ConfigurationError, JournalError
from connector.runtime import backup as work
from connector.runtime.branch import MarkKeeper
from connector.runtime.connector import run_connector
from connector.runtime.new_branch import begin_epoch
from connector.runtime.verify import verify
from connector.settings import JournalSettings, Settings, VaultSettings
from connector.vault import SqliteVault
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import MASTER_KEY, World, people

pytestmark = pytest.mark.anyio

HOLDER = "borrower"
BACKUP_KEY = bytes(range(32, 64))
Damage = Callable[[sqlite3.Connection], Any]


def settings_in(directory: Path) -> Settings:
    return Settings(
        journal=JournalSettings(path=directory / "journal.db"),
        vault=VaultSettings(path=directory / "vault.db", master_key_file=directory / "master.key"),
    )


@asynccontextmanager
async def worked(directory: Path, *, rounds: int = 1) -> AsyncIterator[World]:
    """A connector that has read everything of one holder, and noted in the vault how far it had come."""
    async with World.open(directory, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        await world.link(HOLDER)
        await work_on(world, rounds)
        yield world


@contextmanager
def refusing(text: str) -> Iterator[None]:
    """The block is refused with a message that holds `text`, in a group of errors or by itself."""
    said = ""
    try:
        yield
    except* ConfigurationError as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            [error] = error.exceptions
        said = str(error)
    assert text in said


async def work_on(world: World, rounds: int = 1) -> None:
    """Read everything, with something new at the bank before each round."""
    async with world.working() as worker:
        keeper = MarkKeeper(0, worker.commits.branch, world.vault, world.clock)
        for _ in range(rounds):
            world.mutate(domain="transactions", op="add", holder=HOLDER)
            await world.read_once(worker)
        await worker.checkpoint()
        await keeper.note()


def damaged(directory: Path, damage: Damage) -> None:
    with closing(sqlite3.connect(directory / "journal.db", isolation_level=None)) as connection:
        damage(connection)


def copy_of(directory: Path, name: str, *files: str) -> Path:
    """The files as they are, write-ahead log included."""
    kept = directory / name
    kept.mkdir()
    for file in files:
        for path in directory.glob(f"{file}*"):
            if path.suffix != ".lock":
                shutil.copy(path, kept / path.name)
    return kept


def put_back(kept: Path, directory: Path, *files: str) -> None:
    for file in files:
        for path in directory.glob(f"{file}*"):
            if path.suffix != ".lock":
                path.unlink()
        for path in kept.glob(f"{file}*"):
            shutil.copy(path, directory / path.name)


def rows(directory: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "journal.db")) as connection:
        return connection.execute(query).fetchall()


DAMAGES: dict[str, tuple[str, Damage]] = {
    "an edited event": (
        "events",
        lambda db: db.execute("UPDATE events SET value = x'00' WHERE position = (SELECT max(position) FROM events)"),
    ),
    "an edited header": ("events", lambda db: db.execute("UPDATE events SET headers = '[]' WHERE position = 5")),
    "the newest event": (
        "events",
        lambda db: db.execute("DELETE FROM events WHERE position = (SELECT max(position) FROM events)"),
    ),
    "an event in the middle": ("events", lambda db: db.execute("DELETE FROM events WHERE position = 5")),
    "two swapped events": (
        "events",
        lambda db: db.executescript(
            "UPDATE events SET position = -1 WHERE position = 5; UPDATE events SET position = 5 WHERE position = 6;"
            "UPDATE events SET position = 6 WHERE position = -1"
        ),
    ),
    "an event doubled": (
        "events",
        lambda db: db.execute(
            "INSERT INTO events SELECT NULL, topic, shard, record_offset + 9999, key, value, headers, commit_number"
            " FROM events WHERE position = 5"
        ),
    ),
    "an invented commit": (
        "events",
        lambda db: db.execute("UPDATE events SET commit_number = 9999 WHERE position = 5"),
    ),
    "an edited commit": ("commits", lambda db: db.execute("UPDATE commits SET epoch = 'x' WHERE number = 2")),
    "a removed commit": ("commits", lambda db: db.execute("DELETE FROM commits WHERE number = 2")),
    "an edited state row": (
        "state",
        lambda db: db.execute("UPDATE state SET value = x'01' WHERE key LIKE '%/account/%'"),
    ),
    "a removed state row": (
        "state",
        lambda db: db.execute("DELETE FROM state WHERE key = (SELECT max(key) FROM state WHERE key LIKE 'acc%/%/%/%')"),
    ),
    "an invented state row": ("state", lambda db: db.execute("INSERT INTO state VALUES (0, 'x/y/z/00', x'01')")),
    "two swapped state rows": (
        "state",
        lambda db: db.executescript(
            "UPDATE state SET key = 'x' WHERE key = (SELECT min(key) FROM state WHERE key LIKE 'acc%/%/%/%');"
            "UPDATE state SET key = 'y' WHERE key = (SELECT max(key) FROM state WHERE key LIKE 'acc%/%/%/%')"
        ),
    ),
    "an edited link": (
        "links",
        lambda db: db.execute("UPDATE links SET value = replace(value, '\"paused\":false', '\"paused\":true')"),
    ),
    "a removed link": ("links", lambda db: db.execute("DELETE FROM links")),
    "an invented quarantine record": (
        "quarantine",
        lambda db: db.execute("INSERT INTO quarantine VALUES (NULL, 0, 'acc', x'00', 2)"),
    ),
    "a forgotten commit count": (
        "shards",
        lambda db: db.execute("UPDATE shards SET commit_number = commit_number - 1"),
    ),
}


async def test_verify_names_every_damage(tmp_path: Path) -> None:
    async with worked(tmp_path, rounds=2):
        pass
    kept = copy_of(tmp_path, "kept", "journal.db")
    assert await findings(tmp_path) == []
    for name, (table, damage) in DAMAGES.items():
        damaged(tmp_path, damage)
        found = await findings(tmp_path)
        assert table in {finding.table for finding in found}, f"{name}: {[str(finding) for finding in found]}"
        put_back(kept, tmp_path, "journal.db")
    assert await findings(tmp_path) == []


async def test_events_and_checkpoints_say_where_they_stand_in_the_chain(tmp_path: Path) -> None:
    async with worked(tmp_path, rounds=2) as world:
        tips = dict(rows(tmp_path, "SELECT number, tip FROM commits"))
        stored = [event async for event in world.reader.read_events((*DOMAINS, "lifecycle"))]
        assert {dict(event.headers)["epoch"].decode() for event in stored} == {world.journal.epoch}
        numbers = [int(dict(event.headers)["commit"]) for event in stored]
        assert numbers == sorted(numbers)
        assert set(numbers) <= set(tips)
        [checkpoint] = [event for _, event in await world.events("lifecycle") if event["event_type"] == "Checkpoint"]
        told = checkpoint["after"]["checkpoint"]
        assert told["epoch"] == checkpoint["epoch"] == world.journal.epoch
        assert told["chain_tip"] == tips[max(tips) - 1].hex()


async def test_verify_names_a_row_that_was_put_back(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        [(key, before)] = rows(tmp_path, "SELECT key, value FROM state WHERE key LIKE 'acc%/transactions'")
        await work_on(world)
    damaged(tmp_path, lambda db: db.execute("UPDATE state SET value = ? WHERE key = ?", (before, key)))
    [finding] = await findings(tmp_path)
    assert (finding.table, finding.shard) == ("state", 0)
    assert key in finding.what
    assert finding.commit is not None


async def findings(directory: Path) -> list[Any]:
    return await verify(settings_in(directory), MASTER_KEY, VirtualClock())


@pytest.mark.parametrize("what", ["an entity", "a head", "a link", "the position"])
async def test_a_row_put_back_is_found_at_the_start(tmp_path: Path, what: str) -> None:
    query = {
        "an entity": "SELECT key, value FROM state WHERE key LIKE 'acc%/%/%/%'",
        "a head": "SELECT key, value FROM state WHERE key LIKE 'acc%/transactions'",
        "a link": "SELECT account_id, value FROM links",
        "the position": "SELECT key, value FROM state WHERE key LIKE 'shard/0/position'",
    }[what]
    update = (
        "UPDATE links SET value = ? WHERE account_id = ?"
        if what == "a link"
        else "UPDATE state SET value = ? WHERE key = ?"
    )
    async with worked(tmp_path) as world:
        before = rows(tmp_path, query)
        [account_id] = world.msisdn_of
        await world.command("pause", account_id)
        async with world.working():
            pass
        await world.command("resume", account_id)
        world.mutate(domain="account", op="amend", holder=HOLDER)
        await work_on(world)
        after = dict(rows(tmp_path, query))
        key, value = next((key, value) for key, value in before if after.get(key) != value)
        damaged(tmp_path, lambda db: db.execute(update, (value, key)))
        with refusing("journal verify"):
            async with world.working():
                pass


async def test_links_that_are_gone_are_said(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        damaged(tmp_path, lambda db: db.execute("DELETE FROM links"))
        with refusing("1 accounts whose links are gone"):
            async with world.working():
                pass


async def test_an_older_copy_of_the_journal_is_refused_before_anything_is_taken(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "journal.db")
        await work_on(world)
    put_back(kept, tmp_path, "journal.db")
    [(fence, number)] = rows(tmp_path, "SELECT fence, commit_number FROM shards")
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        with pytest.raises(ConfigurationError) as refused:
            async with world.working():
                pass
    text = str(refused.value)
    assert f"ends with commit {number} (20" in text
    assert "the vault knows commit" in text
    assert "zindigi restore" in text
    assert "new-epoch" in text
    assert rows(tmp_path, "SELECT fence, commit_number FROM shards") == [(fence, number)]


async def test_a_running_journal_copied_without_its_log_is_refused(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        kept = tmp_path / "kept"
        kept.mkdir()
        await work_on(world)
        shutil.copy(tmp_path / "journal.db", kept / "journal.db")
        lost = copy_of(tmp_path, "whole", "journal.db")
    behind = rows(kept, "SELECT commit_number FROM shards") if is_whole(kept) else None
    if behind == rows(lost, "SELECT commit_number FROM shards"):
        pytest.fail("the log had been brought into the file: nothing is lost, and nothing is shown")
    put_back(kept, tmp_path, "journal.db")
    with pytest.raises((ConfigurationError, JournalError)):
        async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world, world.working():
            pass


def is_whole(directory: Path) -> bool:
    try:
        rows(directory, "SELECT commit_number FROM shards")
    except sqlite3.Error:
        return False
    return True


async def test_an_older_vault_is_refused(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "vault.db")
        await work_on(world, 2)
        await work_on(world, 2)
    put_back(kept, tmp_path, "vault.db")
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        with pytest.raises(ConfigurationError, match="the vault is an older copy"):
            async with world.working():
                pass


async def test_another_vault_is_refused_before_anything_is_taken(tmp_path: Path) -> None:
    async with worked(tmp_path):
        pass
    for path in tmp_path.glob("vault.db*"):
        path.unlink()
    before = rows(tmp_path, "SELECT fence FROM shards")
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        with pytest.raises(ConfigurationError, match="another vault"):
            async with world.working():
                pass
    assert rows(tmp_path, "SELECT fence FROM shards") == before


async def test_without_the_mark_the_same_copy_would_be_written_on(tmp_path: Path) -> None:
    """The control: it is the mark that refuses, nothing else."""
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "journal.db", "vault.db")
        await work_on(world)
    put_back(kept, tmp_path, "journal.db", "vault.db")
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world, world.working():
        pass


async def test_a_new_epoch_lets_an_older_copy_go_on_and_tells_every_stream(tmp_path: Path) -> None:
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "journal.db")
        await work_on(world)
        parent = world.journal.epoch
        before = await world.events()
    put_back(kept, tmp_path, "journal.db")
    epoch = await begin_epoch(settings_in(tmp_path), MASTER_KEY, VirtualClock())
    assert epoch != parent
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        there = await world.events()
        async with world.working():
            pass
        began = (await world.events())[len(there) :]
    streams = {(event["account_id"], topic) for topic, event in there}
    told = [event for _, event in began if event["event_type"] == "EpochBegan"]
    assert {(event["account_id"], topic) for topic, event in began if event["event_type"] == "EpochBegan"} == streams
    assert {(event["epoch"], event["reason"], event["op"]) for event in told} == {(epoch, parent, "s")}
    assert told[-1]["account_id"] == "shard/0"
    last = {}
    for topic, event in there:
        last[event["account_id"], topic] = event["sequence"]
    firsts = {(event["account_id"], topic): event["sequence"] for topic, event in began}
    assert all(firsts[stream] == last[stream] + 1 for stream in streams)
    ids = {event["event_id"] for _, event in before}
    assert ids.isdisjoint(event["event_id"] for _, event in began)
    assert await findings(tmp_path) == []


async def test_a_start_with_new_epoch_lets_an_older_copy_go_on_and_says_so(tmp_path: Path, log: Log) -> None:
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "journal.db")
        await work_on(world)
        parent = world.journal.epoch
    put_back(kept, tmp_path, "journal.db")
    settings = settings_in(tmp_path)
    with refusing("the vault knows commit"):
        await run_connector(settings, MASTER_KEY)
    assert log.lines("epoch_began") == []
    async with anyio.create_task_group() as tasks:
        # As under a service manager: nobody is asked.
        tasks.start_soon(partial(run_connector, settings, MASTER_KEY, new_epoch=True))
        with anyio.fail_after(20):
            # Every stream has said it by then.
            while not restored_in_new_epoch(log):
                await SystemClock().sleep(0.01)
        tasks.cancel_scope.cancel()
    [said] = log.lines("epoch_began")
    assert (said["parent_epoch"], said["level"]) == (parent, "warning")
    assert said["epoch"] != parent
    [started] = log.lines("starting")
    assert started["bank"] == "127.0.0.1:8642"
    assert started["journal"] == str(settings.journal.path)
    assert (started["shards_count"], started["links_count"]) == (1, 1)
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world:
        told = [event for _, event in await world.events() if event["event_type"] == "EpochBegan"]
    assert {(event["epoch"], event["reason"]) for event in told} == {(said["epoch"], parent)}
    assert told[-1]["account_id"] == "shard/0"
    assert await findings(tmp_path) == []


def restored_in_new_epoch(log: Log) -> bool:
    said = [line["event"] for line in log.lines()]
    return "epoch_began" in said and "shard_restored" in said[said.index("epoch_began") :]


def folded(events: list[tuple[str, dict[str, Any]]]) -> dict[tuple[str, ...], Any]:
    """What a reader of the contract makes of events, branch by branch: a dozen lines, and nothing of the connector."""
    kept: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for topic, event in events:
        stream = kept.setdefault((event["account_id"], topic), [])
        if event["event_type"] == "EpochBegan":
            of_branch = event["epoch"]
            stream[:] = [one for one in stream if one["sequence"] < event["sequence"] or one["epoch"] == of_branch]
            stream.append(event)
            if event["account_id"].startswith("shard/"):
                for other in kept.values():
                    if not any(one["epoch"] == of_branch for one in other):
                        other.clear()
        else:
            stream.append(event)
    state: dict[tuple[str, ...], Any] = {}
    for (account_id, topic), stream in kept.items():
        assert [one["sequence"] for one in stream] == list(range(1, len(stream) + 1))
        for event in stream:
            entity = (account_id, topic, event["resource"], event["entity_id"])
            if event["op"] == "d":
                state.pop(entity, None)
            elif event["op"] != "s":
                state[entity] = event["after"]
    return {entity: value for entity, value in state.items() if entity[1] != "lifecycle"}


async def test_a_lost_machine_comes_back_from_its_backup(tmp_path: Path) -> None:
    directory, safe = tmp_path / "machine", tmp_path / "safe"
    directory.mkdir()
    clock = VirtualClock()
    async with World.open(directory, people(HOLDER, history_days=3), clock=clock) as world:
        await world.link(HOLDER)
        await work_on(world)
        # While the connector has it open.
        await work.back_up(settings_in(directory), MASTER_KEY, BACKUP_KEY, safe, clock)
        backed_up = len(await world.events())
        await work_on(world, 2)
        read_by_consumer = await world.events()
        assert len(read_by_consumer) > backed_up
        # The machine is lost, the bank goes on.
        await world.source.close()
        await world.journal.close()
        await world.reader.close()
        await world.vault.close()
        shutil.rmtree(directory)
        directory.mkdir()
        epoch = await work.put_back(settings_in(directory), MASTER_KEY, BACKUP_KEY, safe, clock)
        await reopen(world)
        world.mutate(domain="transactions", op="add", holder=HOLDER)
        await work_on(world)
        now = await world.events()
        assert {event["epoch"] for _, event in now[backed_up:]} == {epoch}
        # A consumer that had read beyond the backup reads on, in the branch that is there.
        went_on = folded([*read_by_consumer, *now[backed_up:]])
        assert went_on == folded(now)
        verdict = await world.verdict()
        # Of two changes that the lost branch had told one after the other this one tells the result.
        assert [finding for finding in verdict.findings if "no event tells u" not in finding] == []
    assert await findings(directory) == []


async def reopen(world: World) -> None:
    """The same bank, and files that were put back."""
    world.journal = await world.place.open_journal()
    world.reader = await world.place.open_reader()
    world.vault = await SqliteVault.open(world.directory / "vault.db", MASTER_KEY)
    world.new_source()


async def test_a_backup_is_sealed_private_and_overwrites_nothing(tmp_path: Path) -> None:
    directory, safe = tmp_path / "machine", tmp_path / "safe"
    directory.mkdir()
    async with worked(directory) as world:
        await work.back_up(settings_in(directory), MASTER_KEY, BACKUP_KEY, safe, world.clock)
        again = partial(work.back_up, settings_in(directory), MASTER_KEY, BACKUP_KEY, safe, world.clock)
        with pytest.raises(ConfigurationError, match="not empty"):
            await again()
    assert {path.name: path.stat().st_mode & 0o777 for path in safe.iterdir()} == dict.fromkeys(
        ["journal.db.sealed", "manifest.json", "vault.db.sealed"], 0o600
    )
    assert safe.stat().st_mode & 0o777 == 0o700
    assert b"SQLite" not in b"".join(path.read_bytes() for path in safe.iterdir())
    restore = partial(work.put_back, settings_in(directory), MASTER_KEY, directory=safe, clock=VirtualClock())
    with pytest.raises(ConfigurationError, match="overwrites nothing"):
        await restore(backup_key=BACKUP_KEY)
    shutil.rmtree(directory)
    with pytest.raises(ConfigurationError, match="another backup key"):
        await restore(backup_key=MASTER_KEY)
    for path in safe.iterdir():
        whole = path.read_bytes()
        for damaged_one in (whole[:-40], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
            path.write_bytes(damaged_one)
            with pytest.raises(ConfigurationError):
                await restore(backup_key=BACKUP_KEY)
            assert not (directory / "journal.db").exists()
            assert not (directory / "vault.db").exists()
        path.write_bytes(whole)
    await restore(backup_key=BACKUP_KEY)
    assert (directory / "journal.db").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in directory.iterdir()) == ["journal.db", "vault.db"]


async def test_two_files_copied_together_by_hand_and_put_back_are_not_found(tmp_path: Path) -> None:
    """What docs/backup.md says of them; should it ever be found, the page must say so."""
    async with worked(tmp_path) as world:
        kept = copy_of(tmp_path, "kept", "journal.db", "vault.db")
        await work_on(world)
    put_back(kept, tmp_path, "journal.db", "vault.db")
    async with World.open(tmp_path, people(HOLDER, history_days=3), clock=VirtualClock()) as world, world.working():
        pass
