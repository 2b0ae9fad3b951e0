"""How the second bank prints what it knows: everything that the contract leaves open, as knobs."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from random import Random
from typing import Any, Literal

from tests.second_bank.books import KARACHI


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of JSON text, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Manner:
    """The defaults are the plainest; every other value is as legal.

    `times` counts for the bank's own times: those of the contract's LocalInstant. `short_pages`: a page holds no more
    entries than that, whatever was asked for. `odd_fields` adds fields that no client knows, with numbers beyond any
    double and halves of emoji in them.
    """

    amounts: Literal["plain", "scale3", "exponent", "short"] = "plain"
    times: Literal["karachi", "fraction", "utc", "elsewhere"] = "karachi"
    encoding: Literal["identity", "gzip", "members"] = "identity"
    pieces: bool = False
    tags: Literal["strong", "weak", "none"] = "strong"
    short_pages: int | None = None
    cursor_length: int = 24
    shuffled: bool = False
    odd_fields: bool = False
    header_case: Literal["lower", "Title", "UPPER"] = "lower"

    def amount(self, value: Decimal) -> Raw:
        """Rupees as a JSON number."""
        if self.amounts == "exponent":
            return Raw(f"{int(value.scaleb(2))}E-2")
        if self.amounts == "short" and value == value.to_integral_value():
            return Raw(str(int(value)))
        return Raw(f"{value:.3f}" if self.amounts == "scale3" else f"{value:.2f}")

    def local(self, at: datetime) -> str:
        """A time of the bank."""
        if self.times == "utc":
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.times == "elsewhere":
            return at.astimezone(timezone(timedelta(hours=-3, minutes=-30))).isoformat(timespec="seconds")
        form = "milliseconds" if self.times == "fraction" else "seconds"
        return at.astimezone(KARACHI).isoformat(timespec=form)

    def utc(self, at: datetime) -> str:
        """A time of Z-Miles."""
        fraction = ".000" if self.times == "fraction" else ""
        return at.astimezone(UTC).strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z")

    def text(self, value: Any, seed: int) -> str:
        """`value` as JSON."""
        return _text(value, Random(seed) if self.shuffled else None, odd=self.odd_fields)

    def encoded(self, body: bytes) -> tuple[bytes, str | None]:
        """The body as it travels, and its content encoding."""
        if self.encoding == "identity":
            return body, None
        half = len(body) // 2
        parts = [body] if self.encoding == "gzip" else [body[:half], body[half:]]
        return b"".join(gzip.compress(part, mtime=0) for part in parts), "gzip"

    def header(self, name: str) -> str:
        """A header's name."""
        return {"lower": name.lower(), "Title": name.title(), "UPPER": name.upper()}[self.header_case]


def _text(value: Any, random: Random | None, *, odd: bool) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list):
        return "[" + ",".join(_text(one, random, odd=odd) for one in value) + "]"
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if not isinstance(value, dict):
        return json.dumps(value)
    parts = [f"{encode_basestring_ascii(name)}:{_text(one, random, odd=odd)}" for name, one in value.items()]
    if odd:
        parts += ['"x_limit":1e400', '"x_mood":"\\ud83d"', '"x_more":{"deep":[null,1e400]}']
    if random is not None:
        random.shuffle(parts)
    return "{" + ",".join(parts) + "}"
