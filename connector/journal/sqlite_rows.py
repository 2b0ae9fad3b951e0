"""Values as columns of the embedded journal, and back."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import orjson

from connector.journal.link_codec import decode_command, decode_link, readable, sorted_out
from connector.links import Command, Link
from connector.ports import Damaged, StoredEvent

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
