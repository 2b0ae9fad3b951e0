"""Avro: schemas/ → encode, decode and framing (Avro single-object encoding).

The one place that knows fastavro. Records and envelopes are frozen dataclasses whose field names are those of their
Avro types, so that encoding follows the schema and nothing is named twice.

Framing: ``c3 01``, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), then the Avro binary. Whoever has
`schemas/` can decode every event without us.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from connector.domains import lifecycle
from connector.domains.model import BookingKey, Record
from connector.domains.registry import DOMAINS
from connector.errors import DataError
from connector.events import Event
from connector.state import EntityState, ResourceMeta, StreamHead

MAGIC = b"\xc3\x01"
HEADER_BYTES = 10
MAXIMUM_INTEGER_DIGITS = 16
"""Digits before the point of a decimal(18,2). fastavro counts the digits written, so that 1E+20 passes for one."""

Datum = dict[str, Any]


def schema_directory() -> Path:
    """Where the schemas are: beside the package in a checkout, inside it when installed.

    Raises:
        DataError: they are in neither place; the installation is broken.
    """
    checkout = Path(__file__).parent.parent / "schemas" / "avro"
    if checkout.is_dir():
        return checkout
    installed = Path(str(resources.files("connector"))) / "_schemas" / "avro"
    if installed.is_dir():
        return installed
    raise DataError(f"no Avro schemas at {checkout} or {installed}: the installation is incomplete")


class Codec:
    """Writes with one schema; single-object framing."""

    def __init__(self, schema: Datum) -> None:
        self.schema = fastavro.parse_schema(json.loads(json.dumps(schema)))
        self.fingerprint = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
        self.name = f"{schema['namespace']}.{schema['name']}"
        self._header = MAGIC + self.fingerprint

    def encode(self, datum: Datum) -> bytes:
        """Header and Avro binary.

        Raises:
            DataError: the datum does not fit the schema; the message names no value.
        """
        out = io.BytesIO()
        out.write(self._header)
        try:
            fastavro.schemaless_writer(out, self.schema, datum)
        except (ValueError, TypeError, OverflowError, KeyError, IndexError) as error:
            raise DataError(f"a value does not fit schema {self.name}: {type(error).__name__}") from None
        return out.getvalue()


class SchemaStore:
    """Every schema in `schemas/avro/`, and the types within them that state is written with."""

    def __init__(self, directory: Path) -> None:
        self.events: dict[str, Codec] = {}
        self.records: dict[str, Codec] = {}
        self._readers: dict[bytes, Codec] = {}
        for path in sorted(directory.glob("*.avsc")):
            schema = json.loads(path.read_text(encoding="utf-8"))
            self.events[path.stem] = self._register(Codec(schema))
            self.records[path.stem] = self._register(Codec(_state_type(schema)))
        self.entity = self._register(Codec(json.loads((directory / "state" / "entity.avsc").read_text("utf-8"))))
        self.head = self._register(Codec(json.loads((directory / "state" / "head.avsc").read_text("utf-8"))))

    def _register(self, codec: Codec) -> Codec:
        self._readers[codec.fingerprint] = codec
        return codec

    def decode(self, value: bytes, like: Codec | None = None) -> Datum:
        """A single-object encoded value, with whatever schema of ours wrote it; of the type of `like` where given.

        Raises:
            DataError: not single-object encoded, an unknown fingerprint, another type, or broken off.
        """
        if value[:2] != MAGIC or len(value) < HEADER_BYTES:
            raise DataError("a value is not Avro single-object encoded (it should begin with c3 01)")
        codec = self._readers.get(value[2:HEADER_BYTES])
        if codec is None:
            raise DataError(
                f"no schema under schemas/avro has fingerprint {value[2:HEADER_BYTES].hex()}: "
                "the value was written by a newer version"
            )
        if like is not None and codec.name != like.name:
            raise DataError(f"a {like.name} was expected, not a {codec.name}")
        body = io.BytesIO(value[HEADER_BYTES:])
        try:
            datum = fastavro.schemaless_reader(body, codec.schema, None)
        except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
            raise DataError(f"an Avro value is damaged: {type(error).__name__}") from None
        if body.read(1):
            raise DataError("an Avro value is damaged: bytes are left over at its end")
        if not isinstance(datum, dict):
            raise DataError("an Avro value is no record")
        return datum


def _state_type(envelope: Datum) -> Datum:
    """The type of `before` and `after`, as a schema of its own."""
    before = next(field for field in envelope["fields"] if field["name"] == "before")
    return {**before["type"][1], "namespace": envelope["namespace"]}


@cache
def schema_store() -> SchemaStore:
    """The schemas of this installation, parsed once."""
    return SchemaStore(schema_directory())


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


_ENVELOPE = tuple(field.name for field in fields(Event) if field.name not in {"before", "after"})


def encode_event(domain: str, event: Event) -> bytes:
    """An event as the bytes of its Kafka value.

    Raises:
        DataError: a value does not fit the domain's schema.
    """
    datum = {name: _plain(getattr(event, name)) for name in _ENVELOPE}
    datum["before"] = _wrap(domain, event.before)
    datum["after"] = _wrap(domain, event.after)
    return schema_store().events[domain].encode(datum)


def decode_event(value: bytes) -> Datum:
    """The envelope as a plain dictionary: Decimal amounts, aware datetimes, dates.

    Raises:
        DataError: it cannot be decoded.
    """
    return schema_store().decode(value)


# ── State ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode_entity(domain: str, entity: EntityState) -> bytes:
    """An entity's state, its record within under the domain's own schema, so that either may evolve alone."""
    store = schema_store()
    wrapped = _wrap(domain, entity.record)
    record = None if wrapped is None else store.records[domain].encode(wrapped)
    return store.entity.encode(
        {
            "entity_id": entity.entity_id,
            "version": entity.version,
            "status": entity.status,
            "key": entity.key._asdict(),
            "record": record,
            "aliases": entity.aliases,
            "unreadable_digest": entity.unreadable_digest,
        }
    )


def decode_entity(domain: str, value: bytes) -> EntityState:
    """The entity state that `encode_entity` wrote.

    Raises:
        DataError: it cannot be decoded.
    """
    store = schema_store()
    datum = store.decode(value, store.entity)
    inner = datum["record"]
    record = None if inner is None else _unwrap(domain, store.decode(inner, store.records[domain]))
    return EntityState(
        entity_id=datum["entity_id"],
        version=datum["version"],
        key=BookingKey(**datum["key"]),
        record=record,
        status=datum["status"],
        aliases=tuple(datum["aliases"]),
        unreadable_digest=datum["unreadable_digest"],
    )


def encode_head(head: StreamHead) -> bytes:
    """A stream's head."""
    metas = [
        {**_to_datum(meta), "name": name, "floor": _key(meta.floor), "bound": _key(meta.bound)}
        for name, meta in head.resources.items()
    ]
    return schema_store().head.encode(
        {
            "sequence": head.sequence,
            "commit_number": head.commit_number,
            "stream_version": head.stream_version,
            "status": head.status,
            "resources": metas,
        }
    )


