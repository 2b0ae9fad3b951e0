"""JSON without a float in between, digests of parts of it, and a count of what nobody asked for.

`json` with `parse_float=Decimal` keeps every digit and the scale; pydantic and orjson pass numbers through a double.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from hashlib import blake2b, sha256
from typing import Any, Final, NoReturn, TypeAlias

import orjson

from connector.errors import DataError

JsonObject: TypeAlias = dict[str, Any]

DIGEST_BYTES: Final = 16
_NAME_LENGTH_LIMIT: Final = 64
_NAME_COUNT_LIMIT: Final = 64


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def parse_object(body: bytes) -> JsonObject:
    """The JSON object in `body`; numbers with a fraction or exponent are `Decimal`, others `int`.

    Raises:
        DataError: `body` is not JSON, or its top is no object.
    """
    try:
        parsed = _DECODER.decode(body.decode())
    except (ValueError, RecursionError, ArithmeticError):
        raise DataError("the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise DataError("the body is not a JSON object")
    return parsed


def is_json(body: bytes) -> bool:
    """Whether `body` is one whole JSON text: a body that broke off is not."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def digest_page(body: bytes) -> bytes:
    """16 bytes of SHA-256: every idle poll digests a page, and processors have instructions for this one."""
    return sha256(body).digest()[:DIGEST_BYTES]


def digest_value(value: object) -> bytes:
    """The digest of a parsed value's canonical JSON: keys sorted, no white space, numbers with the scale stated."""
    try:
        canonical = orjson.dumps(value, default=_number, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        # Integers beyond 64 bits, lone surrogates, deep nesting: nothing that can be understood, but it has a digest.
        canonical = _canonical_fallback(value)
    return blake2b(canonical, digest_size=DIGEST_BYTES).digest()


def _canonical_fallback(value: object) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, default=str).encode()
    except (RecursionError, ValueError):
        return b"beyond canonical form"


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError


class UnknownFields:
    """Counts fields that the contract does not name, by dotted name. Names only, never values; bounded."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def note(self, prefix: str, item: Mapping[str, object], known: Collection[str]) -> None:
        """Count the fields of `item` that are not `known`; `prefix` is the dotted name of `item`, or empty."""
        for name in item.keys() - known:
            dotted = f"{prefix}.{_printable(name)}" if prefix else _printable(name)
            if dotted in self.counts or len(self.counts) < _NAME_COUNT_LIMIT:
                self.counts[dotted] = self.counts.get(dotted, 0) + 1


def _printable(name: str) -> str:
    """A field's name, if it looks like one: anything else might be a value that went astray."""
    return name if name.isascii() and name.isidentifier() and len(name) <= _NAME_LENGTH_LIMIT else "(odd name)"
