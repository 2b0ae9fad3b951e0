"""The check of schemas against Avro itself: whenever it says yes, fastavro reads what the other version wrote."""

from __future__ import annotations

import io
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC
from typing import Any, cast

import fastavro
import pytest
from hypothesis import Phase, event, find, given, settings
from hypothesis import strategies as st

from connector.avro.compatibility import changed_meaning
from connector.avro.releases import incompatibilities
from connector.avro.schema_tree import parse

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL = (
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "int", "logicalType": "date"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
    {"type": "string", "pii": "name"},
)
FIELD_NAMES = ("a", "b", "c", "d")
SYMBOLS = ("A", "B", "C")


class Names:
    """Names that no type has yet."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"


def types(names: Names, depth: int = 2) -> st.SearchStrategy[Any]:
    simple = [st.sampled_from(PRIMITIVES), st.sampled_from(LOGICAL).map(deepcopy), enums(names), fixed(names)]
    if depth == 0:
        return st.one_of(simple)
    inner = st.deferred(lambda: types(names, depth - 1))
    arrays = inner.map(lambda items: {"type": "array", "items": items})
    maps = inner.map(lambda values: {"type": "map", "values": values})
    return st.one_of([*simple, arrays, maps, unions(names, depth - 1), records(names, depth - 1)])


@st.composite
def enums(draw: st.DrawFn, names: Names) -> Any:
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))
    default = {"default": symbols[0]} if draw(st.booleans()) else {}
    return {"type": "enum", "name": names("E"), "symbols": symbols, **default}


@st.composite
def fixed(draw: st.DrawFn, names: Names) -> Any:
    return {"type": "fixed", "name": names("F"), "size": draw(st.integers(1, 3))}


@st.composite
def unions(draw: st.DrawFn, names: Names, depth: int) -> list[Any]:
    branches: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 3))):
        branch = draw(types(names, depth))
        if not isinstance(branch, list):
            kind = branch if isinstance(branch, str) else branch["type"]
            if {kind, *branches} >= {"bytes", "string"}:
                continue  # fastavro takes the first of the two that comes, whichever was written
            branches.setdefault(branch["name"] if kind in {"record", "enum", "fixed"} else kind, branch)
    return list(branches.values()) or ["null"]


@st.composite
def records(draw: st.DrawFn, names: Names, depth: int) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(FIELD_NAMES), min_size=1, unique=True))
    return {
        "type": "record",
        "name": names("R"),
        "fields": [{"name": name, "type": draw(types(names, depth))} for name in chosen],
    }


def within(schema: Any) -> list[Any]:
    """Every record, enum and fixed type in a schema."""
    if isinstance(schema, list):
        return [one for branch in schema for one in within(branch)]
    if not isinstance(schema, dict):
        return []
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[name] for name in ("items", "values") if name in schema]
    own = [schema] if schema["type"] in {"record", "enum", "fixed"} else []
    return own + [one for part in inner for one in within(part)]


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema and what became of it: anything from nothing at all to what breaks every reader."""
    names = Names()
    released = draw(records(names, 2))
    present = deepcopy(released)
    for _ in range(draw(st.integers(0, 3))):
        change(draw, names, draw(st.sampled_from(within(present))))
    return released, present


def change(draw: st.DrawFn, names: Names, kind: Any) -> None:
    if kind["type"] == "enum":
        kind["symbols"] = draw(st.permutations(sorted({*kind["symbols"], draw(st.sampled_from(SYMBOLS))})))
        return
    if kind["type"] == "fixed":
        kind["size"] = draw(st.integers(1, 3))
        return
    fields = kind["fields"]
    field = draw(st.sampled_from(fields))
    free = [name for name in FIELD_NAMES if name not in {one["name"] for one in fields}]
    match draw(
        st.sampled_from(
            ["add", "add with default", "add with default", "remove", "retype", "widen", "shuffle", "alias"]
        )
    ):
        case "add" if free:
            fields.append({"name": free[0], "type": draw(types(names, 1))})
        case "add with default" if free:
            addition, default = draw(
                st.sampled_from([(["null", "string"], None), ("int", 7), ({"type": "array", "items": "long"}, [])])
            )
            fields.append({"name": free[0], "type": deepcopy(addition), "default": default})
        case "remove" if len(fields) > 1:
            fields.remove(field)
        case "retype":
            field.pop("default", None)
            field["type"] = draw(types(names, 1))
        case "widen" if field["type"] in ("int", "long", "float"):
            field.pop("default", None)
            field["type"] = draw(st.sampled_from(["long", "double", ["null", field["type"]]]))
        case "alias" if free:
            field["aliases"] = [field["name"]]
            field["name"] = free[0]
        case _:
            kind["fields"] = draw(st.permutations(fields))


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.binary(max_size=4),
    "string": st.text(max_size=4),
    "timestamp-micros": st.datetimes(timezones=st.just(UTC)),
    "date": st.dates(),
}


