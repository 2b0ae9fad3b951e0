"""Values as columns of the embedded journal, and back."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import orjson

from connector.journal.link_codec import coded, decode_link
from connector.links import Link
from connector.ports import StoredEvent

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


def links_by_account(rows: Iterable[tuple[str]]) -> Mapping[str, Link]:
    """Rows of `links` (their value) by account id."""
    links = (coded(decode_link, row[0]) for row in rows)
    return {link.account_id: link for link in links}
