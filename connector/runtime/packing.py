"""Packed entities: a resource's window at rest in memory, opened only by a read that shows something else.

One zstd frame of length-prefixed Avro values, so that restoring state needs no decoding and an idle account costs
bytes, not objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import zstandard

from connector.avro import decode_entity
from connector.state import EntityState

LENGTH_BYTES = 4
_COMPRESSOR = zstandard.ZstdCompressor(level=3)
_DECOMPRESSOR = zstandard.ZstdDecompressor()


@dataclass(frozen=True, slots=True)
class Opened:
    """A window opened: its entities by id, and the bytes that each came from."""

    entities: Mapping[str, EntityState] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """The entities of one resource at rest. `frame` is empty when there are none."""

    domain: str
    frame: bytes = b""

    def open(self) -> Opened:
        """The window, decoded."""
        entities: dict[str, EntityState] = {}
        values: dict[str, bytes] = {}
        raw = _DECOMPRESSOR.decompress(self.frame) if self.frame else b""
        place = 0
        while place < len(raw):
            start = place + LENGTH_BYTES
            place = start + int.from_bytes(raw[place:start], "big")
            entity = decode_entity(self.domain, raw[start:place])
            entities[entity.entity_id] = entity
            values[entity.entity_id] = raw[start:place]
        return Opened(entities, values)


class Packing:
    """A window that is being closed, entity by entity. One growing buffer: restoring holds many of these at once."""

    __slots__ = ("_domain", "_raw")

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._raw = bytearray()

    def add(self, value: bytes) -> None:
        """One more entity, encoded."""
        self._raw += len(value).to_bytes(LENGTH_BYTES, "big")
        self._raw += value

    def packed(self) -> Packed:
        """The window at rest."""
        # The compressor's own result keeps the room that an incompressible text would have taken: a copy does not.
        frame = bytes(memoryview(_COMPRESSOR.compress(self._raw))) if self._raw else b""
        return Packed(self._domain, frame)


def pack(domain: str, values: Iterable[bytes]) -> Packed:
    """Close a window; `values` are its entities, encoded."""
    packing = Packing(domain)
    for value in values:
        packing.add(value)
    return packing.packed()
