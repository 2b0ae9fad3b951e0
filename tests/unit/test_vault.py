from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from connector.errors import ConfigurationError, ConsentError, RetryableError
from connector.ports import HighWaterMark, Session, Vault
from connector.vault import SqliteVault

pytestmark = pytest.mark.anyio

MASTER_KEY = bytes(range(32))
MSISDN = "+923000000001"  # invented
NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "vault.db"


@pytest.fixture
async def vault(path: Path) -> AsyncIterator[SqliteVault]:
    opened = await SqliteVault.open(path, MASTER_KEY)
    yield opened
    await opened.close()


def session_of(account_id: str, generation: int = 1) -> Session:
    return Session(
        account_id=account_id,
        generation=generation,
        msisdn=MSISDN,
        device_id="device-planted",
        access_token=f"access-planted-{generation}",
        refresh_token=f"refresh-planted-{generation}",
        access_expires_at=NOW + timedelta(seconds=600, microseconds=1),
        refresh_expires_at=NOW + timedelta(days=30),
    )


async def test_it_is_a_vault(vault: SqliteVault) -> None:
    port: Vault = vault
    assert port is vault


async def test_looking_for_a_holder_makes_nothing(vault: SqliteVault) -> None:
    assert await vault.find_account(MSISDN) is None
    account_id = await vault.account_for(MSISDN)
    assert await vault.find_account(MSISDN) == account_id


async def test_a_holder_is_found_again_under_one_opaque_id(vault: SqliteVault, path: Path) -> None:
    account_id = await vault.account_for(MSISDN)
    assert re.fullmatch(r"acc_[a-z2-7]{26}", account_id)
    assert await vault.account_for(MSISDN) == account_id
    assert await vault.account_for("+923000000002") != account_id
    second = await SqliteVault.open(path, MASTER_KEY)
    assert await second.account_for(MSISDN) == account_id
    await second.close()


async def test_a_data_key_is_made_once(vault: SqliteVault) -> None:
    account_id = await vault.account_for(MSISDN)
    key = await vault.data_key(account_id)
    assert len(key) == 32
    assert await vault.data_key(account_id) == key


async def test_the_newest_session_wins(vault: SqliteVault) -> None:
    account_id = await vault.account_for(MSISDN)
    assert await vault.load_session(account_id) is None
    for generation in (1, 3, 2, 3):
        await vault.store_session(session_of(account_id, generation))
    assert await vault.load_session(account_id) == session_of(account_id, 3)


async def test_a_later_store_of_the_same_generation_does_not_replace_it(vault: SqliteVault) -> None:
    account_id = await vault.account_for(MSISDN)
    await vault.store_session(session_of(account_id, 3))
    await vault.store_session(replace(session_of(account_id, 3), refresh_token="late"))
    assert await vault.load_session(account_id) == session_of(account_id, 3)


async def test_a_deleted_session_leaves_account_and_key(vault: SqliteVault) -> None:
    account_id = await vault.account_for(MSISDN)
    key = await vault.data_key(account_id)
    await vault.store_session(session_of(account_id))
    await vault.delete_session(account_id)
    assert await vault.load_session(account_id) is None
    assert await vault.account_for(MSISDN) == account_id
    assert await vault.data_key(account_id) == key


async def test_a_destroyed_account_never_comes_back(vault: SqliteVault, path: Path) -> None:
    account_id = await vault.account_for(MSISDN)
    await vault.data_key(account_id)
    await vault.store_session(session_of(account_id))
    await vault.destroy(account_id)
    await vault.destroy(account_id)
    assert await vault.load_session(account_id) is None
    with pytest.raises(ConsentError, match="never comes back"):
        await vault.data_key(account_id)
    with pytest.raises(ConsentError, match="never comes back"):
        await vault.store_session(session_of(account_id))
    assert await vault.account_for(MSISDN) != account_id
    with sqlite3.connect(path) as raw:
        row = raw.execute("SELECT * FROM account WHERE account_id = ?", (account_id,)).fetchone()
    raw.close()
    assert row == (account_id, None, None, None, None, 1)


