"""The keyed chain of a shard: what a commit holds, in canonical bytes, and the tip that vouches for all of them.

Pure. ``tip[n] = HMAC-SHA256(key, tip[n-1] || contents[n])``: a commit that was edited, removed, swapped, inserted or
replayed breaks every tip from there on. Beside it stands a sum over what is live: of every state row and link that a
shard remembers, a keyed hash, added up modulo 2^256 (an incremental multiset hash; Bellare and Micciancio, 1997, with a
secret key). It costs two hashes a change, and shows at a restore, without reading any history, that a row was removed,
added, or put back as it was before.

Neither says anything without the key, which comes from the vault and is stored nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from struct import pack
from typing import Final

from connector.ports import Commit, Contents, EventRecord, QuarantineRecord
from connector.sealing import derive_key
from connector.state import SUM_BYTES, Position

DIGEST_BYTES: Final = SUM_BYTES
NAME_BYTES: Final = 8
VALUE_BYTES: Final = 16
ENTRY_BYTES: Final = NAME_BYTES + VALUE_BYTES
GONE: Final = bytes(VALUE_BYTES)
"""Stands for the value of a key that is no more, in the list of what a commit wrote."""
BEGINNING: Final = bytes(DIGEST_BYTES)
"""The tip before the first commit."""
_MODULUS: Final = 1 << (8 * DIGEST_BYTES)


def canonical(contents: Contents) -> bytes:
    """Canonical bytes: equal contents, and no others, have the same."""
    parts = [
        contents.event_count.to_bytes(8, "big"),
        contents.events,
        contents.quarantine_count.to_bytes(8, "big"),
        contents.quarantine,
        contents.state,
        contents.links,
        *(command.encode() for command in contents.commands),
    ]
    return b"".join(_prefixed(part) for part in parts)


def contents_of(commit: Commit, links: Iterable[tuple[str, str]]) -> Contents:
    """What `commit` holds; `links` are its links as (account id, row)."""
    return Contents(
        event_count=len(commit.events),
        events=digest_events(commit.events),
        quarantine_count=len(commit.quarantine),
        quarantine=digest_quarantine(commit.quarantine),
        state=b"".join(entry(record.key, record.value) for record in commit.state),
        links=b"".join(entry(account_id, row.encode()) for account_id, row in links),
        commands=commit.commands_applied,
    )


def digest_events(events: Iterable[EventRecord]) -> bytes:
    """SHA-256 over topic, key, value and headers of events, in order."""
    digest = hashlib.sha256()
    for event in events:
        parts = [event.topic.encode(), event.key.encode(), event.value]
        for name, value in event.headers:
            parts += (name.encode(), value)
        digest.update(_framed(parts))
    return digest.digest()


def digest_quarantine(records: Iterable[QuarantineRecord]) -> bytes:
    """SHA-256 over key and value of quarantine records, in order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(_prefixed(record.key.encode()) + _prefixed(record.value))
    return digest.digest()


def entry(key: str, value: bytes | None) -> bytes:
    """One key and its value in the list of what a commit wrote."""
    return name_of(key) + (GONE if value is None else hashlib.sha256(value).digest()[:VALUE_BYTES])


def name_of(key: str) -> bytes:
    """What stands for a key in that list."""
    return hashlib.sha256(key.encode()).digest()[:NAME_BYTES]


def entries(listed: bytes) -> list[tuple[bytes, bytes]]:
    """The list taken apart: what stands for each key, and for its value."""
    return [
        (listed[at : at + NAME_BYTES], listed[at + NAME_BYTES : at + ENTRY_BYTES])
        for at in range(0, len(listed), ENTRY_BYTES)
    ]


def _framed(parts: list[bytes]) -> bytes:
    """Parts after their count and lengths, so that no two lists of parts have the same bytes."""
    return pack(f">{len(parts) + 1}I", len(parts), *map(len, parts)) + b"".join(parts)


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


class Chain:
    """Tips and sums of one shard, under the key that is derived from the shard's own (32 bytes)."""

    def __init__(self, shard_key: bytes) -> None:
        self._tips = derive_key(shard_key, "zindigi/chain/1")
        self._live = derive_key(shard_key, "zindigi/live/1")

    def tip(self, previous: bytes, shard: int, number: int, epoch: str, contents: Contents) -> bytes:
        """The tip after a commit."""
        what = _prefixed(f"{shard}/{number}/{epoch}".encode()) + canonical(contents)
        return hmac.digest(self._tips, previous + what, "sha256")

    def extend(self, position: Position, commit: Commit, links: Iterable[tuple[str, str]]) -> Commit:
        """`commit` with its contents and its tip; `links` are its links as (account id, row)."""
        contents = contents_of(commit, links)
        tip = self.tip(position.tip, commit.shard, commit.number, commit.epoch, contents)
        return replace(commit, contents=contents, tip=tip)

    def of_row(self, key: str, value: bytes) -> int:
        """What a live state row or link adds to the sum; `value` is in clear."""
        name = key.encode()
        mac = hashlib.blake2b(key=self._live, digest_size=DIGEST_BYTES)
        mac.update(_prefixed(name))
        mac.update(value)
        return int.from_bytes(mac.digest(), "big")

    def of_head(self, key: str, commit_number: int) -> int:
        """What a live head adds: it is told by the commit that wrote it, which stands in its sealed value."""
        return self.of_row(key, commit_number.to_bytes(8, "big"))


def added(total: int, *changes: int) -> int:
    """A sum after `changes`."""
    return sum(changes, total) % _MODULUS
