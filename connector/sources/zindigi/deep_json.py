"""JSON that is nested too deep for a recursion: the same values as `json` gives, from a loop. Pure.

Nobody sends such an answer in earnest, and `json` would take any other one faster.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

Json: TypeAlias = object

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_OPENING: Final = {"[": "]", "{": "}"}


def decode(text: str, decoder: json.JSONDecoder, maximum_depth: int) -> Json:
    """The value that `text` states, its scalars read by `decoder`.

    Raises:
        ValueError: it is not JSON (`json.JSONDecodeError`), or nested deeper than `maximum_depth`.
    """
    return _Reader(text, decoder, maximum_depth).whole()


class _Reader:
    """Reads one text. `_open` holds the lists and objects that are not yet closed, each with the name to fill next."""

    def __init__(self, text: str, decoder: json.JSONDecoder, maximum_depth: int) -> None:
        self._text = text
        self._decoder = decoder
        self._maximum_depth = maximum_depth
        self._at = 0
        self._open: list[tuple[list[Json] | dict[str, Json], list[str]]] = []

    def whole(self) -> Json:
        top: list[Json] = []
        self._value(top, [])
        while self._open:
            container, name = self._open[-1]
            closing = "]" if isinstance(container, list) else "}"
            sign = self._sign()
            if sign == closing:
                self._at += 1
                self._open.pop()
                continue
            if container:
                self._take(",", sign)
                sign = self._sign()
            if isinstance(container, dict):
                self._take('"', sign)
                name[:] = [str(self._scalar())]
                self._take(":", self._sign())
            self._value(container, name)
        if self._sign():
            raise self._fault("Extra data")
        return top[0]

    def _value(self, container: list[Json] | dict[str, Json], name: list[str]) -> None:
        """Read a value into `container`, or open it."""
        sign = self._sign()
        value: Json
        opened: list[Json] | dict[str, Json]
        if sign in _OPENING:
            if len(self._open) >= self._maximum_depth:
                raise ValueError("nested too deep")
            self._at += 1
            value = opened = [] if sign == "[" else {}
            self._open.append((opened, []))
        else:
            value = self._scalar()
        if isinstance(container, list):
            container.append(value)
        else:
            container[name[0]] = value

    def _scalar(self) -> Json:
        """A text, number or word: what `decoder` reads without opening anything."""
        try:
            value, self._at = self._decoder.scan_once(self._text, self._at)  # type: ignore[attr-defined]  # no stub
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", self._text, stop.value) from None
        return value

    def _sign(self) -> str:
        """The next character that is no space, not yet taken; empty at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str, sign: str) -> None:
        if sign != wanted:
            raise self._fault(f"Expecting {wanted!r}")
        if wanted != '"':
            self._at += 1

    def _fault(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._at)
