"""Whatever the domains can say, Avro says it back: envelopes, records, entity states and heads."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_type_hints

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.avro import (
    decode_entity,
    decode_event,
    decode_head,
    encode_entity,
    encode_event,
    encode_head,
    encode_record,
    primitives,
    schema_store,
)
from connector.avro.compiler import compile_writer
from connector.avro.schemas import Codec
from connector.domains import lifecycle
from connector.domains.model import BookingKey, Record
from connector.domains.registry import DOMAINS
from connector.errors import DataError
from connector.events import Event
from connector.state import EntityState, ResourceMeta, StreamHead
from tests.golden.samples import RECORDS

KARACHI = timezone(timedelta(hours=5))

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
longs = st.integers(-(2**63), 2**63 - 1)
instants = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.sampled_from((UTC, KARACHI)))  # noqa: DTZ001  # hypothesis adds the zone
st.register_type_strategy(str, texts)
st.register_type_strategy(int, longs)
# As large as the field of scale 3 takes.
st.register_type_strategy(Decimal, st.integers(-(10**17) + 1, 10**17 - 1).map(lambda paisa: Decimal(paisa).scaleb(-2)))
st.register_type_strategy(datetime, instants)
st.register_type_strategy(date, st.dates())
st.register_type_strategy(BookingKey, st.builds(BookingKey, longs, texts))

INTS_OF_32_BITS = {"number", "shard"}


def values(kind: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass of ours, its fields by their annotations."""
    hints = get_type_hints(kind)
    bits = {name: 31 if name in INTS_OF_32_BITS else 63 for name in hints}
    known = {
        field.name: st.integers(-(2 ** bits[field.name]), 2 ** bits[field.name] - 1)
        if hints[field.name] is int
        else st.from_type(hints[field.name])
        for field in fields(kind)
    }
    return st.builds(kind, **known)


TYPES = {name: list(domain.records.values()) for name, domain in DOMAINS.items()}
TYPES[lifecycle.NAME] = list(lifecycle.RECORDS.values())
KINDS = [(domain, kind) for domain, kinds in TYPES.items() for kind in kinds]
digests = st.none() | st.binary(max_size=20)
keys = st.none() | st.from_type(BookingKey)


def states(record: st.SearchStrategy[Record | None]) -> st.SearchStrategy[EntityState]:
    return st.builds(
        EntityState,
        entity_id=texts,
        version=longs,
        key=st.from_type(BookingKey),
        record=record,
        status=st.sampled_from(("live", "removed", "forgotten")),
        aliases=st.lists(texts, max_size=3).map(tuple),
        unreadable_digest=digests,
    )


@pytest.mark.parametrize(("domain", "kind"), KINDS)
def test_the_state_of_any_entity_is_read_back(domain: str, kind: type[Record]) -> None:
    @settings(max_examples=60)
    @given(states(st.none() | values(kind)))
    def law(entity: EntityState) -> None:
        again = decode_entity(domain, encode_entity(domain, entity))
        assert again == entity
        # Equality of records leaves some fields out; the round trip must not.
        assert every_value(again.record) == every_value(entity.record)

    law()


