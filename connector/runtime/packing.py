"""Packed entities: a resource's window at rest in memory, opened only by a read that shows something else.

One zstd frame of length-prefixed Avro values, so that restoring state needs no decoding and an idle account costs
bytes, not objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import zstandard

from connector.avro import decode_entity, encode_entity
from connector.state import EntityState

LENGTH_BYTES = 4
_COMPRESSOR = zstandard.ZstdCompressor(level=3)
_DECOMPRESSOR = zstandard.ZstdDecompressor()


@dataclass(frozen=True, slots=True)
class Packed:
    """The entities of one resource. `frame` is empty when there are none."""

    domain: str
    frame: bytes = b""

    def open(self) -> dict[str, EntityState]:
        """The entities by id."""
        entities = {}
        raw = _DECOMPRESSOR.decompress(self.frame) if self.frame else b""
        place = 0
        while place < len(raw):
            start = place + LENGTH_BYTES
            place = start + int.from_bytes(raw[place:start], "big")
            entity = decode_entity(self.domain, raw[start:place])
            entities[entity.entity_id] = entity
        return entities


def pack(domain: str, entities: Iterable[EntityState]) -> Packed:
    """Close a window again."""
    return pack_values(domain, (encode_entity(domain, entity) for entity in entities))


def pack_values(domain: str, values: Iterable[bytes]) -> Packed:
    """The same from values already encoded, as they come out of the journal."""
    raw = b"".join(len(value).to_bytes(LENGTH_BYTES, "big") + value for value in values)
    return Packed(domain, _COMPRESSOR.compress(raw) if raw else b"")
