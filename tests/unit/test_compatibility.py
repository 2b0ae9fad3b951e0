"""What a schema may not do to its releases: each way of breaking one is refused, and says where and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from connector.avro import schema_directory
from connector.avro.compatibility import changed_meaning, unreadable
from connector.avro.releases import check, incompatibilities, load, release, released, schema_names, standing
from connector.avro.schema_tree import parse
from connector.errors import DataError
from tests.support.schema_changes import edit, field_of, schemas_copy

Schema = dict[str, Any]
Change = Callable[[Schema], object]

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}


def set_type(path: str, kind: Any) -> Change:
    return lambda schema: field_of(schema, path).update(type=kind)


def remove(path: str) -> Change:
    def change(schema: Schema) -> None:
        above, _, name = path.rpartition(".")
        fields = field_of(schema, above, of_record=True)["fields"]
        fields.remove(next(field for field in fields if field["name"] == name))

    return change


def add(path: str, **field: Any) -> Change:
    above, _, name = path.rpartition(".")
    return lambda schema: field_of(schema, above, of_record=True)["fields"].append(
        {"name": name, "doc": "New.", **field}
    )


def never_null(path: str) -> Change:
    def change(schema: Schema) -> None:
        field = field_of(schema, path)
        field["type"] = field["type"][1]
        del field["default"]

    return change


def rename(path: str, name: str) -> Change:
    return lambda schema: field_of(schema, path).update(name=name, aliases=[path.rpartition(".")[2]])


BREAKING: dict[str, tuple[str, Change, str, str]] = {
    "a removed field": ("lending", remove("before.loan.product"), "before.loan.product", "it is gone"),
    "a removed field without default": ("lending", remove("before.loan.status"), "before.loan.status", "it is gone"),
    "a renamed field": ("lending", rename("before.loan.product", "title"), "before.loan.product", "it is gone"),
    "a removed kind of record": ("lending", remove("before.repayment"), "before.repayment", "it is gone"),
    "another type": ("lending", set_type("before.loan.status", "long"), "before.loan.status", "string"),
    "bytes for text": ("lending", set_type("before.loan.status", "bytes"), "before.loan.status", "was string"),
    "a wider number": ("lending", set_type("entity_version", "double"), "entity_version", "long"),
    "a narrower number": ("lending", set_type("sequence", "int"), "sequence", "was long and is int"),
    "null for what was never null": (
        "lending", set_type("before.loan.status", ["null", "string"]), "before.loan.status", "null",
    ),
    "never null for what was": ("lending", never_null("before.loan.product"), "before.loan.product", "null"),
    "one more branch": (
        "lending", set_type("before.loan.product", ["null", "string", "long"]), "before.loan.product", "long",
    ),
    "a new field without default": (
        "lending", add("before.loan.purpose", type="string"), "before.loan.purpose", "no default",
    ),
    "a new field of the envelope without default": ("lending", add("purpose", type="string"), "purpose", "no default"),
    "another scale": (
        "lending", set_type("before.loan.principal", {**DECIMAL, "scale": 3}), "before.loan.principal",
        "its scale was 2 and is 3",
    ),
    "another precision": (
        "lending", set_type("before.loan.markup", ["null", {**DECIMAL, "precision": 20}]), "before.loan.markup",
        "its precision was 18 and is 20",
    ),
    "no scale": (
        "lending", set_type("before.loan.principal", {**DECIMAL, "scale": 0}), "before.loan.principal",
        "its scale was 2 and is 0",
    ),
    "no logical type": (
        "lending", set_type("before.loan.principal", "bytes"), "before.loan.principal",
        "its logical type was decimal and is none",
    ),
    "another logical type": (
        "lending", set_type("observed_at", {"type": "long", "logicalType": "timestamp-millis"}), "observed_at",
        "its logical type was timestamp-micros and is timestamp-millis",
    ),
    "a logical type where there was none": (
        "lending", set_type("sequence", {"type": "long", "logicalType": "timestamp-micros"}), "sequence",
        "its logical type was none",
    ),
    "another tag of personal data": (
        "transactions", set_type("before.transaction.biller", ["null", {"type": "string", "pii": "name"}]),
        "before.transaction.biller", "(pii) was free_text and is name",
    ),
    "no tag of personal data": (
        "transactions", set_type("before.transaction.iban", "string"), "before.transaction.iban",
        "(pii) was identifier and is none",
    ),
    "a default for an identity field": (
        "lending", lambda schema: field_of(schema, "sequence").update(default=0), "sequence", "it has a default",
    ),
    "another item": (
        "lending", set_type("changed", {"type": "array", "items": "long"}), "changed[]", "was string and is long",
    ),
    "another namespace": (
        "lending", lambda schema: field_of(schema, "source")["type"].update(namespace="x"), "source", "x.Source",
    ),
    "another name": ("state/head", lambda schema: schema.update(name="Tail"), "", "Tail"),
    "a removed field of a state schema": (
        "state/entity", remove("unreadable_digest"), "unreadable_digest", "it is gone",
    ),
}  # fmt: skip

HARMLESS: dict[str, tuple[str, Change]] = {
    "another doc": ("lending", lambda schema: field_of(schema, "before.loan.product").update(doc="Called so.")),
    "a nullable field": ("lending", add("before.loan.purpose", type=["null", "string"], default=None)),
    "a nullable field of the envelope": ("lending", add("purpose", type=["null", "string"], default=None)),
    "a field with a list by default": ("lending", add("notes", type={"type": "array", "items": "string"}, default=[])),
    "another order": ("lending", lambda schema: schema["fields"].sort(key=lambda field: field["name"] == "event_id")),
    "a new alias": ("lending", lambda schema: field_of(schema, "reason").update(aliases=["cause"])),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The schemas as they are, all of them released as 1."""
    directory = schemas_copy(tmp_path / "avro")
    shutil.rmtree(directory / "released")
    release(directory)
    return directory


