"""`zindigi schemas check` and `release`: what they say, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.avro import schema_directory
from connector.avro.releases import schema_names
from connector.cli import exits
from tests.support.schema_changes import edit, field_of, schemas_copy

Zindigi = Callable[..., tuple[int, str, str]]
FINDING = (
    "before.loan.principal (release 1): its scale was 2 and is 3; "
    "give it back what it was, and put the new form into a new field"
)
SCALE_3 = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 3}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return schemas_copy(tmp_path / "avro")


def test_the_schemas_of_this_tree_break_nothing(zindigi: Zindigi) -> None:
    code, out, err = zindigi("schemas", "check")
    assert (code, err) == (exits.OK, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(schema_names(schema_directory()))


def test_a_changed_scale_is_refused_with_file_field_release_and_remedy(zindigi: Zindigi, copy: Path) -> None:
    edit(copy / "lending.avsc", lambda schema: field_of(schema, "before.loan.principal").update(type=SCALE_3))
    code, _, err = zindigi("schemas", "check", "--directory", str(copy))
    assert code == exits.FAILURE
    assert err.splitlines() == [
        f"{copy}/lending.avsc: {FINDING}",
        "zindigi: released schemas are broken in 1 place",
    ]


def test_as_json(zindigi: Zindigi, copy: Path) -> None:
    edit(copy / "lending.avsc", lambda schema: field_of(schema, "before.loan.principal").update(type=SCALE_3))
    code, out, _ = zindigi("schemas", "check", "--json", "--directory", str(copy))
    told = json.loads(out)
    assert code == exits.FAILURE
    assert {"name": "lending", "releases": [1], "changed": True} in told["schemas"]
    (finding,) = told["findings"]
    assert (finding["file"], finding["path"], finding["release"]) == ("lending.avsc", "before.loan.principal", 1)


def test_releasing_keeps_the_next_version_and_says_which(zindigi: Zindigi, copy: Path) -> None:
    edit(copy / "loyalty.avsc", lambda schema: schema.update(doc="Another word."))
    made = copy / "released" / "loyalty" / "2.avsc"
    assert zindigi("schemas", "release", "--directory", str(copy)) == (exits.OK, f"{made}\n", "")
    assert made.read_bytes() == (copy / "loyalty.avsc").read_bytes()
    code, out, err = zindigi("schemas", "release", "--directory", str(copy))
    assert (code, out) == (exits.OK, "")
    assert "as it was released last" in err


@pytest.mark.parametrize("command", ["check", "release"])
def test_a_directory_without_schemas_is_wrong_usage(zindigi: Zindigi, tmp_path: Path, command: str) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        code, _, err = zindigi("schemas", command, "--directory", str(place))
        assert code == exits.USAGE
        assert str(place) in err
