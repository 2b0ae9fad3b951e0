"""What an earlier release wrote is read for ever: golden bytes of version 1, read by a connector that has moved on.

The schemas of a later version are made in a temporary directory, and a later `Loan` to go with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from connector.avro import decode_entity, decode_event, decode_head, encode_entity, encode_event, encode_head
from connector.avro import events as event_codec
from connector.avro import records as record_codec
from connector.avro import schemas as schema_files
from connector.avro import state as state_codec
from connector.avro.releases import check, release
from connector.domains.lending import Loan
from connector.domains.registry import DOMAINS
from connector.errors import DataError
from tests.golden.samples import ENTITIES, EVENTS, HEADS, LOAN, VERSIONS
from tests.support.schema_changes import Schema, edit, field_of, schemas_copy
from tests.unit.test_avro import golden, plain

CACHED = (
    schema_files.schema_store,
    record_codec.record_type,
    event_codec._envelope_writer,
    state_codec._entity_writer,
    state_codec._entity_reader,
)
NULLABLE = {"type": ["null", "string"], "default": None, "doc": "New; null in what was written before."}
STATE = [name for name in golden("state") if name in ENTITIES]
LENDING = [name for name, (domain, _) in ENTITIES.items() if domain == "lending"]


def adding(path: str, name: str) -> Callable[[Schema], object]:
    return lambda schema: field_of(schema, path, of_record=True)["fields"].append({"name": name, **NULLABLE})


@dataclass(frozen=True, slots=True)
class _Later(Loan):
    """Today's loan, and what the lender says it is for."""

    purpose: str | None = None


LaterLoan: Any = _Later


def later(loan: Loan, purpose: str | None) -> Any:
    return LaterLoan(**{one.name: getattr(loan, one.name) for one in fields(loan)}, purpose=purpose)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The schemas of a connector that runs on them."""
    copied = schemas_copy(tmp_path / "avro")
    monkeypatch.setattr(schema_files, "schema_directory", lambda: copied)
    for cached in CACHED:
        cached.cache_clear()
    yield copied
    for cached in CACHED:
        cached.cache_clear()


@pytest.fixture
def evolved(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later version: loans have a purpose."""
    edit(directory / "lending.avsc", adding("before.loan", "purpose"))
    monkeypatch.setitem(
        DOMAINS, "lending", replace(DOMAINS["lending"], records={**DOMAINS["lending"].records, "loan": LaterLoan})
    )
    assert check(directory) == ()
    return directory


def stored(name: str) -> bytes:
    return bytes.fromhex(golden("state")[name]["value"])


@pytest.mark.usefixtures("evolved")
@pytest.mark.parametrize("name", [name for name in STATE if name != "lending/0"])
def test_state_of_version_1_is_read_as_it_was(name: str) -> None:
    domain, entity = ENTITIES[name]
    assert decode_entity(domain, stored(name)) == entity


@pytest.mark.usefixtures("evolved")
def test_a_record_of_version_1_is_todays_with_the_new_field_null() -> None:
    _, entity = ENTITIES["lending/0"]
    read = decode_entity("lending", stored("lending/0"))
    assert type(read.record) is LaterLoan
    assert read == replace(entity, record=later(LOAN, None))


@pytest.mark.usefixtures("evolved")
def test_a_record_of_today_is_read_and_written_with_its_new_field() -> None:
    _, entity = ENTITIES["lending/0"]
    entity = replace(entity, record=later(LOAN, "a sewing machine"))
    value = encode_entity("lending", entity)
    assert decode_entity("lending", value) == entity
    assert value[10:] != stored("lending/0")[10:]


@pytest.mark.usefixtures("evolved")
@pytest.mark.parametrize("name", EVENTS["lending"])
def test_an_event_of_version_1_has_todays_shape(name: str) -> None:
    kept = golden("lending")[name]
    expected = kept["event"]
    if expected["after"]["loan"] is not None:
        expected["after"]["loan"]["purpose"] = None
    assert plain(decode_event(bytes.fromhex(kept["value"]))) == expected


