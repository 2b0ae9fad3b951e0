"""What the published schemas promise to everyone who reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest

from connector.avro import schema_directory
from connector.avro.releases import IDENTITY
from connector.domains import lifecycle
from connector.domains.registry import DOMAINS
from connector.events import Event, Provenance, Related

Schema = dict[str, Any]

DIRECTORY = schema_directory()
EVENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("*.avsc"))}
STATE = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DIRECTORY.glob("state/*.avsc"))}
ALL = EVENTS | STATE
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
FIELD_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
AMOUNT = re.compile(r"[._](amount|balance|price|fee|principal|outstanding)(_|$)")
FINE = re.compile(r"(unit|price|nav|rate|ratio|quantity|cost|original)", re.IGNORECASE)
UNIT = re.compile(r"currency|PKR|units?\b|percent|ratio|per ", re.IGNORECASE)
PERSONAL = {
    "account": {
        "Holder.name": "name",
        "Holder.cnic": "identifier",
        "Holder.msisdn": "identifier",
        "Holder.email": "identifier",
        "BankAccountRecord.iban": "identifier",
        "BankAccountRecord.title": "free_text",
        "Balance.iban": "identifier",
    },
    "transactions": {
        "Transaction.iban": "identifier",
        "Transaction.biller": "free_text",
        "Counterparty.alias": "identifier",
        "Counterparty.iban": "identifier",
        "Counterparty.cnic": "identifier",
        "Counterparty.name": "name",
        "BalanceChain.iban": "identifier",
    },
    "cards": {
        "Card.last4": "identifier",
        "Card.iban": "identifier",
        "CardAuthorization.merchant_name": "free_text",
        "CardAuthorization.merchant_city": "free_text",
    },
    "bills": {"Bill.consumer_number": "identifier", "Biller.name": "free_text"},
    "bookings": {
        "Booking.vendor": "free_text",
        "Booking.title": "free_text",
        "BookingLine.description": "free_text",
        "Booking.policy_ref": "identifier",
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
        nullable = isinstance(field["type"], list)
        # One kind of record in the state of a domain: its type says that the others are null.
        one_of_all = name.partition(".")[0].endswith("State") and field["doc"].startswith("Set for ")
        if nullable and not one_of_all:
            assert "null" in field["doc"].lower(), f"the doc of {name} does not say when it is null"
        if "decimal" in kinds(field["type"]):
            assert UNIT.search(field["doc"]), f"the doc of {name} does not say its unit"


def named_alike(schema: Schema) -> None:
    for record in records(schema):
        assert TYPE_NAME.fullmatch(record["name"]), f"the type {record['name']} is not named LikeThis"
    for name, _ in every_field(schema):
        assert FIELD_NAME.fullmatch(name.partition(".")[2]), f"{name} is not named like_this"


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
    for name, field in every_field(schema):
        for option in options(field["type"]):
            if isinstance(option, dict) and "logicalType" in option:
                assert allowed(name, option), f"{name} is a {option}"
        said, found = field["doc"].partition(" ")[0], kinds(field["type"])
        if said == "Instant" or name.endswith(("_at", "_until", "valid_from", "act_by", ".at")):
            assert found == {"timestamp-micros"}, f"{name} is no instant"
        if said == "Date" or name.endswith(("_on", "_date")):
            assert found == {"date"}, f"{name} is no date"
        if " in currency" in field["doc"] or (AMOUNT.search(name) and "record" not in found):
            assert found == {"decimal"}, f"{name} is no decimal"


def kinds(schema: Any) -> set[str]:
    """What a field is when it is not null, by logical type where it has one."""
    found = [one.get("logicalType", one["type"]) if isinstance(one, dict) else one for one in options(schema)]
    return set(found) - {"null"}


def allowed(name: str, kind: Schema) -> bool:
    if kind["logicalType"] == "decimal":
        precision, scale = kind["precision"], kind["scale"]
        # Units, prices and rates have more places than money, and foreign currencies may have thousandths.
        wider = bool(FINE.search(name)) and precision >= 18 and 2 < scale <= 8
        return kind["type"] == "bytes" and ((precision, scale) == (18, 2) or wider)
    return (kind["type"], kind["logicalType"]) in {("long", "timestamp-micros"), ("int", "date")}


RULES = (documented, named_alike, unions_with_null_only, codes_are_strings, logical_types)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ALL)
def test_every_schema_keeps_every_rule(name: str, rule: Callable[[Schema], None]) -> None:
    rule(ALL[name])


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (documented, {"doc": ""}),
        (documented, {"doc": "Name of the loan product"}),
        (documented, {"doc": "Name of the loan product."}),
        (documented, {"type": ["null", DECIMAL], "doc": "What it is worth; null when not stated."}),
        (named_alike, {"name": "Product"}),
        (named_alike, {"name": "productName"}),
        (unions_with_null_only, {"type": ["null", "string", "long"]}),
        (unions_with_null_only, {"type": ["null", "string"], "default": "x"}),
        (codes_are_strings, {"type": {"type": "enum", "name": "Code", "symbols": ["A"]}}),
        (codes_are_strings, {"type": "double"}),
        (logical_types, {"type": {"type": "long", "logicalType": "timestamp-millis"}}),
        (logical_types, {"type": {**DECIMAL, "scale": 4}}),
        (logical_types, {"type": {**DECIMAL, "precision": 9}}),
        (logical_types, {"doc": "Instant of naming; null when not stated."}),
        (logical_types, {"doc": "Date of naming; null when not stated."}),
        (logical_types, {"doc": "What it is worth, in currency; null when not stated."}),
        (logical_types, {"name": "product_fee"}),
        (logical_types, {"name": "named_on"}),
    ],
)
def test_a_rule_notices_when_it_is_broken(rule: Callable[[Schema], None], change: Schema) -> None:
    schema = deepcopy(EVENTS["lending"])
    field = next(field for name, field in every_field(schema) if name == "Loan.product")
    rule(schema)
    field.update(change)
    with pytest.raises(AssertionError, match=rf"Loan\.{field['name']}"):
        rule(schema)


def test_a_type_is_named_alike_too() -> None:
    schema = deepcopy(EVENTS["lending"])
    schema["name"] = "lending_event"
    with pytest.raises(AssertionError, match="lending_event"):
        named_alike(schema)


def test_units_and_prices_may_have_more_places_than_money() -> None:
    schema = deepcopy(EVENTS["lending"])
    field = next(field for name, field in every_field(schema) if name == "Loan.product")
    field.update(name="unit_price", type=["null", {**DECIMAL, "scale": 4}], doc="In currency per unit; null when new.")
    logical_types(schema)
    documented(schema)


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


def types_by_name(schemas: Iterable[Schema]) -> dict[str, list[Schema]]:
    """Every definition of every named type, by its full name."""
    found: dict[str, list[Schema]] = {}

    def look(schema: Any, namespace: str) -> None:
        for option in options(schema):
            if isinstance(option, dict) and option["type"] == "record":
                inside = option.get("namespace", namespace)
                found.setdefault(f"{inside}.{option['name']}", []).append({"namespace": inside, **option})
                for field in option["fields"]:
                    look(field["type"], inside)
            elif isinstance(option, dict) and option["type"] == "array":
                look(option["items"], namespace)

    for schema in schemas:
        look(schema, "")
    return found


def differing(schemas: Iterable[Schema]) -> set[str]:
    return {name for name, found in types_by_name(schemas).items() if any(one != found[0] for one in found)}


def test_a_type_that_several_files_define_is_the_same_in_all_of_them() -> None:
    found = types_by_name(ALL.values())
    assert {name for name, many in found.items() if len(many) > 1} >= {"pk.zindigi.Source", "pk.zindigi.Related"}
    assert differing(ALL.values()) == set()


def test_a_shared_type_that_differs_by_a_doc_is_noticed() -> None:
    other = deepcopy(EVENTS["lending"])
    next(record for record in records(other) if record["name"] == "Related")["doc"] = "Something else."
    assert differing([*ALL.values(), other]) >= {"pk.zindigi.Related"}


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