async def test_destroyed_key_bytes_are_gone_from_the_files(vault: SqliteVault, path: Path) -> None:
    account_id = await vault.account_for(MSISDN)
    await vault.data_key(account_id)
    with sqlite3.connect(path) as raw:
        sealed: bytes = raw.execute("SELECT data_key FROM account").fetchone()[0]
    raw.close()
    assert any(sealed in file.read_bytes() for file in path.parent.iterdir())
    await vault.destroy(account_id)
    assert not any(sealed in file.read_bytes() for file in path.parent.iterdir())


async def test_an_unknown_account_is_a_wrong_vault(vault: SqliteVault) -> None:
    with pytest.raises(ConfigurationError, match="acc_unknown"):
        await vault.data_key("acc_unknown")


async def test_another_master_key_is_told_at_once(vault: SqliteVault, path: Path) -> None:
    await vault.close()
    with pytest.raises(ConfigurationError, match="master key is not the one"):
        await SqliteVault.open(path, os.urandom(32))
    with pytest.raises(ConfigurationError, match="32 bytes"):
        await SqliteVault.open(path, b"short")


async def test_a_file_that_is_no_vault_is_refused(tmp_path: Path) -> None:
    stranger = tmp_path / "notes.txt"
    stranger.write_text("no database " * 1000)
    with pytest.raises(ConfigurationError, match="cannot be used as a vault"):
        await SqliteVault.open(stranger, MASTER_KEY)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await SqliteVault.open(tmp_path, MASTER_KEY)


async def test_only_the_owner_may_read_any_of_its_files(vault: SqliteVault, path: Path) -> None:
    await vault.store_session(session_of(await vault.account_for(MSISDN)))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_loose_file_mode_is_tightened(vault: SqliteVault, path: Path) -> None:
    await vault.close()
    anyio_path = anyio.Path(path)
    await anyio_path.chmod(0o644)
    await (await SqliteVault.open(path, MASTER_KEY)).close()
    assert stat.S_IMODE((await anyio_path.stat()).st_mode) == 0o600


async def test_nothing_rests_in_clear(vault: SqliteVault, path: Path) -> None:
    account_id = await vault.account_for(MSISDN)
    key = await vault.data_key(account_id)
    await vault.store_session(session_of(account_id))
    await vault.close()
    everything = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (MSISDN.encode(), MSISDN[1:].encode(), b"planted", key, MASTER_KEY):
        assert secret not in everything


async def test_it_is_as_durable_as_sqlite_can_be(vault: SqliteVault) -> None:
    connection = vault._connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1


async def test_trouble_with_the_file_passes(vault: SqliteVault, path: Path) -> None:
    vault._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RetryableError, match="locked"):
        await vault.account_for(MSISDN)
    other.execute("ROLLBACK")
    other.close()
    assert await vault.account_for(MSISDN)


async def test_many_tasks_share_it(vault: SqliteVault) -> None:
    found: set[str] = set()

    async def look() -> None:
        account_id = await vault.account_for(MSISDN)
        found.add(account_id + (await vault.data_key(account_id)).hex())

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(look)
    assert len(found) == 1


