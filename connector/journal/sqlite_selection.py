"""Rows of state and quarantine as a reader asks for them: by key, by what keys begin with, or all."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection
from functools import partial
from typing import Final

from connector.journal.sqlite_file import DatabaseThread
from connector.ports import QuarantineRecord, StateRecord

_ROWS_AT_ONCE: Final = 2_000
_KEYS_AT_ONCE: Final = 500
_BEFORE_ALL: Final = ""
_BEHIND_ALL: Final = "\U0010ffff"


async def selected_state(
    database: DatabaseThread, shard_count: int, keys: Collection[str] | None
) -> AsyncIterator[StateRecord]:
    """The rows of state under `keys` (`ports.JournalReader.read_state`)."""
    named = sorted(key for key in keys or () if not key.endswith("/"))
    below = [_BEFORE_ALL] if keys is None else sorted(key for key in keys if key.endswith("/"))
    for first in range(0, len(named), _KEYS_AT_ONCE):
        for key, value in await database.run(partial(_named, shard_count, named[first : first + _KEYS_AT_ONCE])):
            yield StateRecord(key, value)
    for prefix in below:
        for shard in range(shard_count):
            after = prefix
            while rows := await database.run(partial(_between, shard, after, prefix + _BEHIND_ALL)):
                for key, value in rows:
                    yield StateRecord(key, value)
                after = rows[-1][0]


async def selected_quarantine(
    database: DatabaseThread, keys: Collection[str] | None
) -> AsyncIterator[QuarantineRecord]:
    """The rows of quarantine under `keys` (`ports.JournalReader.read_quarantine`)."""
    after = 0
    while rows := await database.run(partial(_quarantine_after, after)):
        for _, key, value in rows:
            if keys is None or key in keys:
                yield QuarantineRecord(key, value)
        after = rows[-1][0]


def _named(shard_count: int, keys: list[str], connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    shards, names = ", ".join("?" * shard_count), ", ".join("?" * len(keys))
    return connection.execute(
        f"SELECT key, value FROM state WHERE shard IN ({shards}) AND key IN ({names})",  # noqa: S608  placeholders only
        (*range(shard_count), *keys),
    ).fetchall()


def _between(shard: int, after: str, end: str, connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    return connection.execute(
        "SELECT key, value FROM state WHERE shard = ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
        (shard, after, end, _ROWS_AT_ONCE),
    ).fetchall()


def _quarantine_after(after: int, connection: sqlite3.Connection) -> list[tuple[int, str, bytes]]:
    return connection.execute(
        "SELECT position, key, value FROM quarantine WHERE position > ? ORDER BY position LIMIT ?",
        (after, _ROWS_AT_ONCE),
    ).fetchall()
