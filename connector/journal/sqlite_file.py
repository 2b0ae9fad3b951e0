"""The file of the embedded journal: its tables, how it is made and opened, and the one thread that touches it.

Knows SQLite and nothing of what the rows mean. The tables are a durable format, described in `SCHEMA`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import anyio

from connector.errors import ConfigurationError, JournalError
from connector.journal.epoch import new_epoch

T = TypeVar("T")

FORMAT_VERSION: Final = 1
FRAMING: Final = "single-object"
APPLICATION_ID: Final = 0x5A4E4447
"""`ZNDG`: tells the file from any other SQLite database."""

BUSY_TIMEOUT_SECONDS: Final = 10.0
CHECKPOINT_PAGES: Final = 1000
WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024

SCHEMA: Final = """
-- What this file is: format_version, shard_count, framing, epoch (the branch that is written).
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Who may write a shard (each acquisition raises the fence) and how many commits it has.
CREATE TABLE shards (
    shard INTEGER PRIMARY KEY, fence INTEGER NOT NULL, commit_number INTEGER NOT NULL
);
-- Every commit, as the chain vouches for it: tip follows from the tip before and the contents (`connector.chain`).
-- events, quarantine: digests of the rows of this commit in order, with how many there are. state, links: the keys it
-- wrote and their values, as digests. commands: JSON array of the ids applied. at: microseconds since 1970.
CREATE TABLE commits (
    shard INTEGER NOT NULL, number INTEGER NOT NULL, epoch TEXT NOT NULL, at INTEGER, tip BLOB NOT NULL,
    event_count INTEGER NOT NULL, events BLOB NOT NULL, quarantine_count INTEGER NOT NULL, quarantine BLOB NOT NULL,
    state BLOB NOT NULL, links BLOB NOT NULL, commands TEXT NOT NULL, vault_id TEXT, vault_counter INTEGER,
    PRIMARY KEY (shard, number)
) WITHOUT ROWID;
-- The log. position: order of commit over everything; record_offset: gapless from 0 in (topic, shard).
-- headers: JSON [[name, text or {"base64": …}], …].
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, shard INTEGER NOT NULL,
    record_offset INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL,
    commit_number INTEGER NOT NULL
);
CREATE TABLE offsets (
    topic TEXT NOT NULL, shard INTEGER NOT NULL, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, shard)
) WITHOUT ROWID;
-- The last value of every live key, sealed. A tombstone is a row that is gone.
CREATE TABLE state (
    shard INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (shard, key)
) WITHOUT ROWID;
CREATE TABLE links (account_id TEXT PRIMARY KEY, shard INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
    position INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    commit_number INTEGER NOT NULL
);
-- Wishes of command lines, oldest first; a row goes in the commit that applies it.
CREATE TABLE commands (
    position INTEGER PRIMARY KEY AUTOINCREMENT, command_id TEXT NOT NULL UNIQUE, shard INTEGER NOT NULL,
    account_id TEXT NOT NULL, value TEXT NOT NULL
);
"""

_CODES: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it can only be read: check the rights of the file and its directory",
    sqlite3.SQLITE_PERM: "the rights of the file do not allow it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the path and its rights",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup, or run `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "it is not a journal: another kind of file is in its place",
    sqlite3.SQLITE_BUSY: f"another process kept it locked for longer than {BUSY_TIMEOUT_SECONDS:.0f} s",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
}
_PRIMARY_CODE_MASK: Final = 0xFF


@dataclass(frozen=True, slots=True)
class About:
    """What the file says of itself."""

    shard_count: int
    epoch: str


def explain(error: sqlite3.Error) -> str:
    """What an SQLite error means for an operator."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error)
    return _CODES.get(code & _PRIMARY_CODE_MASK, str(error))


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Errors of opening: the connector must not start.

    Raises:
        ConfigurationError: for every SQLite or OS error inside.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigurationError(f"the journal {path} cannot be used: {explain(error)}") from error
    except OSError as error:
        raise ConfigurationError(f"the journal {path} cannot be used: {error.strerror or error}") from error


