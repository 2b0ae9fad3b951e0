"""Framing, golden bytes, and what the codec refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.avro import (
    MAGIC,
    decode_entity,
    decode_event,
    decode_head,
    encode_entity,
    encode_event,
    encode_head,
    schema_store,
)
from connector.domains.model import BookingKey, Record
from connector.errors import DataError
from connector.state import EntityState, Held, ResourceMeta, StreamHead
from tests.golden.samples import EVENTS, LOAN, PENDING, POSTED, RECORDS, VERSIONS

GOLDEN = Path(__file__).parent.parent / "golden"
KINDS = [(domain, record) for domain, records in RECORDS.items() for record in records]
NAMES = [(domain, name) for domain, events in EVENTS.items() for name in events]


def plain(value: Any) -> Any:
    """A decoded value as JSON can hold it."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def golden(domain: str, version: int = 1) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / f"{domain}.v{version}.json").read_text(encoding="utf-8"))
    return loaded


def without_later_fields(found: Any, kept: Any) -> Any:
    """A decoded value without the fields that its version did not have: they are null, or hold nothing."""
    if not isinstance(found, dict) or not isinstance(kept, dict):
        return found
    return {
        name: without_later_fields(value, kept.get(name))
        for name, value in found.items()
        if name in kept or value not in (None, [])
    }


# ── Golden bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

KEPT = [
    pytest.param(domain, version, name)
    for domain, last in VERSIONS.items()
    for version in range(1, last)
    for name in golden(domain, version)
] + [(domain, VERSIONS[domain], name) for domain, name in NAMES]


@pytest.mark.parametrize(("domain", "version", "name"), KEPT)
def test_golden_bytes_decode_for_ever(domain: str, version: int, name: str) -> None:
    kept = golden(domain, version)[name]
    found = plain(decode_event(bytes.fromhex(kept["value"])))
    assert without_later_fields(found, kept["event"]) == kept["event"]


@pytest.mark.parametrize(("domain", "name"), NAMES)
def test_events_encode_to_the_golden_bytes(domain: str, name: str) -> None:
    assert encode_event(domain, EVENTS[domain][name]).hex() == golden(domain, VERSIONS[domain])[name]["value"]


def test_every_domain_has_golden_bytes_for_every_kind_of_record() -> None:
    for domain, codec in schema_store().records.items():
        kinds = {field["name"] for field in codec.schema["fields"]}
        kept = [example["event"] for example in golden(domain, VERSIONS[domain]).values()]
        sides = [side for event in kept for side in (event["before"], event["after"]) if side]
        assert {kind for side in sides for kind, value in side.items() if value} == kinds


# ── State ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("domain", "record"), KINDS)
def test_state_of_every_kind_of_record_is_read_back_as_it_was(domain: str, record: Record) -> None:
    entity = EntityState("e", 3, record.booking_key, record, aliases=("f", "g"), unreadable_digest=b"\x01")
    again = decode_entity(domain, encode_entity(domain, entity))
    assert again == entity
    assert type(again.record) is type(record)


@pytest.mark.parametrize("status", ["live", "removed", "forgotten"])
def test_state_without_a_record(status: Any) -> None:
    entity = EntityState("e", 0, BookingKey(1, "e"), None, status)
    assert decode_entity("loyalty", encode_entity("loyalty", entity)) == entity


def test_a_head_is_read_back_as_it_was() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    held = Held("emptiness", at, 3, "rejected")
    joined_to = BookingKey(6, "y")
    meta = ResourceMeta(BookingKey(5, "x"), True, BookingKey(-3, ""), joined_to, at, b"a", b"b", at, held, 4)
    head = StreamHead(7, 9, 2, "live", {"transactions/1": meta, "transactions/2": ResourceMeta()})
    assert decode_head(encode_head(head)) == head
    assert decode_head(encode_head(StreamHead())) == StreamHead()


# ── Framing and refusals ────────────────────────────────────────────────────────────────────────────────────────────


def test_values_are_single_object_encoded_with_the_fingerprint_of_their_schema() -> None:
    value = encode_event("lending", EVENTS["lending"]["loan"])
    assert value[:2] == MAGIC
    assert value[2:10] == schema_store().events["lending"].fingerprint


@pytest.mark.parametrize("value", [b"", b"\xc3", b"\xc3\x01", b"\x00\x00\x00\x00\x01ab", b"{}" * 10])
def test_what_is_not_single_object_encoded_is_refused(value: bytes) -> None:
    with pytest.raises(DataError, match="single-object"):
        decode_event(value)


def test_an_unknown_fingerprint_is_named() -> None:
    with pytest.raises(DataError, match="fingerprint 0102030405060708"):
        decode_event(MAGIC + bytes(range(1, 9)) + b"\x00")


def test_a_value_that_broke_off_or_runs_on_is_refused() -> None:
    value = encode_event("lending", EVENTS["lending"]["loan"])
    for end in range(10, len(value)):
        with pytest.raises(DataError):
            decode_event(value[:end])
    with pytest.raises(DataError, match="left over"):
        decode_event(value + b"\x00")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "0.001", "12345678901234567.89", "1E+20", "-1E+16"])
def test_an_amount_that_does_not_fit_is_refused_without_naming_it(amount: str) -> None:
    record = replace(POSTED, amount=Decimal(amount))
    with pytest.raises(DataError) as refused:
        encode_entity("transactions", EntityState("e", 1, record.booking_key, record))
    assert amount not in str(refused.value)


@pytest.mark.parametrize("amount", ["0", "-0.00", "2500", "1E+3", "9999999999999999.99", "-9999999999999999.99"])
def test_an_amount_is_read_back_with_two_places(amount: str) -> None:
    record = replace(POSTED, amount=Decimal(amount))
    again = decode_entity("transactions", encode_entity("transactions", EntityState("e", 1, BookingKey(0, ""), record)))
    assert again.record == record
    assert again.record is not None
    assert again.record.amount.as_tuple().exponent == -2  # type: ignore[attr-defined]


def test_a_record_of_another_domain_is_refused() -> None:
    with pytest.raises(DataError, match="no record of loyalty is called loan"):
        encode_entity("loyalty", EntityState("e", 1, LOAN.booking_key, LOAN))
    with pytest.raises(DataError, match="no record of lending is called transaction"):
        encode_event("lending", replace(EVENTS["lending"]["loan"], before=PENDING))


def test_an_identity_field_cannot_be_forgotten() -> None:
    codec = schema_store().events["lending"]
    datum = decode_event(encode_event("lending", EVENTS["lending"]["loan"]))
    for name in ("event_id", "event_type", "op", "account_id", "entity_id", "entity_version", "sequence"):
        with pytest.raises(DataError):
            codec.encode({key: value for key, value in datum.items() if key != name})


def test_a_state_value_that_holds_another_type_is_refused() -> None:
    with pytest.raises(DataError):
        decode_entity("lending", encode_head(StreamHead()))
    with pytest.raises(DataError):
        decode_head(encode_event("lending", EVENTS["lending"]["loan"]))
    with pytest.raises(DataError):
        decode_entity("lending", encode_entity("transactions", EntityState("e", 1, BookingKey(0, ""), PENDING)))
