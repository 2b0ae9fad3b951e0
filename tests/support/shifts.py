"""Ways in which one field of an answer may shift, and every field that an answer has. Nothing is changed in place.

`planted` marks what must never be repeated in a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
Shift: TypeAlias = Callable[[dict[str, Any], str], None]


def _remove(item: dict[str, Any], field: str) -> None:
    del item[field]


def _rename(item: dict[str, Any], field: str) -> None:
    item[f"{field}_new"] = item.pop(field)


def _retype(item: dict[str, Any], field: str) -> None:
    item[field] = {"planted": "planted"}


def _mistype(item: dict[str, Any], field: str) -> None:
    """The same value in a type that a careless release might give it; for null, one of a type that nothing has."""
    value = item[field]
    if value is None:
        item[field] = True
    elif isinstance(value, str):
        item[field] = [value]
    elif isinstance(value, list):
        item[field] = {"0": value}
    elif isinstance(value, dict):
        item[field] = [value]
    else:
        item[field] = str(value).lower()


def _revalue(item: dict[str, Any], field: str) -> None:
    """Another value of the same type and form, where there is one to change."""
    value = item[field]
    if isinstance(value, bool):
        item[field] = not value
    elif isinstance(value, int | Decimal):
        item[field] = value + 1
    elif isinstance(value, str):
        item[field] = _neighbour(value)


def _neighbour(text: str) -> str:
    """`text` with its last letter or digit moved on by one; the Z of a time stays."""
    end = len(text.removesuffix("Z")) if "T" in text and ":" in text else len(text)
    place = max((number for number, sign in enumerate(text[:end]) if sign.isascii() and sign.isalnum()), default=None)
    if place is None:
        return f"{text}x"
    sign = text[place]
    after = {"9": "0", "z": "a", "Z": "A"}.get(sign) or chr(ord(sign) + 1)
    return text[:place] + after + text[place + 1 :]


SHIFTS: dict[str, Shift] = {"missing": _remove, "renamed": _rename, "retyped": _retype}
ALL_SHIFTS: dict[str, Shift] = {**SHIFTS, "mistyped": _mistype, "revalued": _revalue}


def fields_of(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of every field of every object in `value`, outermost first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        if isinstance(key, str):
            yield (*at, key)
        yield from fields_of(item, (*at, key))


def shifted(value: Any, path: Path, shift: str) -> Any:
    """A copy of `value` in which one field has shifted."""
    copy = deepcopy(value)
    item = copy
    for key in path[:-1]:
        item = item[key]
    ALL_SHIFTS[shift](item, str(path[-1]))
    return copy
