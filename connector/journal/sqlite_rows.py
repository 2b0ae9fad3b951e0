"""Values as columns of the embedded journal, and back."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

import orjson

from connector.domains.model import EPOCH
from connector.journal.link_codec import decode_command, decode_link, readable, sorted_out
from connector.links import Command, Link
from connector.ports import Commit, Contents, Damaged, LastCommit, StoredEvent, VaultIdentity

INSERT_COMMIT: Final = "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
Headers = tuple[tuple[str, bytes], ...]


def encode_headers(headers: Headers) -> str:
    """Headers in order, as JSON: `[[name, text], …]`, and `{"base64": …}` in place of a value that is no text."""
    return orjson.dumps([[name, _header_text(value)] for name, value in headers]).decode()


def _header_text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def decode_headers(text: str) -> Headers:
    """What `encode_headers` was given."""
    return tuple(
        (name, value.encode() if isinstance(value, str) else base64.b64decode(value["base64"]))
        for name, value in orjson.loads(text)
    )


def stored_event(row: tuple[int, str, int, int, str, bytes, str]) -> StoredEvent:
    """A row of `events`: position, topic, shard, record_offset, key, value, headers."""
    _, topic, shard, offset, key, value, headers = row
    return StoredEvent(topic, shard, offset, key, value, decode_headers(headers))


LINK_COLUMNS = "CAST(account_id AS BLOB), CAST(value AS BLOB)"
"""As bytes: a key that is no text must not stop the rows beside it."""
COMMAND_COLUMNS = "CAST(command_id AS BLOB), CAST(account_id AS BLOB), CAST(value AS BLOB)"


def links_by_account(rows: Iterable[tuple[bytes, object]]) -> tuple[Mapping[str, Link], tuple[Damaged, ...]]:
    """Rows of `links` (`LINK_COLUMNS`) by account id, and those that cannot be understood."""
    named = ((_text(account_id), value) for account_id, value in rows)
    links, damaged = sorted_out(
        readable("link", account_id, account_id, decode_link, value) for account_id, value in named
    )
    return {link.account_id: link for link in links}, damaged


def commands_in_order(rows: Iterable[tuple[bytes, bytes, object]]) -> tuple[tuple[Command, ...], tuple[Damaged, ...]]:
    """Rows of `commands` (`COMMAND_COLUMNS`) as they come, and those that cannot be understood."""
    commands, damaged = sorted_out(
        readable("command", _text(command_id), _text(account_id), decode_command, value)
        for command_id, account_id, value in rows
    )
    return tuple(commands), damaged


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def commit_row(commit: Commit, contents: Contents) -> tuple[Any, ...]:
    """A commit as a row of `commits`."""
    vault = commit.vault
    return (
        commit.shard,
        commit.number,
        commit.epoch,
        None if commit.at is None else (commit.at - EPOCH) // timedelta(microseconds=1),
        commit.tip,
        contents.event_count,
        contents.events,
        contents.quarantine_count,
        contents.quarantine,
        contents.state,
        contents.links,
        orjson.dumps(contents.commands).decode(),
        None if vault is None else vault.vault_id,
        None if vault is None else vault.counter,
    )


def last_commit(shard: int, connection: sqlite3.Connection) -> LastCommit:
    """The last commit of a shard.

    `shards` counts them; where `commits` does not know that number its tip is empty, which vouches for nothing.
    """
    row = connection.execute(
        "SELECT s.commit_number, c.tip, c.at, c.vault_id, c.vault_counter FROM shards s "
        "LEFT JOIN commits c ON c.shard = s.shard AND c.number = s.commit_number WHERE s.shard = ?",
        (shard,),
    ).fetchone()
    if row is None:
        return LastCommit()
    number, tip, at, vault_id, vault_counter = row
    return LastCommit(
        number,
        tip or b"",
        None if at is None else EPOCH + timedelta(microseconds=at),
        None if vault_id is None else VaultIdentity(vault_id, vault_counter),
    )
