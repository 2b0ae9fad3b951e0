"""The embedded journal: `ports.Journal` and `ports.JournalReader` on one SQLite file.

One transaction a commit, so that events, state, links, quarantine and commands are one cut. The write-ahead log is
synced before a commit returns. One connector owns the file (an OS lock, and a fence a shard that keeps off whoever held
it before); any number of readers and command lines may use it meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from connector.chain import contents_of
from connector.errors import ConfigurationError, FencedError, JournalError
from connector.journal.epoch import new_epoch
from connector.journal.file_lock import FileLock
from connector.journal.link_codec import coded, encode_command, encode_link
from connector.journal.partition import shard_of
from connector.journal.sqlite_file import DatabaseThread, set_epoch, transaction
from connector.journal.sqlite_rows import (
    COMMAND_COLUMNS,
    INSERT_COMMIT,
    LINK_COLUMNS,
    commands_in_order,
    commit_row,
    encode_headers,
    last_commit,
    links_by_account,
    stored_event,
)
from connector.journal.sqlite_selection import selected_quarantine, selected_state
from connector.links import Command, Link
from connector.ports import Clock, Commit, Damaged, LastCommit, QuarantineRecord, StateRecord, StoredEvent

MAXIMUM_RECORD_BYTES: Final = 1_000_000
"""Below Kafka's default limit for a message, so that whatever fits here fits there."""

_RESTORE_ROWS: Final = 2_000
_READ_ROWS: Final = 500
_FOLLOW_INTERVAL_SECONDS: Final = 0.1
_ERASE_ATTEMPTS: Final = 3
_BEFORE_FIRST_KEY: Final = ""