def decode_head(value: bytes) -> StreamHead:
    """The head that `encode_head` wrote.

    Raises:
        DataError: it cannot be decoded.
    """
    store = schema_store()
    datum = store.decode(value, store.head)
    resources_ = {meta["name"]: _meta(meta) for meta in datum.pop("resources")}
    return StreamHead(**datum, resources=resources_)


def _key(key: BookingKey | None) -> Datum | None:
    return None if key is None else key._asdict()


def _meta(datum: Datum) -> ResourceMeta:
    values = {name: value for name, value in datum.items() if name != "name"}
    for name in ("floor", "bound"):
        values[name] = None if values[name] is None else BookingKey(**values[name])
    return ResourceMeta(**values)


# ── Dataclasses to Avro's plain values and back ─────────────────────────────────────────────────────────────────────


def _to_datum(value: Any) -> Datum:  # noqa: ANN401  # any of our frozen dataclasses
    return {name: _plain(getattr(value, name)) for name in _field_names(value.__class__)}


def _plain(value: Any) -> Any:  # noqa: ANN401  # Avro's plain values
    if isinstance(value, tuple) and not isinstance(value, BookingKey):
        return [_plain(item) for item in value]
    if value.__class__ is Decimal and value.adjusted() >= MAXIMUM_INTEGER_DIGITS:
        raise DataError("an amount has more digits than decimal(18,2) holds")
    return _to_datum(value) if is_dataclass(value) else value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _wrap(domain: str, record: Record | None) -> Datum | None:
    if record is None:
        return None
    if record.KIND not in _record_types(domain):
        # Avro would leave the unknown field out and write a state without any record.
        raise DataError(f"no record of {domain} is called {record.KIND}")
    return {record.KIND: _to_datum(record)}


@cache
def _record_types(domain: str) -> Mapping[str, type[Record]]:
    return lifecycle.RECORDS if domain == lifecycle.NAME else DOMAINS[domain].records


def _unwrap(domain: str, datum: Datum) -> Record:
    for kind, value in datum.items():
        if value is not None:
            built: Record = _builder(_record_types(domain)[kind])(value)
            return built
    raise DataError(f"a {domain} state value holds no record")


@cache
def _builder(kind: type) -> Callable[[Datum], Any]:
    """A function from Avro's plain values to the dataclass `kind`."""
    converters = {name: _converter(hint) for name, hint in get_type_hints(kind).items() if name in _field_names(kind)}
    nested = {name: converter for name, converter in converters.items() if converter is not None}

    def build(datum: Datum) -> Any:  # noqa: ANN401  # an instance of `kind`
        values = {name: datum[name] for name in converters}
        for name, converter in nested.items():
            if values[name] is not None:
                values[name] = converter(values[name])
        return kind(**values)

    return build


def _converter(hint: Any) -> Callable[[Any], Any] | None:  # noqa: ANN401  # a type as typing hands it out
    """How to turn Avro's value into what the annotation says; None where they are the same already."""
    if get_origin(hint) in {Union, UnionType}:
        (hint,) = (option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is tuple:
        item = _converter(get_args(hint)[0])
        return lambda values: tuple(values if item is None else map(item, values))
    return _builder(hint) if is_dataclass(hint) and isinstance(hint, type) else None