@contextmanager
def failing(path: Path) -> Iterator[None]:
    """Errors of a running journal: drop the shard, restore.

    Raises:
        JournalError: for every SQLite error inside.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise JournalError(f"the journal {path} failed: {explain(error)}") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it, durably, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors (a full disk) have rolled back already, and then there is nothing to roll back.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class DatabaseThread:
    """One connection in a thread of its own, so that no fsync holds up the event loop.

    Whatever was begun is waited for, even when the caller is cancelled: a commit is never left in doubt by that.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def open(self, shard_count: int | None) -> About:
        """Open the file, making it first where `shard_count` is given and there is none.

        Raises:
            ConfigurationError: there is no file, or it is not one that this version can use.
        """

        def opening() -> About:
            with refusing(self.path):
                if shard_count is not None and not self.path.exists():
                    create(self.path, shard_count)
                self._connection, about = connect(self.path)
                return about

        return await self._finish(opening)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread.

        Raises:
            JournalError: SQLite failed, or the connection is closed.
        """

        def working() -> T:
            if self._connection is None:
                raise JournalError(f"the journal {self.path} is closed")
            with failing(self.path):
                return work(self._connection)

        return await self._finish(working)

    async def close(self) -> None:
        """Close the connection and end the thread; a second time does nothing. Never raises."""

        def closing() -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

        with suppress(RuntimeError, JournalError):
            await self._finish(closing)
        self._executor.shutdown(wait=False)

    async def _finish(self, work: Callable[[], T]) -> T:
        cancelled: asyncio.CancelledError | None = None
        try:
            future = asyncio.wrap_future(self._executor.submit(work))
        except RuntimeError:
            raise JournalError(f"the journal {self.path} is closed") from None
        # Both kinds of cancelling are held off: a cancel scope's by the shield, a task's own by the loop.
        with anyio.CancelScope(shield=True):
            while not future.done():
                try:
                    await asyncio.wait((future,))
                except asyncio.CancelledError as request:
                    cancelled = request
        if cancelled is not None:
            future.exception()
            raise cancelled
        return future.result()


def connect(path: Path) -> tuple[sqlite3.Connection, About]:
    """Open a journal that exists and set this connection up.

    Raises:
        ConfigurationError: it is missing, of a newer format, or no journal.
        sqlite3.Error, OSError: as they come.
    """
    if not path.is_file():
        raise ConfigurationError(f"there is no journal at {path}: `zindigi run` or `zindigi link connect` make it")
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    try:
        about = _read_about(connection, path)
        # A journal file is only ever made in WAL mode; whoever changed that is put right before the first write.
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection, about


def create(path: Path, shard_count: int) -> None:
    """Make a journal file, whole or not at all; where another process made one meanwhile, that one stays.

    Raises:
        ConfigurationError: `shard_count` is not positive.
        sqlite3.Error, OSError: as they come.
    """
    if shard_count < 1:
        raise ConfigurationError(f"journal.shard_count is {shard_count}: at least 1 is needed")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        # Only the owner may read it: events hold personal data. SQLite gives its side files the same rights.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN; {SCHEMA}")
            connection.executemany(
                "INSERT INTO about VALUES (?, ?)",
                [
                    ("format_version", str(FORMAT_VERSION)),
                    ("shard_count", str(shard_count)),
                    ("framing", FRAMING),
                    ("epoch", new_epoch()),
                ],
            )
            connection.executemany("INSERT INTO shards VALUES (?, 0, 0)", [(shard,) for shard in range(shard_count)])
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)


def set_epoch(connection: sqlite3.Connection, epoch: str) -> None:
    """Have the journal go on as the branch `epoch`."""
    with transaction(connection):
        connection.execute("UPDATE about SET value = ? WHERE name = 'epoch'", (epoch,))


def _read_about(connection: sqlite3.Connection, path: Path) -> About:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise ConfigurationError(f"{path} is not a journal of this connector: give another journal.path")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT_VERSION:
        raise ConfigurationError(
            f"the journal {path} has format {version}, and this release knows none above {FORMAT_VERSION}: "
            "run the release that wrote it, or a newer one"
        )
    rows = dict(connection.execute("SELECT name, value FROM about").fetchall())
    if rows.get("framing") != FRAMING:
        raise ConfigurationError(f"the journal {path} frames its events as {rows.get('framing')!r}, not {FRAMING!r}")
    return About(shard_count=int(rows["shard_count"]), epoch=rows["epoch"])


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
