"""Avro's binary forms of single values (Avro 1.12, "Binary encoding" and "Logical types"), as writers and readers.

A writer gives bytes; a reader takes the data and a place in it, and gives the value and the place behind it. What has
no form (a naive time, a fraction of a paisa, a number beyond its type) raises; so does data that is cut or malformed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import Final

from connector.domains.model import EPOCH, micros

_LONG: Final = 1 << 63
_LONG_BITS: Final = 64
_LOW: Final = 0x7F
_MORE: Final = 0x80
_CONTINUED: Final = 0x8080808080808080
"""The bits of eight bytes that say whether a number goes on behind them."""
_EIGHT_BYTES: Final = 0x0080808080808080
_EPOCH_DAY: Final = EPOCH.toordinal()
_EXACT: Final = Context(prec=64)


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_long(value: int) -> bytes:
    """An int or long: zigzag, then seven bits a byte, lowest first."""
    if not -_LONG <= value < _LONG:
        raise OverflowError("a long has 64 bits")
    rest = value << 1 if value >= 0 else ~(value << 1)
    out = bytearray()
    while rest > _LOW:
        out.append(rest & _LOW | _MORE)
        rest >>= 7
    out.append(rest)
    return bytes(out)


LENGTHS: Final = tuple(write_long(value) for value in range(4096))
"""The forms of the lengths that occur: looked up, they need not be worked out."""


def write_length(value: int) -> bytes:
    """The same of a length."""
    return LENGTHS[value] if value < len(LENGTHS) else write_long(value)


def write_instant(value: datetime) -> bytes:
    """timestamp-micros of an aware datetime."""
    rest = micros(value) << 1
    if rest >> 49 and not rest >> 56:
        # From 1978 to 3112 it takes eight bytes.
        return bytes(
            (
                rest & 0x7F | 0x80,
                rest >> 7 & 0x7F | 0x80,
                rest >> 14 & 0x7F | 0x80,
                rest >> 21 & 0x7F | 0x80,
                rest >> 28 & 0x7F | 0x80,
                rest >> 35 & 0x7F | 0x80,
                rest >> 42 & 0x7F | 0x80,
                rest >> 49,
            )
        )
    return write_long(rest >> 1)


def write_day(value: date) -> bytes:
    """date: days since the epoch. A datetime is none."""
    if isinstance(value, datetime):
        raise TypeError("a datetime is no date")
    return write_long(value.toordinal() - _EPOCH_DAY)


def write_decimal(value: Decimal, scale: int, limit: int) -> bytes:
    """Decimal on bytes: the unscaled value, big-endian, with its length before it. `limit` is 10 to the precision."""
    scaled = value.scaleb(scale, _EXACT)
    unscaled = int(scaled)
    if unscaled != scaled or not -limit < unscaled < limit:
        raise ValueError("the decimal does not fit its precision and scale")
    size = (unscaled.bit_length() + 8) // 8
    return LENGTHS[size] + unscaled.to_bytes(size, "big", signed=True)


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_long(data: bytes, place: int) -> tuple[int, int]:
    """An int or long."""
    byte = data[place]
    place += 1
    value = byte & _LOW
    bits = 7
    while byte > _LOW:
        byte = data[place]
        place += 1
        value |= (byte & _LOW) << bits
        bits += 7
        if bits > _LONG_BITS + 6:
            raise ValueError("a long has 64 bits")
    return (value >> 1) ^ -(value & 1), place


def read_instant(data: bytes, place: int) -> tuple[datetime, int]:
    """timestamp-micros, in UTC."""
    eight = int.from_bytes(data[place : place + 8], "little")
    if eight & _CONTINUED == _EIGHT_BYTES and not eight & 1:
        # As `write_instant`: eight bytes and not negative.
        value = (
            (eight & 0x7F)
            | (eight & 0x7F00) >> 1
            | (eight & 0x7F0000) >> 2
            | (eight & 0x7F000000) >> 3
            | (eight & 0x7F00000000) >> 4
            | (eight & 0x7F0000000000) >> 5
            | (eight & 0x7F000000000000) >> 6
            | (eight & 0x7F00000000000000) >> 7
        ) >> 1
        return EPOCH + timedelta(0, 0, value), place + 8
    value, place = read_long(data, place)
    return EPOCH + timedelta(0, 0, value), place


def read_day(data: bytes, place: int) -> tuple[date, int]:
    """Date."""
    value, place = read_long(data, place)
    return date.fromordinal(value + _EPOCH_DAY), place


def read_bytes(data: bytes, place: int) -> tuple[bytes, int]:
    """Bytes."""
    size, start = read_long(data, place)
    place = start + size
    if size < 0 or place > len(data):
        raise EOFError
    return data[start:place], place


def read_decimal(data: bytes, place: int, scale: int) -> tuple[Decimal, int]:
    """Decimal on bytes."""
    unscaled, place = read_bytes(data, place)
    return Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, _EXACT), place