@pytest.mark.parametrize("name", BREAKING)
def test_it_refuses(copy: Path, name: str) -> None:
    schema, change, path, what = BREAKING[name]
    edit(copy / f"{schema}.avsc", change)
    found = check(copy)
    assert [(one.file, one.path) for one in found][:1] == [(f"{schema}.avsc", path)]
    assert {one.file for one in found} == {f"{schema}.avsc"}
    assert any(what in one.what for one in found if one.path == path), [str(one) for one in found]
    assert all(one.release in {1, None} and one.remedy for one in found)
    with pytest.raises(DataError, match="nothing is released"):
        release(copy)


@pytest.mark.parametrize("name", HARMLESS)
def test_it_allows(copy: Path, name: str) -> None:
    schema, change = HARMLESS[name]
    edit(copy / f"{schema}.avsc", change)
    assert [str(one) for one in check(copy)] == []


def test_a_schema_that_is_gone_is_missed(copy: Path) -> None:
    (copy / "lending.avsc").unlink()
    assert [(one.file, one.what) for one in check(copy)] == [("lending.avsc", "it was released and is gone")]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"type": "record"}', '{"type": "record", "name": "A", "fields": [{}]}', "3"]
)
@pytest.mark.parametrize("file", ["lending.avsc", "released/lending/1.avsc"])
def test_what_is_no_schema_is_named(copy: Path, file: str, text: str) -> None:
    (copy / file).write_text(text, encoding="utf-8")
    assert [(one.file, one.what[:20]) for one in check(copy)] == [(file, "it is no Avro schema")]


def test_every_release_counts_not_only_the_last(copy: Path) -> None:
    """FULL_TRANSITIVE: what the second release does not have, the first one still does."""
    edit(copy / "lending.avsc", add("before.loan.purpose", type=["null", "string"], default=None))
    (made,) = release(copy)
    assert made == copy / "released" / "lending" / "2.avsc"
    remove("before.loan.product")(second := load(made))
    made.write_text(json.dumps(second), encoding="utf-8")
    (copy / "lending.avsc").write_text(json.dumps(second), encoding="utf-8")
    assert [(one.path, one.release) for one in check(copy)] == [("before.loan.product", 1)]


