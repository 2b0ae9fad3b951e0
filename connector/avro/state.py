"""State as it is committed: entities, heads and positions, single-object encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from sys import intern
from typing import Any, NamedTuple

from connector.avro import primitives
from connector.avro.compiler import compile_reader, compile_writer
from connector.avro.records import DAMAGES, MISFITS, RecordType, record_type
from connector.avro.schemas import HEADER_BYTES, Datum, damaged, schema_store
from connector.domains.model import BookingKey
from connector.state import SUM_BYTES, EntityState, EntityStatus, Held, Position, ResourceMeta, StreamHead


class _Written(NamedTuple):
    """An entity as its schema has it. The record is bytes of its domain's own type, so that either may evolve alone."""

    entity_id: str
    version: int
    status: EntityStatus
    key: BookingKey
    record: bytes | None
    aliases: tuple[str, ...]
    unreadable_digest: bytes | None


def encode_entity(domain: str, entity: EntityState, *, record: bytes | None = None) -> bytes:
    """An entity's state. `record` is its record where `encode_record` did that already.

    Raises:
        DataError: a value does not fit.
    """
    codec = schema_store().entity
    if entity.record is None:
        field = b"\x00"
    else:
        of_domain = record_type(domain)
        body = record if record is not None else of_domain.encode(entity.record)
        field = b"\x02" + primitives.write_length(HEADER_BYTES + len(body)) + of_domain.codec.header + body
    try:
        return codec.header + _entity_writer()(entity, field)
    except MISFITS as error:
        raise codec.misfit(error) from None


def decode_entity(domain: str, value: bytes) -> EntityState:
    """The entity state that `encode_entity` wrote.

    Raises:
        DataError: it cannot be decoded.
    """
    store = schema_store()
    value = store.as_present(value, store.entity)
    try:
        written, end = _entity_reader()(value, HEADER_BYTES)
    except DAMAGES as error:
        raise damaged(type(error).__name__) from None
    if end != len(value):
        raise damaged("it is cut, or bytes are left over at its end")
    return EntityState(
        entity_id=written.entity_id,
        version=written.version,
        key=written.key,
        record=None if written.record is None else _record(record_type(domain), written.record),
        status=written.status,
        aliases=written.aliases,
        unreadable_digest=written.unreadable_digest,
    )


def _record(of_domain: RecordType, value: bytes) -> Any:  # noqa: ANN401  # a record of the domain
    return of_domain.decode(schema_store().as_present(value, of_domain.codec)[HEADER_BYTES:])


@cache
def _entity_writer() -> Callable[..., bytes]:
    return compile_writer(schema_store().entity.written, given=("record",))


@cache
def _entity_reader() -> Callable[[bytes, int], tuple[_Written, int]]:
    return compile_reader(schema_store().entity.written, _Written)


def encode_head(head: StreamHead) -> bytes:
    """A stream's head.

    Raises:
        DataError: a value does not fit.
    """
    resources = [
        {
            "name": name,
            "floor": _key(meta.floor),
            "backfilled": meta.backfilled,
            "bound": _key(meta.bound),
            "joined_to": _key(meta.joined_to),
            "hole_since": meta.hole_since,
            "head_digest": meta.head_digest,
            "sweep_digest": meta.sweep_digest,
            "swept_at": meta.swept_at,
            "held": None if meta.held is None else asdict(meta.held),
            "quarantined_count": meta.quarantined_count,
        }
        for name, meta in head.resources.items()
    ]
    return schema_store().head.encode(
        {
            "sequence": head.sequence,
            "commit_number": head.commit_number,
            "epoch": head.epoch,
            "stream_version": head.stream_version,
            "status": head.status,
            "holder_token": head.holder_token,
            "resources": resources,
            "refresh_generation": head.refresh_generation,
            "refresh_deadline_seconds": head.refresh_deadline_seconds,
            "confirmed_at": head.confirmed_at,
        }
    )


def decode_head(value: bytes) -> StreamHead:
    """The head that `encode_head` wrote.

    Raises:
        DataError: it cannot be decoded.
    """
    store = schema_store()
    datum = store.decode(value, store.head)
    resources = {meta["name"]: _meta(meta) for meta in datum.pop("resources")}
    # Memory holds a head for every stream: what is one of a few words is held once.
    datum["status"] = intern(datum["status"])
    datum["epoch"] = intern(datum["epoch"])
    return StreamHead(**datum, resources=resources)


def encode_position(position: Position) -> bytes:
    """Where a shard stands.

    Raises:
        DataError: a value does not fit.
    """
    live = None if position.live is None else position.live.to_bytes(SUM_BYTES, "big")
    return schema_store().position.encode({**asdict(position), "live": live})


def decode_position(value: bytes) -> Position:
    """The position that `encode_position` wrote.

    Raises:
        DataError: it cannot be decoded.
    """
    store = schema_store()
    datum = store.decode(value, store.position)
    live = datum.pop("live")
    return Position(**datum, live=None if live is None else int.from_bytes(live, "big"))


def _key(key: BookingKey | None) -> Datum | None:
    return None if key is None else key._asdict()


def _meta(datum: Datum) -> ResourceMeta:
    values = {name: value for name, value in datum.items() if name != "name"}
    for name in ("floor", "bound", "joined_to"):
        values[name] = None if values[name] is None else BookingKey(**values[name])
    held = values.pop("held")
    return ResourceMeta(**values, held=None if held is None else Held(**held))
