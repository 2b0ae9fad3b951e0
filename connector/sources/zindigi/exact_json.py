"""JSON without a float in between, digests of parts of it, and a count of what nobody asked for.

`json` with `parse_float=Decimal` keeps every digit and the scale; pydantic and orjson pass numbers through a double.

One parser decides what is JSON, and it is never stricter with a page than the shapes are with an entry: half an emoji,
bytes that are no UTF-8, control characters, numbers that no number can hold and whatever is nested too deep for a
recursion come out as values that the shapes refuse where they are read, and that nobody minds where they are not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b, sha256
from typing import Any, Final, TypeAlias

import orjson

from connector.errors import DataError, UnavailableError
from connector.limits import MAXIMUM_JSON_DEPTH, MAXIMUM_NUMBER_CHARACTERS, MAXIMUM_QUARANTINED_BYTES
from connector.sources.zindigi import deep_json

JsonObject: TypeAlias = dict[str, Any]

DIGEST_BYTES: Final = 16
_NAME_LENGTH_LIMIT: Final = 64
_NAME_COUNT_LIMIT: Final = 64
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class OddNumber:
    """A number that has no value here: too long, too large for any exponent, NaN or an infinity. No shape takes it."""

    literal: str = field(repr=False)


def _whole(literal: str) -> int | OddNumber:
    return int(literal) if len(literal) <= MAXIMUM_NUMBER_CHARACTERS else OddNumber(literal)


def _exact(literal: str) -> Decimal | OddNumber:
    if len(literal) > MAXIMUM_NUMBER_CHARACTERS:
        return OddNumber(literal)
    try:
        return Decimal(literal)
    except ArithmeticError:
        return OddNumber(literal)


# Control characters inside of texts are let through: a text that has them is the entry's matter.
_DECODER: Final = json.JSONDecoder(parse_int=_whole, parse_float=_exact, parse_constant=OddNumber, strict=False)


def _parse(body: bytes) -> object:
    """The value that `body` states; a byte that is no UTF-8 is half a surrogate pair, which no text can have.

    Raises:
        ValueError: it is not JSON; `json.JSONDecodeError` says where.
    """
    text = body.decode(errors="surrogateescape").removeprefix(_BYTE_ORDER_MARK)
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return deep_json.decode(text, _DECODER, MAXIMUM_JSON_DEPTH)


def parse_object(body: bytes) -> JsonObject:
    """The JSON object in `body`; numbers with a fraction or exponent are `Decimal`, others `int`, odd ones `OddNumber`.

    Raises:
        DataError: `body` is not JSON, or its top is no object.
    """
    try:
        parsed = _parse(body)
    except ValueError:
        raise DataError("the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise DataError("the body is not a JSON object")
    return parsed


def require_json(body: bytes, what: str) -> None:
    """Pass one whole JSON text; `what` names the answer in the error.

    Raises:
        UnavailableError: it is not JSON, or broke off.
    """
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        # Stricter than `_parse`, which has the last word, and many times faster.
        try:
            _parse(body)
        except ValueError as error:
            raise UnavailableError(f"{what} {_fault(error)}") from None


def _fault(error: ValueError) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "is nested too deep"
    if not error.doc.strip():
        return "is empty"
    broke_off = error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip())
    return "broke off" if broke_off else "is not JSON"


def is_json(body: bytes) -> bool:
    """Whether `body` is one whole JSON text: a body that broke off is not."""
    try:
        require_json(body, "")
    except UnavailableError:
        return False
    return True


def digest_page(body: bytes) -> bytes:
    """16 bytes of SHA-256: every idle poll digests a page, and processors have instructions for this one."""
    return sha256(body).digest()[:DIGEST_BYTES]


def digest_value(value: object) -> bytes:
    """The digest of a parsed value's canonical JSON: keys sorted, no white space, numbers with the scale stated."""
    return blake2b(_canonical(value), digest_size=DIGEST_BYTES).digest()


def content_of(value: object) -> str | None:
    """A parsed value as text, to be kept beside why it is not understood; None where it is too long for that."""
    canonical = _canonical(value)
    return canonical.decode(errors="backslashreplace") if len(canonical) <= MAXIMUM_QUARANTINED_BYTES else None


def _canonical(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=_number, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        # Integers beyond 64 bits, odd numbers, lone surrogates, deep nesting: no recursion, and any text has bytes.
        return "".join(_parts(value)).encode(errors="surrogatepass")


def _parts(value: object) -> Iterator[str]:
    """The same form without recursion; an odd number is its own text, which no other value has."""
    open_values: list[object] = [value]
    while open_values:
        here = open_values.pop()
        if isinstance(here, _Written):
            yield here
        elif isinstance(here, dict):
            open_values.append(_Written("}"))
            for name in sorted(here, reverse=True):
                open_values += [here[name], _Written(f"{json.dumps(name)}:"), _Written(",")]
            if here:
                open_values.pop()  # no comma before the first
            yield "{"
        elif isinstance(here, list):
            open_values.append(_Written("]"))
            for item in reversed(here):
                open_values += [item, _Written(",")]
            if here:
                open_values.pop()  # no comma before the first
            yield "["
        else:
            yield _scalar(here)


class _Written(str):
    """A part of the canonical form that stands as it is."""

    __slots__ = ()


def _scalar(value: object) -> str:
    if isinstance(value, OddNumber):
        return f"odd {value.literal}"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


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