def test_releasing_copies_byte_for_byte_what_changed_and_nothing_else(copy: Path) -> None:
    assert release(copy) == ()
    edit(copy / "state/head.avsc", lambda schema: schema.update(doc="A head."))
    assert [one.name for one in standing(copy) if one.changed] == ["state/head"]
    assert release(copy) == (copy / "released/state/head/2.avsc",)
    assert (copy / "released/state/head/2.avsc").read_bytes() == (copy / "state/head.avsc").read_bytes()
    assert [one.releases for one in standing(copy) if one.name == "state/head"] == [(1, 2)]


def test_releases_are_counted_as_numbers(copy: Path) -> None:
    for number in range(2, 11):
        edit(copy / "lending.avsc", lambda schema, number=number: schema.update(doc=f"Version {number}."))
        release(copy)
    assert list(released(copy, "lending")) == list(range(1, 11))


# ── What is in the tree ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", schema_names(schema_directory()))
def test_every_schema_is_released_and_compatible_with_every_release(name: str) -> None:
    assert released(schema_directory(), name), "run: zindigi schemas release"
    assert [str(one) for one in check(schema_directory()) if one.file == f"{name}.avsc"] == []


# ── Avro's rules of resolution, by themselves ───────────────────────────────────────────────────────────────────────


def record(*fields: Schema, **more: Any) -> Schema:
    return {"type": "record", "name": "R", "fields": list(fields), **more}


def enum(*symbols: str, **more: Any) -> Schema:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int, **more: Any) -> Schema:
    return {"type": "fixed", "name": "F", "size": size, **more}


@pytest.mark.parametrize(
    ("reader", "writer", "readable"),
    [
        ("long", "int", True),
        ("double", "long", True),
        ("double", "float", True),
        ("int", "long", False),
        ("float", "double", False),
        ("bytes", "string", True),
        ("string", "bytes", True),
        ("boolean", "int", False),
        (["null", "string"], "string", True),
        ("string", ["null", "string"], False),
        ("string", ["string"], True),
        (["null", "long"], ["null", "int"], True),
        (["null", "int"], ["null", "long"], False),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}, True),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, False),
        ({"type": "map", "values": "string"}, {"type": "map", "values": "string"}, True),
        ({"type": "map", "values": "string"}, {"type": "array", "items": "string"}, False),
        (fixed(4), fixed(4), True),
        (fixed(4), fixed(5), False),
        (fixed(4, aliases=["G"]), fixed(4) | {"name": "G"}, True),
        (fixed(4), fixed(4) | {"name": "G"}, False),
        (enum("A", "B"), enum("A"), True),
        (enum("A"), enum("A", "B"), False),
        (enum("A", default="A"), enum("A", "B"), True),
        (record(), record({"name": "a", "type": "int"}), True),
        (record({"name": "a", "type": "int"}), record(), False),
        (record({"name": "a", "type": "int", "default": 1}), record(), True),
        (record({"name": "a", "type": "int", "aliases": ["b"]}), record({"name": "b", "type": "int"}), True),
        (record({"name": "a", "type": "int"}), record({"name": "b", "type": "int"}), False),
        (record(aliases=["S"]), record() | {"name": "S"}, True),
        (record(), record() | {"name": "S"}, False),
        (record(), record(namespace="x"), False),
        (record({"name": "a", "type": ["null", "R"]}), record({"name": "a", "type": ["null", "R"]}), True),
    ],
)  # fmt: skip
def test_resolution(reader: Any, writer: Any, readable: bool) -> None:
    assert (unreadable(parse(reader), parse(writer)) == []) is readable


def test_every_field_of_a_circle_is_looked_at() -> None:
    circle = record({"name": "next", "type": ["null", "R"]}, {"name": "value", "type": "int"})
    broken = deepcopy(circle)
    broken["fields"][1]["type"] = "string"
    assert [fault.path for fault in unreadable(parse(circle), parse(broken))] == ["value"]
    tagged = deepcopy(circle)
    tagged["fields"][1]["type"] = {"type": "int", "logicalType": "date"}
    assert [fault.path for fault in changed_meaning(parse(tagged), parse(circle))] == ["value"]
    assert incompatibilities(parse(circle), parse(circle)) == []


@pytest.mark.parametrize("schema", ["Unknown", {"name": "x"}, None, {"type": {"type": "Unknown"}}])
def test_what_is_not_defined_has_no_tree(schema: Any) -> None:
    with pytest.raises(ValueError, match="type"):
        parse(schema)
