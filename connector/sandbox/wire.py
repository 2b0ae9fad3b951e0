"""What goes over the wire: JSON values, instants in the bank's own forms, money with exactly two decimals."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TypeAlias

import orjson

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | Decimal | bool | None"
Body: TypeAlias = Mapping[str, Json]

KARACHI = timezone(timedelta(hours=5), "PKT")
"""Pakistan keeps no summer time, so a fixed offset is the zone."""

_MICROS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dumps(value: Json) -> bytes:
    """JSON bytes; a `Decimal` becomes a JSON number with its own decimals (`-2500.00`)."""
    return orjson.dumps(value, default=_decimal)


def _decimal(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no place on the wire")


def money(paisa: int) -> Decimal:
    """Paisa as rupees with two decimals."""
    return Decimal(paisa).scaleb(-2)


def local_instant(at: datetime) -> str:
    """`2026-03-01T09:30:00+05:00`, with a fraction where there is one."""
    return at.astimezone(KARACHI).isoformat()


def utc_instant(at: datetime) -> str:
    """`2026-03-01T04:30:00Z`, with a fraction where there is one."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local_date(at: datetime) -> date:
    """The calendar date in Karachi."""
    return at.astimezone(KARACHI).date()


def day_month_year(day: date | None) -> str | None:
    """`dd-MM-yyyy`, the lending core's own form."""
    return None if day is None else day.strftime("%d-%m-%Y")


def micros(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * _MICROS + delta.microseconds


def midnight(day: date) -> datetime:
    """The instant at which a Karachi calendar date begins."""
    return datetime(day.year, day.month, day.day, tzinfo=KARACHI)


def etag(body: bytes) -> str:
    """A strong entity tag of the body."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def encode_cursor(*parts: str) -> str:
    """An opaque cursor: the same parts always give the same text, and a damaged one is recognised."""
    raw = orjson.dumps(parts)
    return base64.urlsafe_b64encode(hashlib.blake2b(raw, digest_size=4).digest() + raw).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[str, ...] | None:
    """The parts of a cursor, or None where the bank never issued such a text."""
    try:
        blob = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    checksum, raw = blob[:4], blob[4:]
    if hashlib.blake2b(raw, digest_size=4).digest() != checksum:
        return None
    return tuple(orjson.loads(raw))