def data(schema: Any) -> st.SearchStrategy[Any]:
    if isinstance(schema, str):
        return SCALARS[schema]
    if isinstance(schema, list):
        return st.one_of([data(branch) for branch in schema])
    kind = schema.get("logicalType", schema["type"])
    parts: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "decimal": lambda: st.decimals("-999999", "999999", places=schema["scale"]),
        "enum": lambda: st.sampled_from(schema["symbols"]),
        "fixed": lambda: st.binary(min_size=schema["size"], max_size=schema["size"]),
        "array": lambda: st.lists(data(schema["items"]), max_size=3),
        "map": lambda: st.dictionaries(st.text(max_size=3), data(schema["values"]), max_size=3),
        "record": lambda: st.fixed_dictionaries({field["name"]: data(field["type"]) for field in schema["fields"]}),
    }
    return parts[kind]() if kind in parts else SCALARS[kind]


def allowed(present: Any, released: Any) -> bool:
    return not incompatibilities(parse(present), parse(released))


def reread(writer: Any, reader: Any, datum: Any) -> Any:
    """What Avro hands out of a datum that was written with one schema and is read with another."""
    parsed = [cast("Any", fastavro.parse_schema(deepcopy(one))) for one in (writer, reader)]
    written = io.BytesIO()
    fastavro.schemaless_writer(written, parsed[0], datum)
    written.seek(0)
    read = fastavro.schemaless_reader(written, *parsed)
    assert not written.read()
    return read


@given(evolutions())
def test_every_schema_is_compatible_with_itself(pair: tuple[Any, Any]) -> None:
    for schema in pair:
        assert incompatibilities(parse(schema), parse(deepcopy(schema))) == []


@given(evolutions(), st.data())
def test_what_is_allowed_is_read_both_ways(pair: tuple[Any, Any], drawn: st.DataObject) -> None:
    released, present = pair
    yes = allowed(present, released)
    event(f"allowed {yes}, changed {present != released}")
    if not yes:
        return
    before, after = drawn.draw(data(released)), drawn.draw(data(present))
    fastavro.validate(reread(released, present, before), fastavro.parse_schema(deepcopy(present)))
    fastavro.validate(reread(present, released, after), fastavro.parse_schema(deepcopy(released)))


@given(evolutions())
def test_it_does_not_matter_which_of_two_versions_is_the_later_one(pair: tuple[Any, Any]) -> None:
    """FULL is symmetric, but that a field may be added and never taken away."""
    released, present = pair
    if allowed(present, released):
        gone = [fault for fault in incompatibilities(parse(released), parse(present)) if "it is gone" not in fault.what]
        assert gone == []


def test_the_evolutions_hold_changes_that_are_allowed() -> None:
    find(evolutions(), lambda pair: pair[0] != pair[1] and allowed(pair[1], pair[0]))


def test_a_check_that_forgets_resolution_is_found_out() -> None:
    @given(evolutions(), st.data())
    @settings(max_examples=300, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    def lax(pair: tuple[Any, Any], drawn: st.DataObject) -> None:
        released, present = pair
        if not changed_meaning(parse(present), parse(released)):
            reread(released, present, drawn.draw(data(released)))

    with pytest.raises(Exception, match=r"(?i)default value|mismatch|symbol"):
        lax()
