"""What the published schemas promise to everyone who reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest

from connector.avro import schema_directory
from connector.domains import lifecycle
from connector.domains.registry import DOMAINS
from connector.events import Event, Provenance, Related

Schema = dict[str, Any]

DIRECTORY = schema_directory()
EVENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.avsc"))}
STATE = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("state/*.avsc"))}
ALL = EVENTS | STATE
IDENTITY = ("event_id", "event_type", "op", "account_id", "entity_id", "entity_version", "sequence")
PERSONAL = {
    "transactions": {
        "Transaction.iban": "identifier",
        "Transaction.biller": "free_text",
        "Counterparty.alias": "identifier",
        "Counterparty.iban": "identifier",
        "Counterparty.cnic": "identifier",
        "Counterparty.name": "name",
        "BalanceChain.iban": "identifier",
    },
    "investments": {},
    "lending": {},
    "loyalty": {"PointsEntry.description": "free_text"},
    "lifecycle": {},
}


def options(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def records(schema: Any) -> Iterator[Schema]:
    """Every record type that is defined somewhere within."""
    for option in options(schema):
        if not isinstance(option, dict):
            continue
        if option["type"] == "record":
            yield option
            for field in option["fields"]:
                yield from records(field["type"])
        elif option["type"] == "array":
            yield from records(option["items"])


def every_field(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for record in records(schema):
        for field in record["fields"]:
            yield f"{record['name']}.{field['name']}", field


# ── The rules ───────────────────────────────────────────────────────────────────────────────────────────────────────


def documented(schema: Schema) -> None:
    for record in records(schema):
        assert record.get("doc"), f"{record['name']} has no doc"
    for name, field in every_field(schema):
        assert len(field.get("doc", "")) >= 10, f"{name} has no doc"
        assert field["doc"].endswith("."), f"the doc of {name} is no sentence"


def unions_with_null_only(schema: Schema) -> None:
    for name, field in every_field(schema):
        union = field["type"]
        if isinstance(union, list):
            assert len(union) == 2, f"{name} is a union of more than null and one type"
            assert union[0] == "null", f"null does not come first in {name}"
            assert "default" in field, f"{name} may be null and has no default"
            assert field["default"] is None, f"the default of {name} is not null"
        elif "default" in field:
            assert field["type"]["type"] == "array", f"{name} has a default and cannot be null"


def codes_are_strings(schema: Schema) -> None:
    def check(name: str, kind: Any) -> None:
        for option in options(kind):
            if isinstance(option, dict) and option["type"] == "array":
                check(name, option["items"])
            named = option["type"] if isinstance(option, dict) else option
            assert named not in {"enum", "fixed", "map", "float", "double"}, f"{name} is a {named}"

    for name, field in every_field(schema):
        check(name, field["type"])


def logical_types(schema: Schema) -> None:
    allowed = {
        ("long", "timestamp-micros", None, None),
        ("int", "date", None, None),
        ("bytes", "decimal", 18, 2),
        ("bytes", "decimal", 24, 8),
    }
    for name, field in every_field(schema):
        for option in options(field["type"]):
            if isinstance(option, dict) and "logicalType" in option:
                found = (option["type"], option["logicalType"], option.get("precision"), option.get("scale"))
                assert found in allowed, f"{name} is a {found}"
        if name.endswith(("_at", "_until", "valid_from", "act_by", ".at")):
            assert "timestamp-micros" in json.dumps(field["type"]), f"{name} is no instant"
        if name.endswith(("_on", "_date")):
            assert '"date"' in json.dumps(field["type"]), f"{name} is no date"


RULES = (documented, unions_with_null_only, codes_are_strings, logical_types)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ALL)
def test_every_schema_keeps_every_rule(name: str, rule: Callable[[Schema], None]) -> None:
    rule(ALL[name])


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (documented, {"doc": ""}),
        (unions_with_null_only, {"type": ["null", "string", "long"]}),
        (unions_with_null_only, {"type": ["null", "string"], "default": "x"}),
        (codes_are_strings, {"type": {"type": "enum", "name": "Code", "symbols": ["A"]}}),
        (codes_are_strings, {"type": "double"}),
        (logical_types, {"type": {"type": "long", "logicalType": "timestamp-millis"}}),
        (logical_types, {"type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4}}),
    ],
)
def test_a_rule_notices_when_it_is_broken(rule: Callable[[Schema], None], change: Schema) -> None:
    schema = deepcopy(EVENTS["lending"])
    next(field for name, field in every_field(schema) if name == "Loan.product").update(change)
    with pytest.raises(AssertionError, match=r"Loan\.product"):
        rule(schema)


# ── The envelope ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", EVENTS)
def test_identity_fields_have_no_default(name: str) -> None:
    envelope = {field["name"]: field for field in EVENTS[name]["fields"]}
    for field in IDENTITY:
        assert "default" not in envelope[field], f"{field} could be forgotten"
        assert envelope[field]["type"] in {"string", "long"}


@pytest.mark.parametrize("name", EVENTS)
def test_the_envelope_is_the_event_field_by_field(name: str) -> None:
    assert [field["name"] for field in EVENTS[name]["fields"]] == [field.name for field in fields(Event)]


def test_envelopes_and_shared_types_are_the_same_in_every_domain() -> None:
    def shared(schema: Schema) -> list[Any]:
        return [field for field in schema["fields"] if field["name"] not in {"before", "after"}]

    first, *others = (shared(schema) for schema in EVENTS.values())
    assert all(other == first for other in others)
    for schema in EVENTS.values():
        types = {record["name"]: record for record in records(schema)}
        assert types["Source"]["namespace"] == types["Related"]["namespace"] == "pk.zindigi"
        assert [field["name"] for field in types["Source"]["fields"]] == [field.name for field in fields(Provenance)]
        assert [field["name"] for field in types["Related"]["fields"]] == [field.name for field in fields(Related)]


def test_shared_types_of_state_are_the_same_in_both_files() -> None:
    first, second = (
        next(record for record in records(schema) if record["name"] == "BookingKey") for schema in STATE.values()
    )
    assert first == second


@pytest.mark.parametrize("name", EVENTS)
def test_before_and_after_are_one_type_with_one_nullable_field_a_record(name: str) -> None:
    envelope = {field["name"]: field for field in EVENTS[name]["fields"]}
    state = envelope["before"]["type"][1]
    assert envelope["after"]["type"][1] == f"pk.zindigi.{name}.{state['name']}"
    assert EVENTS[name]["namespace"] == f"pk.zindigi.{name}"
    kinds = lifecycle.RECORDS if name == lifecycle.NAME else DOMAINS[name].records
    assert [field["name"] for field in state["fields"]] == list(kinds)
    for field in state["fields"]:
        record = field["type"][1]
        assert [inner["name"] for inner in record["fields"]] == [own.name for own in fields(kinds[field["name"]])]  # type: ignore[arg-type]
        assert record["name"] == kinds[field["name"]].__name__


@pytest.mark.parametrize("name", EVENTS)
def test_personal_fields_are_tagged_strings(name: str) -> None:
    tagged = {}
    for field_name, field in every_field(EVENTS[name]):
        for option in options(field["type"]):
            if isinstance(option, dict) and "pii" in option:
                assert option["type"] == "string", f"{field_name} could not hold a sealed value"
                assert option["pii"] in {"name", "identifier", "free_text"}
                tagged[field_name] = option["pii"]
    assert tagged == PERSONAL[name]


def test_no_domain_is_without_a_schema() -> None:
    assert set(EVENTS) == {*DOMAINS, lifecycle.NAME}
