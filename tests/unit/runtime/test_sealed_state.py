"""State as it rests: its keys and its values, sealed and open, are a durable format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.avro import decode_entity, encode_entity, encode_head, encode_position
from connector.errors import DataError
from connector.ports import StateRecord
from connector.runtime.sealed_state import StateKey, Subject
from tests.golden.samples import ACCOUNT, DATA_KEY, ENTITIES, HEADS, POSITION, STATE_VERSIONS

DIRECTORY = Path(__file__).parents[2] / "golden"
BY_VERSION = {
    version: json.loads((DIRECTORY / f"state.v{version}.json").read_text(encoding="utf-8"))
    for version in set(STATE_VERSIONS.values())
}
GOLDEN = {name: BY_VERSION[version][name] for name, version in STATE_VERSIONS.items()}
"""As it is written today."""
EARLIER = [(version, name) for version, kept in BY_VERSION.items() for name in kept if version < STATE_VERSIONS[name]]
SUBJECT = Subject(ACCOUNT, DATA_KEY)


def kept(name: str) -> StateRecord:
    return StateRecord(GOLDEN[name]["key"], bytes.fromhex(GOLDEN[name]["sealed"]))


@pytest.mark.parametrize("name", ENTITIES)
def test_a_kept_entity_opens_for_ever(name: str) -> None:
    domain, entity = ENTITIES[name]
    opened = SUBJECT.open(kept(name))
    assert decode_entity(domain, opened) == entity
    assert encode_entity(domain, entity).hex() == GOLDEN[name]["value"] == opened.hex()
    key = SUBJECT.entity_key(domain, domain, entity.entity_id)
    assert SUBJECT.entity_record(key, opened).key == key == GOLDEN[name]["key"]


@pytest.mark.parametrize(("version", "name"), EARLIER)
def test_an_entity_of_an_earlier_version_opens_for_ever(version: int, name: str) -> None:
    domain, entity = ENTITIES[name]
    kept = BY_VERSION[version][name]
    assert decode_entity(domain, SUBJECT.open(StateRecord(kept["key"], bytes.fromhex(kept["sealed"])))) == entity


@pytest.mark.parametrize("name", HEADS)
def test_a_kept_head_opens_for_ever(name: str) -> None:
    domain, head = HEADS[name]
    assert SUBJECT.open_head(kept(name)) == head
    assert encode_head(head).hex() == GOLDEN[name]["value"] == SUBJECT.open(kept(name)).hex()
    assert SUBJECT.head_record(domain, head).key == GOLDEN[name]["key"]


def test_a_kept_position_opens_for_ever() -> None:
    assert SUBJECT.open_position(kept("position")) == POSITION
    assert encode_position(POSITION).hex() == GOLDEN["position"]["value"] == SUBJECT.open(kept("position")).hex()
    assert SUBJECT.position_record(POSITION).key == GOLDEN["position"]["key"]


@pytest.mark.parametrize("name", sorted(ENTITIES | HEADS))
def test_a_key_tells_where_it_belongs(name: str) -> None:
    domain, _ = (ENTITIES | HEADS)[name]
    parsed = StateKey.parse(GOLDEN[name]["key"])
    assert (parsed.account_id, parsed.domain) == (ACCOUNT, domain)
    assert (parsed.entity_hash is None) == (name in HEADS)


def test_a_value_under_another_key_or_of_another_subject_does_not_open() -> None:
    moved = StateRecord(f"{ACCOUNT}/loyalty", kept("head").value)
    with pytest.raises(DataError):
        SUBJECT.open(moved)
    with pytest.raises(DataError):
        Subject(ACCOUNT, bytes(32)).open(kept("head"))
    with pytest.raises(DataError):
        Subject("acc-other", DATA_KEY).open(kept("head"))


@pytest.mark.parametrize(
    "key", ["", "acc", "acc/", "acc/Lending", "acc/lending/loan", "acc/lending/loan/xyz", "a/b/c/d/e"]
)
def test_what_is_no_state_key_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="no state key"):
        StateKey.parse(key)
