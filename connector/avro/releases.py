"""Released versions of the schemas, kept beside them: `released/<name>/<n>.avsc`, each a copy of what was released.

A name is the path of a schema without its ending: `lending`, `state/entity`. What any release wrote is readable for
ever, and what is written now is readable by whoever has a release: `check` proves both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from connector.avro.compatibility import Fault, changed_meaning, unreadable
from connector.avro.schema_tree import Node, parse
from connector.errors import DataError

IDENTITY: Final = ("event_id", "event_type", "op", "account_id", "entity_id", "entity_version", "sequence", "epoch")
"""Fields of every envelope that say which change it is. A forgotten one must fail, not become 0: none has a default."""

_RELEASED: Final = "released"
_STATE: Final = "state/"
_UNFIT: Final = (SchemaParseException, UnknownType, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: in which file, where in it, against which release (None: by itself), and what to do."""

    file: str
    path: str
    release: int | None
    what: str
    remedy: str

    def __str__(self) -> str:
        """As one line."""
        place = f"{self.file}: {self.path}" if self.path else self.file
        against = f" (release {self.release})" if self.release is not None else ""
        return f"{place}{against}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Standing:
    """The numbers of a schema's releases, and whether it differs from the last one (if only in a doc)."""

    name: str
    releases: tuple[int, ...]
    changed: bool


def schema_names(directory: Path) -> tuple[str, ...]:
    """The schemas of a directory: those of events, then those of state."""
    paths = [*sorted(directory.glob("*.avsc")), *sorted((directory / _STATE).glob("*.avsc"))]
    return tuple(path.relative_to(directory).with_suffix("").as_posix() for path in paths)


def released(directory: Path, name: str) -> dict[int, Path]:
    """The files of a schema's releases, by number, oldest first."""
    paths = (directory / _RELEASED / name).glob("*.avsc")
    return dict(sorted((int(path.stem), path) for path in paths))


def standing(directory: Path) -> tuple[Standing, ...]:
    """How each schema of a directory stands."""
    found = []
    for name in schema_names(directory):
        paths = released(directory, name)
        last = list(paths.values())[-1:]
        changed = not last or last[0].read_bytes() != _present(directory, name).read_bytes()
        found.append(Standing(name, tuple(paths), changed))
    return tuple(found)


def release(directory: Path) -> tuple[Path, ...]:
    """Keep each schema that differs from its last release as the next one; the files made.

    Raises:
        DataError: the schemas break an earlier release; nothing was made.
    """
    findings = check(directory)
    if findings:
        raise DataError(f"nothing is released: {findings[0]}")
    made = []
    for one in standing(directory):
        if one.changed:
            path = directory / _RELEASED / one.name / f"{max(one.releases, default=0) + 1}.avsc"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_present(directory, one.name).read_bytes())
            made.append(path)
    return tuple(made)


def check(directory: Path) -> tuple[Finding, ...]:
    """Is every schema compatible with every release of it, both ways (FULL_TRANSITIVE), and is what it means the same?

    Empty when all is well.
    """
    findings: list[Finding] = []
    names = schema_names(directory)
    for name in names:
        findings += _check_one(directory, name)
    once = {_released_name(directory, path) for path in (directory / _RELEASED).rglob("*.avsc")}
    findings += [
        Finding(f"{gone}.avsc", "", None, "it was released and is gone", "put it back: what it wrote is still read")
        for gone in sorted(once.difference(names))
    ]
    return tuple(findings)


def load(path: Path) -> dict[str, Any]:
    """A schema as its file has it.

    Raises:
        ValueError: it is no JSON object, or no Avro schema.
    """
    schema = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(schema, dict):
        raise ValueError("it is no record")  # noqa: TRY004  # what is wrong is the file, not a type of ours
    try:
        fastavro.parse_schema(json.loads(json.dumps(schema)))
    except _UNFIT as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return schema


def _check_one(directory: Path, name: str) -> Iterator[Finding]:
    file = f"{name}.avsc"
    present = _tree(_present(directory, name))
    if isinstance(present, str):
        yield Finding(file, "", None, f"it is no Avro schema: {present}", "mend it")
        return
    if not name.startswith(_STATE):
        for field in present.fields:
            if field.name in IDENTITY and field.has_default:
                yield Finding(
                    file, field.name, None, "it has a default", "take it away: a forgotten one must fail, not become 0"
                )
    for number, path in released(directory, name).items():
        earlier = _tree(path)
        if isinstance(earlier, str):
            yield Finding(
                path.relative_to(directory).as_posix(), "", None, f"it is no Avro schema: {earlier}", "restore it"
            )
            continue
        for fault in incompatibilities(present, earlier):
            yield Finding(file, fault.path, number, fault.what, fault.remedy)


def incompatibilities(present: Node, earlier: Node) -> list[Fault]:
    """Everything that keeps two versions from standing for one another; each field's faults of one sort, once."""
    told = changed_meaning(present, earlier)
    for whose, faults in (
        ("what the release wrote cannot be read", unreadable(present, earlier)),
        ("what is written now cannot be read with the release", unreadable(earlier, present)),
    ):
        known = {fault.path for fault in told}
        told += [Fault(one.path, f"{whose}: {one.what}", one.remedy) for one in faults if one.path not in known]
    return told


def _present(directory: Path, name: str) -> Path:
    return directory / f"{name}.avsc"


def _released_name(directory: Path, path: Path) -> str:
    return path.parent.relative_to(directory / _RELEASED).as_posix()


def _tree(path: Path) -> Node | str:
    """The schema of a file; where it is none, why."""
    try:
        return parse(load(path))
    except ValueError as error:
        return str(error)
