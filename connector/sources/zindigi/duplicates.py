"""Entries of one answer that name the same entity. Pure.

One answer is one state of the bank: what it states twice in two ways is not a feed that moved, and reading again would
show the same. Nobody can say which of them holds, so the entity is one that cannot be read. Between two pages of a read
it is another matter, and the reader's.
"""

from __future__ import annotations

from dataclasses import astuple
from hashlib import blake2b
from typing import Final

from connector.domains.model import BookingKey, Entry, Unreadable
from connector.sources.zindigi.exact_json import DIGEST_BYTES

REASON: Final = "the entry: stated more than once in one answer, with different content"


def told_apart(entries: tuple[Entry | Unreadable, ...]) -> tuple[Entry | Unreadable, ...]:
    """`entries` with one of each entity, at the place of its first.

    The same entity with the same content is one entry; with different content it is one `Unreadable`, whose digest does
    not depend on the order. Entries without a readable id stay.
    """
    names = [_name(entry) for entry in entries]
    if len({name for name in names if name is not None}) == len(names) - names.count(None):
        return entries
    stated: dict[str, list[Entry | Unreadable]] = {}
    for name, entry in zip(names, entries, strict=True):
        if name is not None:
            stated.setdefault(name, []).append(entry)
    return tuple(
        entry if name is None else _one(name, stated.pop(name))
        for name, entry in zip(names, entries, strict=True)
        if name is None or name in stated
    )


def _name(entry: Entry | Unreadable) -> str | None:
    return entry.name if isinstance(entry, Entry) else entry.entity_id


def _one(name: str, entries: list[Entry | Unreadable]) -> Entry | Unreadable:
    first, *others = entries
    if all(_same(first, other) for other in others):
        return first
    digests = b"".join(sorted({entry.raw_digest for entry in entries}))
    return Unreadable(blake2b(digests, digest_size=DIGEST_BYTES).digest(), REASON, name, _newest_key(entries))


def _same(one: Entry | Unreadable, other: Entry | Unreadable) -> bool:
    if one.raw_digest == other.raw_digest:
        return True
    # What differs may be a field that nobody reads.
    return isinstance(one, Entry) and isinstance(other, Entry) and _stated(one) == _stated(other)


def _stated(entry: Entry) -> tuple[object, ...]:
    """All that was read, also what no comparison of records minds, such as a running balance."""
    every: tuple[object, ...] = astuple(entry.record)  # type: ignore[call-overload]  # records are dataclasses
    return every


def _newest_key(entries: list[Entry | Unreadable]) -> BookingKey | None:
    """The highest place of them: what is not known to be lower must not be taken for older."""
    return max((entry.key for entry in entries if entry.key is not None), default=None)