OTHER_PROCESS = """
import sys
from dataclasses import replace
from pathlib import Path
import anyio
from connector.vault import SqliteVault
from tests.unit.test_vault import MASTER_KEY, session_of

async def main(path, first):
    vault = await SqliteVault.open(Path(path), MASTER_KEY)
    for number in range(20):
        account_id = await vault.account_for(f"+9230000000{number:02d}")
        print(account_id, (await vault.data_key(account_id)).hex())
        await vault.store_session(session_of(account_id, first + number))
        assert (await vault.load_session(account_id)).generation >= first + number
    await vault.close()

anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""


def run_at_once(path: Path, *first_generations: int) -> list[tuple[str, str]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(path), str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in first_generations
    ]
    return [process.communicate(timeout=60) for process in processes]


async def test_processes_open_and_use_it_at_once(path: Path) -> None:
    outputs = await anyio.to_thread.run_sync(run_at_once, path, 100, 200, 300)
    assert [errors for _, errors in outputs] == ["", "", ""]
    assert len({output for output, _ in outputs}) == 1
    vault = await SqliteVault.open(path, MASTER_KEY)
    for number in range(20):
        stored = await vault.load_session(await vault.account_for(f"+9230000000{number:02d}"))
        assert stored is not None
        assert stored.generation == 300 + number
    await vault.close()


DAMAGES = {
    "an edited row": "UPDATE account SET generation = 9 WHERE account_id = (SELECT min(account_id) FROM account)",
    "a removed row": "DELETE FROM account WHERE account_id = (SELECT min(account_id) FROM account)",
    "a destruction undone": "UPDATE account SET destroyed = 1 WHERE account_id = (SELECT max(account_id) FROM account)",
    "an added row": "INSERT INTO account (account_id, holder_token) VALUES ('acc_x', 'x')",
    "two swapped holders": (
        "UPDATE account SET holder_token = 't' WHERE account_id = (SELECT min(account_id) FROM account);"
        "UPDATE account SET holder_token = (SELECT holder_token FROM before ORDER BY account_id LIMIT 1)"
        " WHERE account_id = (SELECT max(account_id) FROM account);"
        "UPDATE account SET holder_token = (SELECT holder_token FROM before ORDER BY account_id DESC LIMIT 1)"
        " WHERE holder_token = 't'"
    ),
    "a removed mark": "DELETE FROM mark",
    "a removed state": "DELETE FROM vault WHERE name = 'state'",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_row_that_was_changed_by_somebody_else_is_found(path: Path, damage: str) -> None:
    await two_accounts(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("CREATE TEMP TABLE before AS SELECT * FROM account")
        connection.executescript(DAMAGES[damage])
    connection.close()
    with pytest.raises(ConfigurationError, match="changed outside of the connector"):
        await SqliteVault.open(path, MASTER_KEY)


async def test_a_row_put_back_as_it_was_is_found(path: Path) -> None:
    account_id = await two_accounts(path)
    connection = sqlite3.connect(path, isolation_level=None)
    row = connection.execute("SELECT * FROM account WHERE account_id = ?", (account_id,)).fetchone()
    vault = await SqliteVault.open(path, MASTER_KEY)
    await vault.destroy(account_id)
    await vault.close()
    connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.close()
    with pytest.raises(ConfigurationError, match="put back"):
        await SqliteVault.open(path, MASTER_KEY)


async def two_accounts(path: Path) -> str:
    vault = await SqliteVault.open(path, MASTER_KEY)
    first, other = await vault.account_for(MSISDN), await vault.account_for("+923000000002")
    await vault.data_key(other)
    await vault.store_session(session_of(first))
    await vault.store_marks([HighWaterMark(0, 3, "e" * 16, b"tip", NOW)])
    await vault.close()
    return first


async def test_it_counts_what_is_written_and_keeps_its_name(vault: SqliteVault, path: Path) -> None:
    before = await vault.identity()
    account_id = await vault.account_for(MSISDN)
    written = await vault.identity()
    assert written.vault_id == before.vault_id
    assert written.counter > before.counter
    assert await vault.account_for(MSISDN) == account_id
    assert await vault.identity() == written, "what changes nothing does not count"
    other = await SqliteVault.open(path, MASTER_KEY)
    assert await other.identity() == written
    await other.close()


async def test_marks_are_read_back_and_the_counter_ends_above_its_floor(vault: SqliteVault) -> None:
    marks = [HighWaterMark(shard, 7, "e" * 16, b"tip", NOW) for shard in (0, 2)]
    assert (await vault.store_marks(marks, counter_floor=100)).counter > 100
    assert dict(await vault.marks()) == {0: marks[0], 2: marks[1]}


async def test_a_backup_is_the_same_vault_for_its_owner_only(vault: SqliteVault, tmp_path: Path) -> None:
    account_id = await vault.account_for(MSISDN)
    await vault.backup(tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    copy = await SqliteVault.open(tmp_path / "copy.db", MASTER_KEY)
    assert await copy.identity() == await vault.identity()
    assert await copy.account_for(MSISDN) == account_id
    await copy.close()
