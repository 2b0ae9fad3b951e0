"""A hunt for secrets and personal data in whatever the connector leaves behind, in every form they could take."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SHORTEST = 5
_OPAQUE = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{64})(?![0-9a-f])")
"""Digests and tokens of ours: among thousands of them, six given digits stand somewhere by chance."""


@dataclass(frozen=True)
class Find:
    """Something was found. `what` names the secret, not its value."""

    what: str
    form: str
    place: str


class Quarry:
    """What must not be found: names of secrets, and the forms in which each could appear."""

    def __init__(self) -> None:
        self._forms: dict[bytes, tuple[str, str]] = {}

    def add(self, what: str, *values: str) -> None:
        """Hunt for `values` too."""
        for value in values:
            for spelling in _spellings(value):
                for form, needle in _encodings(spelling):
                    self._forms.setdefault(needle, (what, form))

    def hunt(self, place: str, haystack: bytes | str) -> set[Find]:
        """What of it is in `haystack`, letter case aside."""
        raw = haystack if isinstance(haystack, bytes) else haystack.encode("utf-8", "surrogateescape")
        lowered = raw.lower()
        without_digests = _OPAQUE.sub(b"", lowered)

        def stands(needle: bytes, form: str) -> bool:
            if form.startswith("base64"):
                return needle in raw
            return needle.lower() in (without_digests if needle.isdigit() else lowered)

        return {Find(what, form, place) for needle, (what, form) in self._forms.items() if stands(needle, form)}

    def __len__(self) -> int:
        return len(self._forms)


def _spellings(value: str) -> Iterator[str]:
    """The value, and what is left of it without dashes, spaces and a country code."""
    plain = re.sub(r"[\s+-]", "", value)
    yield value
    yield plain
    if plain.startswith("92") and plain.isdigit():
        yield f"0{plain[2:]}"
        yield plain[2:]


def _encodings(value: str) -> Iterator[tuple[str, bytes]]:
    if len(value) < SHORTEST:
        raise ValueError("too short to be hunted without finding it everywhere")
    raw = value.encode()
    yield "utf-8", raw
    yield "utf-16-le", value.encode("utf-16-le")
    yield "utf-16-be", value.encode("utf-16-be")
    yield "hex", raw.hex().encode()
    yield "percent", quote(value, safe="").encode()
    yield "json", json.dumps(value)[1:-1].encode()
    yield "reversed", raw[::-1]
    for shift in range(3):
        # Base64 looks different at each of three alignments; the letters that depend on the neighbours are cut off.
        coded = base64.b64encode(b"\0" * shift + raw)
        core = coded[(0, 2, 3)[shift] : len(coded) - (0, 4, 3)[len(b"\0" * shift + raw) % 3]]
        if len(core) >= SHORTEST + 1:
            yield f"base64/{shift}", core
            yield f"base64url/{shift}", core.replace(b"+", b"-").replace(b"/", b"_")


def files(directory: Path) -> Iterable[Path]:
    """Every file under `directory`."""
    return sorted(path for path in directory.rglob("*") if path.is_file())
