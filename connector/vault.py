"""The vault: secrets at rest in one SQLite file, every one of them sealed under the master key.

Several processes may have it open at once (the connector, a command line). It holds sessions, data keys and the keyed
hash by which a holder is found again; it must not hold records, and stores nothing of a person in clear.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from connector.errors import ConfigurationError, ConsentError, DataError, RetryableError
from connector.ports import HighWaterMark, Session, VaultIdentity
from connector.sealing import KEY_BYTES, Sealer, derive_key, keyed_token
from connector.vault_rows import VAULT_SUBJECT, VaultRows

T = TypeVar("T")

ACCOUNT_ID_PREFIX: Final = "acc_"
_ACCOUNT_ID_BYTES: Final = 16
_BUSY_TIMEOUT_SECONDS: Final = 10.0
_OPENING_ATTEMPTS: Final = 100
_OPENING_PAUSE_SECONDS: Final = 0.05
_VERIFIER: Final = b"zindigi vault, format 1"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS vault (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS account (
    account_id   TEXT PRIMARY KEY,
    holder_token TEXT UNIQUE,
    data_key     BLOB,
    generation   INTEGER,
    session      BLOB,
    destroyed    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS mark (shard INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""


class SqliteVault:
    """`Vault` over a SQLite file. Open with `SqliteVault.open`.

    Raises, from every method:
        RetryableError: the file cannot be read or written for the moment (locked for long, disk full).
    """

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer, token_key: bytes, rows: VaultRows) -> None:
        self._connection = connection
        self._sealer = sealer
        self._rows = rows
        self._token_key = token_key
        self._one_at_a_time = threading.Lock()
        self._limiter = anyio.CapacityLimiter(1)

    @classmethod
    async def open(cls, path: Path, master_key: bytes) -> SqliteVault:
        """The vault at `path`, made with mode 0600 where there is none.

        Raises:
            ConfigurationError: the key is not 32 bytes or not this vault's, or the file cannot be used as a vault.
        """
        sealer = Sealer(master_key, label="zindigi/vault/1")
        token_key = derive_key(master_key, "zindigi/holder/1")
        rows = VaultRows(sealer, derive_key(master_key, "zindigi/vault-rows/1"))
        connection = await anyio.to_thread.run_sync(_open_file, path, sealer, rows)
        return cls(connection, sealer, token_key, rows)

    async def find_account(self, holder_identifier: str) -> str | None:
        holder = keyed_token(self._token_key, holder_identifier)

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT account_id FROM account WHERE holder_token = ?", (holder,)).fetchone()
            return None if row is None else str(row[0])

        return await self._run(work, writes=False)

    async def account_for(self, holder_identifier: str) -> str:
        holder = keyed_token(self._token_key, holder_identifier)

        def work(connection: sqlite3.Connection) -> str:
            row = connection.execute("SELECT account_id FROM account WHERE holder_token = ?", (holder,)).fetchone()
            if row is None:
                row = (_new_account_id(),)
                with self._rows.changing(connection, "account", row[0]):
                    connection.execute("INSERT INTO account (account_id, holder_token) VALUES (?, ?)", (*row, holder))
            return str(row[0])

        return await self._run(work)

    async def data_key(self, account_id: str, *, make: bool = True) -> bytes:
        def work(connection: sqlite3.Connection) -> bytes:
            row = _existing(connection, account_id)
            if row["data_key"] is not None:
                return self._sealer.unseal(account_id, "data_key", row["data_key"])
            if not make:
                raise ConfigurationError(
                    f"the vault holds no data key of account {account_id}, whose state is sealed: is it an older copy?"
                )
            key = secrets.token_bytes(KEY_BYTES)
            sealed = self._sealer.seal(account_id, "data_key", key)
            with self._rows.changing(connection, "account", account_id):
                connection.execute("UPDATE account SET data_key = ? WHERE account_id = ?", (sealed, account_id))
            return key

        return await self._run(work)

    async def data_keys(self) -> Mapping[str, bytes]:
        def work(connection: sqlite3.Connection) -> dict[str, bytes]:
            rows = connection.execute("SELECT account_id, data_key FROM account WHERE data_key IS NOT NULL")
            return {account_id: key for account_id, sealed in rows if (key := self._opened(account_id, sealed))}

        return await self._run(work, writes=False)

    def _opened(self, account_id: str, sealed: bytes) -> bytes | None:
        """A data key; None where it does not open: that costs its own account only."""
        try:
            return self._sealer.unseal(account_id, "data_key", sealed)
        except DataError:
            return None

    async def shard_key(self, shard: int) -> bytes:
        return derive_key(self._token_key, f"zindigi/shard/{shard}")

    async def identity(self) -> VaultIdentity:
        def work(connection: sqlite3.Connection) -> VaultIdentity:
            state = self._rows.read(connection)
            return VaultIdentity(state.vault_id, state.counter)

        return await self._run(work, writes=False)

    async def marks(self) -> Mapping[int, HighWaterMark]:
        def work(connection: sqlite3.Connection) -> dict[int, HighWaterMark]:
            rows = connection.execute("SELECT shard, value FROM mark").fetchall()
            return {
                shard: _decode_mark(shard, self._sealer.unseal(VAULT_SUBJECT, _mark(shard), row)) for shard, row in rows
            }

        return await self._run(work, writes=False)

    async def store_marks(self, marks: Iterable[HighWaterMark], *, counter_floor: int = 0) -> VaultIdentity:
        rows = [(mark.shard, self._sealer.seal(VAULT_SUBJECT, _mark(mark.shard), _encode_mark(mark))) for mark in marks]

        def work(connection: sqlite3.Connection) -> None:
            for shard, value in rows:
                with self._rows.changing(connection, "mark", shard):
                    connection.execute(
                        "INSERT INTO mark VALUES (?, ?) ON CONFLICT (shard) DO UPDATE SET value = excluded.value",
                        (shard, value),
                    )
            self._rows.floor = counter_floor

        await self._run(work)
        return await self.identity()

    async def backup(self, target: Path) -> None:
        """A consistent copy of the vault, as a file of its own (mode 0600), sealed under the same master key.

        Raises:
            RetryableError: it cannot be read or written.
        """

        def work(connection: sqlite3.Connection) -> None:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            copy = sqlite3.connect(target)
            try:
                connection.backup(copy)
            finally:
                copy.close()

        await self._run(work, writes=False)

    async def load_session(self, account_id: str) -> Session | None:
        def work(connection: sqlite3.Connection) -> Session | None:
            row = connection.execute(
                "SELECT generation, session FROM account WHERE account_id = ? AND session IS NOT NULL", (account_id,)
            ).fetchone()
            if row is None:
                return None
            generation = int(row["generation"])
            return _decode(account_id, generation, self._sealer.unseal(account_id, _field(generation), row["session"]))

        return await self._run(work, writes=False)

    async def store_session(self, session: Session) -> None:
        """Keep a session, unless the vault already holds one of the same or a higher generation.

        Raises:
            ConsentError: the account was destroyed.
        """
        sealed = self._sealer.seal(session.account_id, _field(session.generation), _encode(session))

        def work(connection: sqlite3.Connection) -> None:
            _existing(connection, session.account_id)
            with self._rows.changing(connection, "account", session.account_id):
                connection.execute(
                    "UPDATE account SET session = ?, generation = ? WHERE account_id = ?"
                    " AND (session IS NULL OR generation < ?)",
                    (sealed, session.generation, session.account_id, session.generation),
                )

        await self._run(work)

    async def delete_session(self, account_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with self._rows.changing(connection, "account", account_id):
                connection.execute(
                    "UPDATE account SET session = NULL, generation = NULL WHERE account_id = ?", (account_id,)
                )

        await self._run(work)
        await self._run(_forget_old_pages, writes=False)

    async def destroy(self, account_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with self._rows.changing(connection, "account", account_id):
                connection.execute(
                    "INSERT INTO account (account_id, destroyed) VALUES (?, 1) ON CONFLICT (account_id) DO UPDATE SET"
                    " destroyed = 1, holder_token = NULL, data_key = NULL, session = NULL, generation = NULL",
                    (account_id,),
                )

        await self._run(work)
        await self._run(_forget_old_pages, writes=False)

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _close(self) -> None:
        with self._one_at_a_time:
            self._connection.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """`work` in a thread, within one transaction where it writes. Not abandoned when the caller is cancelled."""

        def in_thread() -> T:
            with self._one_at_a_time, _transaction(self._connection, writes=writes) as connection:
                self._rows.begin()
                done = work(connection)
                if writes:
                    self._rows.count(connection)
                return done

        try:
            return await anyio.to_thread.run_sync(in_thread, limiter=self._limiter)
        except sqlite3.Error as error:
            raise RetryableError(f"the vault cannot be used for the moment: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection, *, writes: bool) -> Iterator[sqlite3.Connection]:
    if not writes:
        yield connection
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open_file(path: Path, sealer: Sealer, rows: VaultRows) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # SQLite gives its journal and shared-memory files the mode of the main file.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            path.chmod(0o600)
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the vault {path} cannot be opened: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        _prepare(connection)
        _verify(connection, sealer, path)
        with _transaction(connection, writes=True):
            rows.require_sound(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigurationError(f"{path} cannot be used as a vault: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Pragmas and tables. The switch to WAL ignores the busy timeout while another process makes the same switch."""
    pause = threading.Event()
    for attempt in range(_OPENING_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == _OPENING_ATTEMPTS - 1:
                raise
            pause.wait(_OPENING_PAUSE_SECONDS)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    with _transaction(connection, writes=True):
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)