@pytest.mark.usefixtures("evolved")
@pytest.mark.parametrize(
    ("domain", "name"), [(domain, name) for domain in EVENTS if domain != "lending" for name in EVENTS[domain]]
)
def test_events_of_other_domains_do_not_notice(domain: str, name: str) -> None:
    kept = golden(domain, VERSIONS[domain])[name]
    assert plain(decode_event(bytes.fromhex(kept["value"]))) == kept["event"]
    assert encode_event(domain, EVENTS[domain][name]).hex() == kept["value"]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_version_1_is_read_once_heads_have_moved_on(directory: Path, name: str) -> None:
    edit(
        directory / "state/head.avsc",
        lambda schema: schema["fields"].insert(
            0, {"name": "notes", "type": {"type": "array", "items": "string"}, "default": [], "doc": "New."}
        ),
    )
    store = schema_files.schema_store()
    first = store.decode(stored(name), store.head)
    first["notes"].append("what one reader does with it")
    assert store.decode(stored(name), store.head)["notes"] == [], "a default was handed out, not a copy of it"
    assert {**first, "notes": []} == {"notes": [], **store.decode(stored(name))}


def test_an_entity_of_version_1_is_read_once_entities_have_moved_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = get_type_hints(state_codec._Written)
    later_entity = make_dataclass("_Written", [*hints.items(), ("note", str | None)], frozen=True)
    edit(directory / "state/entity.avsc", adding("", "note"))
    monkeypatch.setattr(state_codec, "_Written", later_entity)
    for name in STATE:
        domain, entity = ENTITIES[name]
        assert decode_entity(domain, stored(name)) == entity


def test_two_versions_later_each_of_them_is_read(evolved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    middle = encode_entity("lending", replace(ENTITIES["lending/0"][1], record=later(LOAN, "a goat")))
    release(evolved)
    edit(evolved / "lending.avsc", adding("before.loan", "officer"))
    last: Any = make_dataclass(
        "LastLoan", [("officer", str | None, field(default=None))], bases=(_Later,), frozen=True, slots=True
    )
    monkeypatch.setitem(
        DOMAINS, "lending", replace(DOMAINS["lending"], records={**DOMAINS["lending"].records, "loan": last})
    )
    for cached in CACHED:
        cached.cache_clear()
    read = [decode_entity("lending", value).record for value in (stored("lending/0"), middle)]
    assert [(type(one), one.purpose, one.officer) for one in read] == [(last, None, None), (last, "a goat", None)]


def test_without_its_release_version_1_is_not_read(evolved: Path) -> None:
    """What is shown here hangs on the releases and on nothing else."""
    (evolved / "released/lending/1.avsc").unlink()
    for cached in CACHED:
        cached.cache_clear()
    with pytest.raises(DataError, match="no schema under schemas/avro has fingerprint"):
        decode_entity("lending", stored("lending/0"))
    with pytest.raises(DataError, match="no schema under schemas/avro has fingerprint"):
        decode_event(bytes.fromhex(golden("lending")["loan"]["value"]))


@pytest.mark.usefixtures("evolved")
def test_damage_is_told_whatever_version_wrote_it() -> None:
    value = bytes.fromhex(golden("lending")["loan"]["value"])
    for end in range(10, len(value)):
        with pytest.raises(DataError):
            decode_event(value[:end])
    with pytest.raises(DataError, match="left over"):
        decode_event(value + b"\x00")
    with pytest.raises(DataError, match="was expected"):
        decode_entity("lending", value)


def test_todays_values_never_take_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def long_way(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(schema_files, "_read", long_way)
    for domain, entity in ENTITIES.values():
        assert decode_entity(domain, encode_entity(domain, entity)) == entity
    with pytest.raises(AssertionError):
        decode_head(encode_head(HEADS["head"][1]))  # heads are read by fastavro, always: the trap works
