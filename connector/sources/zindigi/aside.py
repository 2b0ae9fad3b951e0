"""An entry that is not understood, with what the bank showed of it."""

from __future__ import annotations

from connector.domains.model import BookingKey, Unreadable
from connector.sources.zindigi.exact_json import content_of


def aside(
    item: object, digest: bytes, reason: object, entity_id: str | None = None, key: BookingKey | None = None
) -> Unreadable:
    """`item` set aside for a `reason` that names field and fault, under its id and place where they can be read."""
    return Unreadable(digest, str(reason), entity_id, key, content_of(item))
