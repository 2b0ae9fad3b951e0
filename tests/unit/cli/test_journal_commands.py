"""`zindigi journal`, `backup` and `restore`, as typed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from connector.chain import Chain
from connector.cli import exits
from connector.clock import SystemClock
from connector.journal.sqlite import SqliteJournal
from connector.master_key import read_master_key
from connector.ports import Commit, EventRecord, HighWaterMark
from connector.settings import Settings
from connector.state import Position
from connector.vault import SqliteVault

Zindigi = Callable[..., tuple[int, str, str]]
JOURNAL, VAULT = Path("data/journal.db"), Path("data/vault.db")


def committed(zindigi: Zindigi) -> str:
    """A journal with one commit, chained, and a vault that knows of it; the epoch."""
    assert zindigi("vault", "init")[0] == exits.OK

    async def write() -> str:
        clock = SystemClock()
        vault = await SqliteVault.open(VAULT, read_master_key(Settings()))
        journal = await SqliteJournal.open(JOURNAL, shard_count=1)
        shard, key = await journal.acquire(0), await vault.shard_key(0)
        identity = await vault.identity()
        event = EventRecord("lending", "acc", b"told", (("commit", b"1"),))
        commit = Commit(0, 1, (event,), (), epoch=shard.epoch, at=clock.now(), vault=identity)
        commit = Chain(key).extend(Position(), commit, ())
        await shard.commit(commit)
        await vault.store_marks([HighWaterMark(0, 1, shard.epoch, commit.tip, clock.now())])
        await journal.close()
        await vault.close()
        return journal.epoch

    return anyio.run(write)


def damage(statement: str) -> None:
    with closing(sqlite3.connect(JOURNAL, isolation_level=None)) as connection:
        connection.execute(statement)


def test_verify_claims_no_more_than_was_checked(zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch) -> None:
    committed(zindigi)

    async def partly(_settings: object, _key: bytes, _clock: object, note: Callable[[str], None]) -> list[object]:
        note("shard 0, test.lending: its oldest events have expired or were deleted")
        return []

    monkeypatch.setattr("connector.runtime.verify.verify", partly)
    code, out, err = zindigi("journal", "verify")
    assert (code, out) == (exits.OK, "")
    assert "Not checked: shard 0, test.lending: its oldest events have expired" in err
    assert "As far as it could be checked, the journal is as it was committed." in err


def test_verify_says_shard_commit_table_and_what_is_wrong(zindigi: Zindigi) -> None:
    committed(zindigi)
    code, out, err = zindigi("journal", "verify")
    assert (code, out) == (exits.OK, "")
    assert "as it was committed" in err
    damage("UPDATE events SET value = x'00'")
    code, out, err = zindigi("journal", "verify")
    assert code == exits.FAILURE
    assert out == "shard 0, commit 1, events: a row was edited, or rows were swapped\n"
    assert "1 findings" in err
    code, out, _ = zindigi("journal", "verify", "--json")
    assert code == exits.FAILURE
    found = json.loads(out)
    assert (found["shard"], found["commit"], found["table"]) == (0, 1, "events")


def test_verify_says_that_a_journal_is_behind(zindigi: Zindigi) -> None:
    committed(zindigi)
    for table in ("events", "commits"):
        damage(f"DELETE FROM {table}")  # noqa: S608  two literals
    damage("UPDATE shards SET commit_number = 0")
    code, out, _ = zindigi("journal", "verify")
    assert code == exits.FAILURE
    assert "the vault knows commit 1" in out


def test_a_new_epoch_is_asked_about(zindigi: Zindigi) -> None:
    before = committed(zindigi)
    assert zindigi("journal", "new-epoch", stdin="no\n")[0] == exits.FAILURE
    code, out, _ = zindigi("journal", "new-epoch", "--yes")
    assert code == exits.OK
    assert len(out.strip()) == len(before)
    assert out.strip() != before
    assert zindigi("journal", "verify")[0] == exits.OK


def test_a_rebuild_is_asked_about_and_is_for_topics(zindigi: Zindigi) -> None:
    committed(zindigi)
    assert zindigi("journal", "rebuild", stdin="no\n")[0] == exits.FAILURE
    code, out, err = zindigi("journal", "rebuild", "--yes")
    assert (code, out) == (exits.CONFIGURATION, "")
    assert "zindigi restore" in err
    assert zindigi("journal", "verify")[0] == exits.OK


def test_a_backup_comes_back(zindigi: Zindigi, tmp_path: Path) -> None:
    before = committed(zindigi)
    code, out, err = zindigi("backup", "safe")
    assert (code, out) == (exits.OK, "safe\n")
    assert "Keep a copy somewhere else" in err
    assert f"Shard 0 as of commit 1, epoch {before}" in err
    code, _, err = zindigi("restore", "safe")
    assert code == exits.CONFIGURATION
    assert "overwrites nothing" in err
    shutil.copytree("data", tmp_path / "kept")
    for path in (*Path("data").glob("journal.db*"), *Path("data").glob("vault.db*")):
        path.unlink()
    code, out, _ = zindigi("restore", "safe")
    assert code == exits.OK
    assert out.strip() != before
    assert zindigi("journal", "verify")[0] == exits.OK
    Path("data/backup.key").unlink()
    code, _, err = zindigi("restore", "safe")
    assert code == exits.CONFIGURATION
    assert "--key" in err