class SqliteShard:
    """`ports.Shard` on the embedded journal. Made by `SqliteJournal.acquire` only."""

    maximum_record_bytes = MAXIMUM_RECORD_BYTES

    def __init__(self, journal: SqliteJournal, number: int, fence: int, last: LastCommit) -> None:
        self.number = number
        self.epoch = journal.epoch
        self.last = last
        self.committed_number = last.number
        """The number of the shard's last commit known to be durable; 0 before the first."""
        self._journal = journal
        self._fence = fence
        self._unusable: JournalError | None = None
        self._damaged: dict[str, tuple[Damaged, ...]] = {}

    async def restore(self) -> AsyncIterator[StateRecord]:
        after = _BEFORE_FIRST_KEY
        while True:
            rows = await self._journal.database.run(partial(self._state_after, after))
            for key, value in rows:
                yield StateRecord(key, value)
            if len(rows) < _RESTORE_ROWS:
                return
            after = rows[-1][0]

    def _state_after(self, after: str, connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
        return connection.execute(
            "SELECT key, value FROM state WHERE shard = ? AND key > ? ORDER BY key LIMIT ?",
            (self.number, after, _RESTORE_ROWS),
        ).fetchall()

    async def links(self) -> Mapping[str, Link]:
        rows = await self._journal.database.run(
            lambda connection: connection.execute(
                f"SELECT {LINK_COLUMNS} FROM links WHERE shard = ?",  # noqa: S608  our own columns
                (self.number,),
            ).fetchall()
        )
        links, self._damaged["links"] = links_by_account(rows)
        return links

    async def pending_commands(self) -> tuple[Command, ...]:
        rows = await self._journal.database.run(
            lambda connection: connection.execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE shard = ? ORDER BY position",  # noqa: S608  our own columns
                (self.number,),
            ).fetchall()
        )
        commands, self._damaged["commands"] = commands_in_order(rows)
        return commands

    async def damaged(self) -> tuple[Damaged, ...]:
        return tuple(one for found in self._damaged.values() for one in found)

    async def commit(self, commit: Commit) -> None:
        if self._unusable is not None:
            raise self._unusable
        self._require_sizes(commit)
        try:
            await self._journal.database.run(lambda connection: self._write_and_note(connection, commit))
        except FencedError as error:
            self._unusable = error
            raise
        except JournalError:
            self._unusable = JournalError(f"shard {self.number} failed before: acquire and restore it again")
            raise

    async def release(self) -> None:
        self._unusable = self._unusable or FencedError(f"shard {self.number} was released")
        self._journal.let_go(self)

    def _require_sizes(self, commit: Commit) -> None:
        if commit.shard != self.number:
            raise JournalError(f"a commit of shard {commit.shard} was given to shard {self.number}")
        values = [record.value for records in (commit.events, commit.quarantine) for record in records]
        values += [record.value for record in commit.state if record.value is not None]
        largest = max(map(len, values), default=0)
        if largest > self.maximum_record_bytes:
            raise JournalError(f"a record of {largest} bytes is above the limit of {self.maximum_record_bytes}")

    def _write_and_note(self, connection: sqlite3.Connection, commit: Commit) -> None:
        self.write(connection, commit)
        # In the thread, so that it is known even to a caller who was cancelled meanwhile.
        self.committed_number = commit.number

    def write(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Write all of `commit` in one transaction. Runs in the journal's thread."""
        with transaction(connection):
            self.require_turn(connection, commit)
            self.write_events(connection, commit)
            self.write_state(connection, commit)

    def require_turn(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Check, inside the transaction, that this owner may write this commit next, and take the number."""
        fence, committed = connection.execute(
            "SELECT fence, commit_number FROM shards WHERE shard = ?", (self.number,)
        ).fetchone()
        if fence != self._fence:
            raise FencedError(f"shard {self.number} was acquired by another owner")
        if commit.number != committed + 1:
            raise JournalError(f"commit {commit.number} of shard {self.number} does not follow commit {committed}")
        connection.execute("UPDATE shards SET commit_number = ? WHERE shard = ?", (commit.number, self.number))

    def write_events(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Append the events, each at the next offset of its topic."""
        by_topic: defaultdict[str, int] = defaultdict(int)
        if not commit.events:
            return
        by_topic.update(
            connection.execute("SELECT topic, next_offset FROM offsets WHERE shard = ?", (self.number,)).fetchall()
        )
        rows = []
        for event in commit.events:
            offset = by_topic[event.topic]
            by_topic[event.topic] = offset + 1
            headers = encode_headers(event.headers)
            rows.append((event.topic, self.number, offset, event.key, event.value, headers, commit.number))
        connection.executemany(
            "INSERT INTO events (topic, shard, record_offset, key, value, headers, commit_number) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.executemany(
            "INSERT INTO offsets VALUES (?, ?, ?) "
            "ON CONFLICT (topic, shard) DO UPDATE SET next_offset = excluded.next_offset",
            [(topic, self.number, by_topic[topic]) for topic in {event.topic for event in commit.events}],
        )

    def write_state(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Everything of the commit but its events."""
        position = () if commit.position is None else (commit.position,)
        for record in (*commit.state, *position):  # in order: the last of several writes of one key counts
            if record.value is None:
                connection.execute("DELETE FROM state WHERE shard = ? AND key = ?", (self.number, record.key))
            else:
                connection.execute(
                    "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (shard, key) DO UPDATE SET value = excluded.value",
                    (self.number, record.key, record.value),
                )
        links = [(link.account_id, coded(encode_link, link)) for link in commit.links]
        connection.executemany(
            "INSERT INTO links VALUES (?, ?, ?) ON CONFLICT (account_id) DO UPDATE SET value = excluded.value",
            [(account_id, self.number, row) for account_id, row in links],
        )
        connection.executemany(
            "INSERT INTO quarantine (shard, key, value, commit_number) VALUES (?, ?, ?, ?)",
            [(self.number, record.key, record.value, commit.number) for record in commit.quarantine],
        )
        connection.execute(INSERT_COMMIT, commit_row(commit, commit.contents or contents_of(commit, links)))
        for command_id in commit.commands_applied:
            removed = connection.execute(
                "DELETE FROM commands WHERE command_id = ? AND shard = ?", (command_id, self.number)
            ).rowcount
            if not removed:
                raise JournalError(f"command {command_id} is not pending: it would be applied twice")


class SqliteJournal:
    """`ports.Journal` on one file. Made by `open`."""

    shard_type: type[SqliteShard] = SqliteShard

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shard_count = 0
        self.epoch = ""
        self.database = DatabaseThread(path, "journal")
        self._lock = FileLock(path)
        self._held: dict[int, SqliteShard] = {}

    @classmethod
    async def open(cls, path: Path, *, shard_count: int) -> SqliteJournal:
        """Open the journal at `path`, made with `shard_count` shards where there is none.

        Raises:
            ConfigurationError: the file cannot be used, or has another number of shards, which is fixed for life.
        """
        journal = cls(path)
        try:
            about = await journal.database.open(shard_count)
        except BaseException:
            await journal.close()
            raise
        if about.shard_count != shard_count:
            await journal.close()
            raise ConfigurationError(
                f"journal.shard_count is {shard_count}, but the journal {path} was made with {about.shard_count}: "
                "the number of shards of a journal never changes"
            )
        journal.shard_count = about.shard_count
        journal.epoch = about.epoch
        return journal

    async def last_commit(self, shard: int, *, settled: bool = False) -> LastCommit:
        del settled  # what is committed can be read at once
        return await self.database.run(partial(last_commit, shard))

    async def begin_epoch(self) -> str:
        """Go on as a new branch; its epoch.

        Raises:
            ConfigurationError: a connector works on the journal.
        """
        self._lock.take()
        self.epoch = new_epoch()
        await self.database.run(partial(set_epoch, epoch=self.epoch))
        self._drop_unused_lock()
        return self.epoch

    async def acquire(self, shard: int) -> SqliteShard:
        if not 0 <= shard < self.shard_count:
            raise ConfigurationError(f"there is no shard {shard}: the journal {self.path} has {self.shard_count}")
        self._lock.take()

        def fence(connection: sqlite3.Connection) -> tuple[int, LastCommit]:
            with transaction(connection):
                connection.execute("UPDATE shards SET fence = fence + 1 WHERE shard = ?", (shard,))
                raised = connection.execute("SELECT fence FROM shards WHERE shard = ?", (shard,)).fetchone()[0]
                return raised, last_commit(shard, connection)

        try:
            raised, last = await self.database.run(fence)
        except BaseException:
            self._drop_unused_lock()
            raise
        acquired = self.shard_type(self, shard, raised, last)
        self._held[shard] = acquired
        return acquired

    def let_go(self, shard: SqliteShard) -> None:
        """A shard was released; with the last one the file is free for another connector."""
        if self._held.get(shard.number) is shard:
            del self._held[shard.number]
        self._drop_unused_lock()

    def _drop_unused_lock(self) -> None:
        if not self._held:
            self._lock.drop()

    async def erase(self, account_id: str) -> None:
        """Remove state, link, commands and quarantine of an account, and their bytes from the file. Idempotent.

        Events stay: they are the log that consumers were given. This connector must hold the account's shard.

        Raises:
            ConfigurationError: another connector holds the file.
            JournalError: it failed, or a reader kept old bytes alive; do it again.
        """
        self._lock.take()

        def erasing(connection: sqlite3.Connection) -> None:
            shard = shard_of(account_id, self.shard_count)
            first, last = f"{account_id}/", f"{account_id}0"  # "0" follows "/": every key that begins with the first
            with transaction(connection):
                for table in ("state", "quarantine"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE shard = ? AND (key = ? OR (key >= ? AND key < ?))",  # noqa: S608  two literals
                        (shard, account_id, first, last),
                    )
                connection.execute("DELETE FROM links WHERE account_id = ?", (account_id,))
                connection.execute("DELETE FROM commands WHERE account_id = ?", (account_id,))
            connection.execute("VACUUM")
            for _ in range(_ERASE_ATTEMPTS):
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if not busy:
                    return
            raise JournalError(f"a reader of {self.path} kept erased bytes alive: end it and erase again")

        await self.database.run(erasing)

    async def close(self) -> None:
        for shard in tuple(self._held.values()):
            await shard.release()
        await self.database.close()
        self._lock.drop()


class SqliteReader:
    """`ports.JournalReader` on one file, beside a running connector or without one. Made by `open`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._database = DatabaseThread(path, "journal-reader")
        self._clock = clock
        self.shard_count = 0

    @classmethod
    async def open(cls, path: Path, *, clock: Clock, shard_count: int | None = None) -> SqliteReader:
        """Open the journal at `path`; where there is none it is made, if `shard_count` is given.

        Raises:
            ConfigurationError: there is no journal, or it cannot be used.
        """
        reader = cls(path, clock)
        try:
            about = await reader._database.open(shard_count)
        except BaseException:
            await reader.close()
            raise
        reader.shard_count = about.shard_count
        return reader

    async def read_events(
        self, topics: tuple[str, ...], *, key: str | None = None, follow: bool = False, from_end: bool = False
    ) -> AsyncIterator[StoredEvent]:
        position = await self._database.run(_last_position) if from_end else 0
        while True:
            events, position, at_end = await self._database.run(partial(_events_after, position, topics, key))
            for event in events:
                yield event
            if at_end and not follow:
                return
            if at_end:
                await self._clock.sleep(_FOLLOW_INTERVAL_SECONDS)

    async def links(self) -> Mapping[str, Link]:
        rows = await self._database.run(_all_links)
        return links_by_account(rows)[0]

    async def damaged(self) -> tuple[Damaged, ...]:
        links = links_by_account(await self._database.run(_all_links))[1]
        return links + commands_in_order(await self._database.run(_all_commands))[1]

    def read_state(self, keys: Collection[str] | None = None) -> AsyncIterator[StateRecord]:
        return selected_state(self._database, self.shard_count, keys)

    def read_quarantine(self, keys: Collection[str] | None = None) -> AsyncIterator[QuarantineRecord]:
        return selected_quarantine(self._database, keys)

    async def append_command(self, command: Command) -> None:
        """Durable when it returns; a command of an id that is pending already changes nothing."""
        row = (
            command.command_id,
            shard_of(command.account_id, self.shard_count),
            command.account_id,
            encode_command(command),
        )

        def appending(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute(
                    "INSERT OR IGNORE INTO commands (command_id, shard, account_id, value) VALUES (?, ?, ?, ?)", row
                )

        await self._database.run(appending)

    async def pending_commands(self) -> tuple[Command, ...]:
        """Commands of every shard that no connector has applied yet, oldest first."""
        return commands_in_order(await self._database.run(_all_commands))[0]

    async def command_pending(self, command_id: str) -> bool:
        row = await self._database.run(
            lambda connection: connection.execute(
                "SELECT 1 FROM commands WHERE command_id = ?", (command_id,)
            ).fetchone()
        )
        return row is not None

    async def close(self) -> None:
        await self._database.close()


def _all_links(connection: sqlite3.Connection) -> list[tuple[bytes, object]]:
    return connection.execute(f"SELECT {LINK_COLUMNS} FROM links").fetchall()  # noqa: S608  our own columns


def _all_commands(connection: sqlite3.Connection) -> list[tuple[bytes, bytes, object]]:
    return connection.execute(f"SELECT {COMMAND_COLUMNS} FROM commands ORDER BY position").fetchall()  # noqa: S608  our own columns


def _last_position(connection: sqlite3.Connection) -> int:
    row: tuple[int] = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    return row[0]


def _events_after(
    position: int, topics: tuple[str, ...], key: str | None, connection: sqlite3.Connection
) -> tuple[list[StoredEvent], int, bool]:
    """Up to `_READ_ROWS` events after `position`, the position reached, and whether that is the end for the moment."""
    # The end is taken first: it bounds what "nothing more" means, so that a commit in between is not skipped.
    end = _last_position(connection)
    if end <= position:
        return [], position, True
    named = ", ".join("?" * len(topics))
    only = "" if key is None else "AND key = ?"
    rows = connection.execute(
        "SELECT position, topic, shard, record_offset, key, value, headers FROM events "  # noqa: S608  placeholders only
        f"WHERE position > ? AND position <= ? AND topic IN ({named}) {only} ORDER BY position LIMIT ?",
        (position, end, *topics, *(() if key is None else (key,)), _READ_ROWS),
    ).fetchall()
    events = [stored_event(row) for row in rows]
    if len(rows) < _READ_ROWS:
        return events, end, True
    return events, rows[-1][0], False