def _verify(connection: sqlite3.Connection, sealer: Sealer, path: Path) -> None:
    """The first master key leaves a sealed mark in the vault; every later one must open it."""
    with _transaction(connection, writes=True):
        connection.execute(
            "INSERT OR IGNORE INTO vault (name, value) VALUES ('verifier', ?)",
            (sealer.seal(VAULT_SUBJECT, "verifier", _VERIFIER),),
        )
        row = connection.execute("SELECT value FROM vault WHERE name = 'verifier'").fetchone()
    try:
        mark = sealer.unseal(VAULT_SUBJECT, "verifier", row["value"])
    except DataError:
        raise ConfigurationError(f"the master key is not the one that the vault {path} was sealed under") from None
    if mark != _VERIFIER:
        raise ConfigurationError(f"the vault {path} is of another format than this version reads")


def _existing(connection: sqlite3.Connection, account_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT data_key, destroyed FROM account WHERE account_id = ?", (account_id,)
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"the vault does not know account {account_id}: is it the right vault file?")
    if row["destroyed"]:
        raise ConsentError(f"account {account_id} was erased and never comes back")
    return row


def _forget_old_pages(connection: sqlite3.Connection) -> None:
    """Bring the write-ahead log into the file and empty it, so that deleted secrets are overwritten there too.

    Another process that reads may hold it up; then the next checkpoint does it.
    """
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _mark(shard: int) -> str:
    return f"mark/{shard}"


