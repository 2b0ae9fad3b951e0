"""What is the embedded journal's own: its file, who may have it, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import anyio.lowlevel
import anyio.to_thread
import pytest

from connector.errors import ConfigurationError, JournalError
from connector.journal.partition import murmur2, shard_of
from connector.journal.sqlite import SqliteJournal, SqliteReader
from connector.journal.sqlite_file import explain
from connector.ports import Commit, QuarantineRecord, StateRecord
from tests.contract.journal.backends import SHARD_COUNT, QuickClock
from tests.contract.journal.samples import a_command, a_link, an_event, numbered_commit
from tests.contract.journal.suite import ROOT, events_of, state_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


async def made(path: Path, *, shard_count: int = SHARD_COUNT) -> None:
    await (await SqliteJournal.open(path, shard_count=shard_count)).close()


async def test_only_its_owner_may_read_the_file(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    await shard.commit(numbered_commit(0, 1))
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name
    assert {file.name for file in path.parent.iterdir()} == {
        f"journal.db{end}" for end in ("", "-wal", "-shm", ".lock")
    }
    await journal.close()


async def test_another_number_of_shards_is_refused(path: Path) -> None:
    await made(path)
    with pytest.raises(ConfigurationError, match=r"shard_count is 4, but .* was made with 3"):
        await SqliteJournal.open(path, shard_count=4)
    with pytest.raises(ConfigurationError, match="at least 1"):
        await SqliteJournal.open(path.with_name("other.db"), shard_count=0)
    reader = await SqliteReader.open(path, clock=QuickClock())
    await reader.close()


async def test_a_reader_makes_no_journal_unless_told(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no journal at"):
        await SqliteReader.open(path, clock=QuickClock())
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a database " * 100, "not a journal"),
        (b"", "not a journal"),
        (b"SQLite format 3\0" + b"\xff" * 4096, "cannot be used"),
    ],
)
async def test_another_file_in_its_place_is_refused(path: Path, content: bytes, said: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        await SqliteJournal.open(path, shard_count=1)
    assert path.read_bytes() == content


async def test_a_directory_or_a_file_in_the_way_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError):
        await SqliteJournal.open(path, shard_count=1)
    (path / "file").write_text("x")
    with pytest.raises(ConfigurationError):
        await SqliteJournal.open(path / "file" / "journal.db", shard_count=1)


async def test_some_other_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE notes (text)")
    database.close()
    with pytest.raises(ConfigurationError, match="is not a journal of this connector"):
        await SqliteJournal.open(path, shard_count=1)


async def test_a_newer_format_says_what_to_do(path: Path) -> None:
    await made(path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigurationError, match=r"format 2.*run the release that wrote it, or a newer one"):
        await SqliteJournal.open(path, shard_count=SHARD_COUNT)


async def test_other_framing_is_refused(path: Path) -> None:
    await made(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE about SET value = 'confluent' WHERE name = 'framing'")
    database.close()
    with pytest.raises(ConfigurationError, match="confluent"):
        await SqliteJournal.open(path, shard_count=SHARD_COUNT)


async def commit_once_more(path: Path, number: int) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    try:
        await (await journal.acquire(0)).commit(numbered_commit(0, number))
    finally:
        await journal.close()


async def test_a_damaged_file_fails_and_says_so(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    for number in range(1, 30):
        await shard.commit(numbered_commit(0, number))
    await journal.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(path.stat().st_size - 8192))
    with pytest.raises((ConfigurationError, JournalError), match="damaged"):
        await commit_once_more(path, 30)


async def test_a_full_disk_fails_the_commit_and_leaves_nothing_of_it(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    await shard.commit(numbered_commit(0, 1))
    pages = await journal.database.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await journal.database.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 5}"))
    with pytest.raises(JournalError, match="the disk is full"):
        await shard.commit(Commit(0, 2, tuple(an_event("lending", "a", b"x" * 9_000) for _ in range(9)), ()))
    await journal.database.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    shard = await journal.acquire(0)
    assert shard.committed_number == 1
    await shard.commit(numbered_commit(0, 2))
    assert (await state_of(shard))["account/lending"] == b"2"
    await journal.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_FSYNC])
def test_errors_say_what_to_look_at(code: int) -> None:
    error = sqlite3.OperationalError("library words")
    error.sqlite_errorcode = code
    assert explain(error) != "library words"
    assert explain(sqlite3.ProgrammingError("bare")) == "bare"


async def test_a_second_process_is_refused_until_the_first_is_killed(path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.contract.journal.crash_writer", "sqlite", str(path), "0"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert await anyio.to_thread.run_sync(owner.stdout.readline) == "1\n"
        journal = await SqliteJournal.open(path, shard_count=SHARD_COUNT)
        with pytest.raises(ConfigurationError, match=rf"in use by another connector \(pid {owner.pid}\)"):
            await journal.acquire(0)
        reader = await SqliteReader.open(path, clock=QuickClock())
        assert await events_of(reader)
        await reader.append_command(a_command("c", "account"))
        owner.send_signal(signal.SIGKILL)
        owner.stdout.read()
    shard = await journal.acquire(0)
    assert shard.committed_number >= 1
    await reader.close()
    await journal.close()


@pytest.mark.parametrize("turns", range(5))
async def test_a_commit_whose_task_is_cancelled_is_finished_and_known(path: Path, turns: int) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    task = asyncio.ensure_future(shard.commit(numbered_commit(0, 1)))
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    # Without a restore: the number is known at once, and the shard goes on from it.
    assert shard.committed_number == (1 if turns else 0)
    await shard.commit(numbered_commit(0, shard.committed_number + 1))
    await journal.close()


async def test_a_command_is_never_applied_twice(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    with pytest.raises(JournalError, match="would be applied twice"):
        await shard.commit(Commit(0, 1, (), (), commands_applied=("gone",)))
    await journal.close()


async def test_a_key_that_is_no_text_costs_nobody_else_anything(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    await shard.commit(Commit(0, 1, (), (), links=(a_link("a"), a_link("b"))))
    await journal.database.run(
        lambda db: db.execute("UPDATE links SET account_id = CAST(x'ff00fe' AS TEXT) WHERE account_id = 'a'")
    )
    assert set(await shard.links()) == {"b"}
    [damaged] = await shard.damaged()
    assert (damaged.kind, damaged.account_id) == ("link", "\\xff\x00\\xfe")
    await journal.close()


async def test_erased_bytes_are_gone_from_every_file(path: Path) -> None:
    secret, kept = b"SEALED-OF-THE-ERASED", b"SEALED-OF-ANOTHER"
    journal = await SqliteJournal.open(path, shard_count=1)
    shard = await journal.acquire(0)
    records = (("acc", secret), ("acc/d", secret), ("acc/d/r/e", secret), ("acc0/d", kept), ("accx/d", kept))
    await shard.commit(
        Commit(
            0,
            1,
            (an_event("lending", "acc", b"event"),),
            tuple(StateRecord(key, value * 100) for key, value in records),
            links=(a_link("acc"), a_link("accx")),
            quarantine=(QuarantineRecord("acc", secret), QuarantineRecord("accx", kept)),
        )
    )
    reader = await SqliteReader.open(path, clock=QuickClock())
    await reader.append_command(a_command("c", "acc"))
    await journal.erase("acc")
    await journal.erase("acc")
    assert set(await state_of(shard)) == {"acc0/d", "accx/d"}
    assert set(await reader.links()) == {"accx"}
    assert not await reader.command_pending("c")
    assert len(await events_of(reader)) == 1
    await shard.commit(Commit(0, 2, (), ()))
    held = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert secret not in held
    assert kept in held
    await reader.close()
    await journal.close()


async def test_what_is_promised_of_durability_is_set(path: Path) -> None:
    journal = await SqliteJournal.open(path, shard_count=1)
    settings = {
        name: await journal.database.run(lambda db, name=name: db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("journal_mode", "synchronous", "secure_delete", "user_version")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "user_version": 1}
    await journal.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # the vectors of Kafka's own UtilsTest.testMurmur2
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_partitioner_is_kafkas(text: str, expected: int) -> None:
    assert murmur2(text.encode()) == expected & 0xFFFFFFFF
    assert shard_of(text, 12) == (expected & 0x7FFFFFFF) % 12
