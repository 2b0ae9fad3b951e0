"""An Avro schema as a tree in which every name is resolved (Avro 1.12, "Names" and "Schema declaration").

Pure. A named type is one node, however often it is referred to; recursive types are circles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED: Final = frozenset({"record", "error", "enum", "fixed"})
_PARTS: Final = {"array": "items", "map": "values"}
_MEANINGS: Final = ("logicalType", "precision", "scale", "pii")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. `has_default` tells a default of null from none."""

    name: str
    type: Node
    aliases: frozenset[str]
    has_default: bool


@dataclass(slots=True, eq=False)
class Node:
    """One type. What its kind does not have is empty.

    `name` is the full name of a named type; `inner` are the branches of a union, or the one type of an array's items or
    a map's values; `meaning` is what the type says beyond its bytes: logical type, precision, scale, tag of personal
    data.
    """

    kind: str
    name: str = ""
    aliases: frozenset[str] = frozenset()
    fields: tuple[Field, ...] = ()
    inner: tuple[Node, ...] = ()
    symbols: tuple[str, ...] = ()
    default_symbol: str | None = None
    size: int = 0
    meaning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short_name(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition(".")[2]

    def field(self, name: str) -> Field | None:
        """The field of that very name."""
        return next((one for one in self.fields if one.name == name), None)

    def __str__(self) -> str:
        """As a person would call it: `decimal(18,2)`, `array of string`, `null or long`."""
        if self.kind == "union":
            return " or ".join(str(one) for one in self.inner)
        if self.kind in {"array", "map"}:
            return f"{self.kind} of {self.inner[0]}"
        if self.meaning.get("logicalType") == "decimal":
            return f"decimal({self.meaning['precision']},{self.meaning['scale']})"
        return str(self.meaning.get("logicalType", f"{self.kind} {self.name}".rstrip()))


def parse(schema: Any) -> Node:  # noqa: ANN401  # a schema, as JSON has it
    """The tree of a schema.

    Raises:
        ValueError: it is none, or refers to a type that it does not define before.
    """
    return _parse(schema, "", {})


def _parse(schema: Any, namespace: str, known: dict[str, Node]) -> Node:  # noqa: ANN401  # likewise
    if isinstance(schema, list):
        return Node("union", inner=tuple(_parse(branch, namespace, known) for branch in schema))
    if isinstance(schema, str):
        return _reference(schema, namespace, known)
    if not isinstance(schema, dict) or "type" not in schema:
        raise ValueError(f"a {type(schema).__name__} where a type should be")
    kind = schema["type"] if isinstance(schema["type"], str) else ""
    if kind in NAMED:
        return _named(schema, namespace, known)
    if kind in _PARTS:
        return Node(kind, inner=(_parse(schema[_PARTS[kind]], namespace, known),), meaning=_meaning(schema))
    if kind in PRIMITIVES:
        return Node(kind, meaning=_meaning(schema))
    return _parse(schema["type"], namespace, known)


def _reference(name: str, namespace: str, known: Mapping[str, Node]) -> Node:
    if name in PRIMITIVES:
        return Node(name)
    full = _full(name, namespace)
    if full not in known:
        raise ValueError(f"the type {full} is not defined before it is used")
    return known[full]


def _named(schema: Mapping[str, Any], namespace: str, known: dict[str, Node]) -> Node:
    name = _full(schema["name"], schema.get("namespace", namespace))
    inside = name.rpartition(".")[0]
    node = known[name] = Node(
        schema["type"].replace("error", "record"),
        name,
        aliases=frozenset(_full(alias, inside) for alias in schema.get("aliases", ())),
        symbols=tuple(schema.get("symbols", ())),
        default_symbol=schema.get("default"),
        size=schema.get("size", 0),
        meaning=_meaning(schema),
    )
    # Known before its fields are looked at: they may hold one of its own kind.
    node.fields = tuple(
        Field(
            name=one["name"],
            type=_parse(one["type"], inside, known),
            aliases=frozenset(one.get("aliases", ())),
            has_default="default" in one,
        )
        for one in schema.get("fields", ())
    )
    return node


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _meaning(schema: Mapping[str, Any]) -> dict[str, Any]:
    meaning = {name: schema[name] for name in _MEANINGS if name in schema}
    return {"scale": 0, **meaning} if meaning.get("logicalType") == "decimal" else meaning