def _encode_mark(mark: HighWaterMark) -> bytes:
    facts = {"number": mark.number, "epoch": mark.epoch, "tip": mark.tip.hex(), "at": mark.at.isoformat()}
    return json.dumps(facts).encode()


def _decode_mark(shard: int, value: bytes) -> HighWaterMark:
    facts = json.loads(value)
    at = datetime.fromisoformat(facts["at"])
    return HighWaterMark(shard, int(facts["number"]), str(facts["epoch"]), bytes.fromhex(facts["tip"]), at)


def _new_account_id() -> str:
    text = base64.b32encode(secrets.token_bytes(_ACCOUNT_ID_BYTES)).decode()
    return ACCOUNT_ID_PREFIX + text.rstrip("=").lower()


def _field(generation: int) -> str:
    return f"session/{generation}"


def _encode(session: Session) -> bytes:
    return json.dumps(
        {
            "msisdn": session.msisdn,
            "device_id": session.device_id,
            "access_token": session.access_token,
            "refresh_token": session.refresh_token,
            "access_expires_at": session.access_expires_at.isoformat(),
            "refresh_expires_at": session.refresh_expires_at.isoformat() if session.refresh_expires_at else None,
        }
    ).encode()


def _decode(account_id: str, generation: int, plaintext: bytes) -> Session:
    stored: dict[str, str] = json.loads(plaintext)
    refresh_expires_at: str | None = stored["refresh_expires_at"]
    return Session(
        account_id=account_id,
        generation=generation,
        msisdn=stored["msisdn"],
        device_id=stored["device_id"],
        access_token=stored["access_token"],
        refresh_token=stored["refresh_token"],
        access_expires_at=datetime.fromisoformat(stored["access_expires_at"]),
        refresh_expires_at=datetime.fromisoformat(refresh_expires_at) if refresh_expires_at else None,
    )