def every_value(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: every_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [every_value(item) for item in value]
    if isinstance(value, dict):
        return {name: every_value(item) for name, item in value.items()}
    return value


ENVELOPE = {name: hint for name, hint in get_type_hints(Event).items() if name not in {"before", "after"}}


def events(sides: st.SearchStrategy[Record | None]) -> st.SearchStrategy[Event]:
    known = {
        name: longs if hint is int else values(hint) if is_dataclass(hint) else st.from_type(hint)
        for name, hint in ENVELOPE.items()
    }
    return st.builds(Event, **known, before=sides, after=sides)


@pytest.mark.parametrize("domain", TYPES)
def test_any_event_is_read_back_field_by_field(domain: str) -> None:
    records = st.none() | st.one_of([values(kind) for kind in TYPES[domain]])

    @settings(max_examples=60)
    @given(events(records))
    def law(event: Event) -> None:
        datum = decode_event(encode_event(domain, event))
        for name in ENVELOPE:
            assert datum[name] == every_value(getattr(event, name))
        for side in ("before", "after"):
            record = getattr(event, side)
            if record is None:
                assert datum[side] is None
                continue
            held = {kind: value for kind, value in datum[side].items() if value is not None}
            assert held == {record.KIND: every_value(record)}

    law()


def by_fastavro(codec: Codec, datum: dict[str, Any]) -> bytes:
    """The same value as a library writes it that knows nothing of the compiled writers."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, codec.schema, datum)
    return codec.header + out.getvalue()


def wrapped(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else {record.KIND: every_value(record)}


@pytest.mark.parametrize(("domain", "kind"), KINDS)
def test_every_byte_of_state_is_what_fastavro_writes(domain: str, kind: type[Record]) -> None:
    store = schema_store()

    @settings(max_examples=60)
    @given(states(st.none() | values(kind)))
    def law(entity: EntityState) -> None:
        record = wrapped(entity.record)
        datum = every_value(entity) | {
            "key": entity.key._asdict(),
            "record": None if record is None else by_fastavro(store.records[domain], record),
        }
        assert encode_entity(domain, entity) == by_fastavro(store.entity, datum)

    law()


@pytest.mark.parametrize(("domain", "kind"), KINDS)
def test_every_byte_of_an_event_is_what_fastavro_writes(domain: str, kind: type[Record]) -> None:
    sides = st.none() | values(kind)

    @settings(max_examples=60)
    @given(events(sides))
    def law(event: Event) -> None:
        datum = every_value(event) | {"before": wrapped(event.before), "after": wrapped(event.after)}
        written = by_fastavro(schema_store().events[domain], datum)
        assert encode_event(domain, event) == written
        if event.after is not None:
            assert encode_event(domain, event, after=encode_record(domain, event.after)) == written

    law()


@pytest.mark.parametrize(
    ("mistake", "domain"),
    [
        ("write_long", "lending"),
        ("write_day", "lending"),
        ("write_decimal", "lending"),
        ("write_instant", "transactions"),
    ],
)
def test_one_wrong_primitive_is_seen(mistake: str, domain: str) -> None:
    right = vars(primitives)[mistake]

    def wrong(*arguments: Any) -> bytes:
        written: bytes = right(*arguments)
        return written[:-1] + bytes([written[-1] ^ 1])

    schema = schema_store().records[domain].written["fields"]
    caught = 0
    for kind, record in {record.KIND: record for record in RECORDS[domain]}.items():
        of_kind = next(field["type"][1] for field in schema if field["name"] == kind)
        codec = Codec({"namespace": f"pk.zindigi.{domain}", **of_kind})
        write = compile_writer(codec.written)
        write.__globals__[mistake] = wrong
        caught += codec.header + write(record) != by_fastavro(codec, every_value(record))
    assert caught


metas = st.builds(
    ResourceMeta,
    floor=keys,
    backfilled=st.booleans(),
    bound=keys,
    head_digest=digests,
    sweep_digest=digests,
    swept_at=st.none() | instants,
)
heads = st.builds(
    StreamHead,
    sequence=longs,
    commit_number=longs,
    stream_version=longs,
    status=st.sampled_from(("new", "backfilling", "live", "closed")),
    resources=st.dictionaries(texts, metas, max_size=3),
)


@given(heads)
def test_any_head_is_read_back(head: StreamHead) -> None:
    assert decode_head(encode_head(head)) == head


@given(heads, st.data())
def test_a_damaged_value_is_refused_or_read_as_something_and_never_breaks(
    head: StreamHead, data: st.DataObject
) -> None:
    value = bytearray(encode_head(head))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        decode_head(bytes(value[: data.draw(st.integers(0, len(value)))]))
