"""What may not change between two versions of a schema: Avro's rules of resolution, and what they let through.

Pure. `unreadable` is Avro 1.12, "Schema resolution", asked of the schemas instead of the data: would every value of the
writer be readable by the reader? A named type is matched by its full name or an alias of it: where the specification
lets the namespace differ, its implementations do not agree. `changed_meaning` is what no registry looks at: bytes that
are read without an error and say something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connector.avro.schema_tree import Field, Node

_PROMOTIONS: Final = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_NEW_FIELD: Final = "give it back what it was, and put the new form into a new field"
_MEANING_NAMES: Final = {
    "logicalType": "logical type",
    "precision": "precision",
    "scale": "scale",
    "pii": "tag of personal data (pii)",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that may not be. `path` are names of fields, from the outermost in; empty for the schema itself."""

    path: str
    what: str
    remedy: str


def unreadable(reader: Node, writer: Node) -> list[Fault]:
    """Why a reader could not read everything that the writer writes; empty when it can."""
    return list(_Resolution().resolve(reader, writer, ""))


class _Resolution:
    """One comparison; each pair of records is looked at once, and so circles end."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def resolve(self, reader: Node, writer: Node, path: str) -> Iterator[Fault]:
        if writer.kind == "union":
            for branch in writer.inner:
                yield from self.resolve(reader, branch, path)
        elif reader.kind == "union":
            chosen = next((branch for branch in reader.inner if _matches(branch, writer)), None)
            if chosen is None:
                yield _mismatch(reader, writer, path)
            else:
                yield from self.resolve(chosen, writer, path)
        elif reader.kind == writer.kind in {"array", "map"}:
            yield from self.resolve(reader.inner[0], writer.inner[0], f"{path}[]")
        elif not _matches(reader, writer):
            yield _mismatch(reader, writer, path)
        elif reader.kind == "record":
            yield from self._fields(reader, writer, path)
        elif reader.kind == "enum":
            yield from _symbols(reader, writer, path)

    def _fields(self, reader: Node, writer: Node, path: str) -> Iterator[Fault]:
        if (id(reader), id(writer)) in self._seen:
            return
        self._seen.add((id(reader), id(writer)))
        for field in reader.fields:
            written = _written_field(writer, field)
            where = joined(path, field.name)
            if written is not None:
                yield from self.resolve(field.type, written.type, where)
            elif not field.has_default:
                yield Fault(
                    where,
                    "it has no default and is not in what is read",
                    'a field added later needs one: make its type a union with null, "default": null',
                )


def _symbols(reader: Node, writer: Node, path: str) -> Iterator[Fault]:
    lost = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if lost and reader.default_symbol is None:
        yield Fault(
            path,
            f"the enum {reader.name} lacks {', '.join(lost)} and has no default",
            "keep every symbol, and give an enum a default before symbols are added",
        )


def _written_field(writer: Node, field: Field) -> Field | None:
    return writer.field(field.name) or next((one for one in writer.fields if one.name in field.aliases), None)


def _matches(reader: Node, writer: Node) -> bool:
    """Is the writer's type one that the reader's may be resolved against? Says nothing of what is inside of records."""
    if "union" in {reader.kind, writer.kind}:
        return True
    if reader.kind != writer.kind:
        return reader.kind in _PROMOTIONS.get(writer.kind, ())
    if reader.kind in {"array", "map"}:
        return _matches(reader.inner[0], writer.inner[0])
    if reader.kind in {"record", "enum", "fixed"}:
        return (writer.name == reader.name or writer.name in reader.aliases) and reader.size == writer.size
    return True


def _mismatch(reader: Node, writer: Node, path: str) -> Fault:
    return Fault(path, f"it is written as {writer} and read as {reader}", _NEW_FIELD)


def joined(path: str, name: str) -> str:
    """The path of a field within what is at `path`."""
    return f"{path}.{name}" if path else name


# ── What Avro lets through ──────────────────────────────────────────────────────────────────────────────────────────


def changed_meaning(present: Node, released: Node) -> list[Fault]:
    """What became of a released type without its bytes becoming unreadable.

    A field that is gone (its readers would be given the default for ever), another logical type, precision or scale
    (the same bytes are another amount), another tag of personal data (what was to be sealed is not).
    """
    return list(_Meaning().compare(present, released, ""))


class _Meaning:
    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def compare(self, present: Node, released: Node, path: str) -> Iterator[Fault]:
        if "union" in {present.kind, released.kind}:
            yield from self._branches(present, released, path)
        elif present.kind == released.kind in {"array", "map"}:
            yield from self.compare(present.inner[0], released.inner[0], f"{path}[]")
        elif present.kind == released.kind == "record":
            if (id(present), id(released)) not in self._seen:
                self._seen.add((id(present), id(released)))
                yield from self._fields(present, released, path)
        elif present.kind != released.kind:
            # Text and bytes are promoted to each other, whatever the bytes are.
            yield Fault(path, f"its type was {released} and is {present}", _NEW_FIELD)
        for name, words in _MEANING_NAMES.items():
            was, became = released.meaning.get(name), present.meaning.get(name)
            if was != became:
                yield Fault(path, f"its {words} was {_said(was)} and is {_said(became)}", _NEW_FIELD)

    def _branches(self, present: Node, released: Node, path: str) -> Iterator[Fault]:
        """Each released branch with the one that it is read as now; what has none, `unreadable` tells."""
        now = present.inner if present.kind == "union" else (present,)
        for was in released.inner if released.kind == "union" else (released,):
            fitting = [branch for branch in now if _matches(branch, was)]
            became = next((branch for branch in fitting if branch.kind == was.kind), next(iter(fitting), None))
            if became is not None:
                yield from self.compare(became, was, path)

    def _fields(self, present: Node, released: Node, path: str) -> Iterator[Fault]:
        for was in released.fields:
            became = present.field(was.name)
            where = joined(path, was.name)
            if became is None:
                yield Fault(
                    where,
                    "it is gone: its readers would be given its default for ever, or fail",
                    "a field stays once it is released, under its name; what has nothing to say any more is null",
                )
            else:
                yield from self.compare(became.type, was.type, where)


def _said(value: object) -> str:
    return "none" if value is None else str(value)
