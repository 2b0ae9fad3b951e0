"""Events as the bytes of their Kafka values, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from connector.avro.compiler import compile_writer
from connector.avro.records import MISFITS, encode_record, read_record
from connector.avro.schemas import Datum, schema_store
from connector.domains.model import Record, Related
from connector.events import Event, Provenance

_SIDES = ("before", "after")


def encode_event(domain: str, event: Event, *, after: bytes | None = None) -> bytes:
    """An event as the bytes of its Kafka value. `after` is its own `after` where `encode_record` did that already.

    Raises:
        DataError: a value does not fit the domain's schema.
    """
    codec = schema_store().events[domain]
    before_side = _side(domain, event.before)
    after_side = b"\x02" + after if after is not None else _side(domain, event.after)
    try:
        return codec.header + _envelope_writer(domain)(event, before_side, after_side)
    except MISFITS as error:
        raise codec.misfit(error) from None


def _side(domain: str, record: Record | None) -> bytes:
    return b"\x00" if record is None else b"\x02" + encode_record(domain, record)


@cache
def _envelope_writer(domain: str) -> Callable[..., bytes]:
    return compile_writer(schema_store().events[domain].written, given=_SIDES)


def decode_event(value: bytes) -> Datum:
    """The envelope as a plain dictionary: Decimal amounts, aware datetimes, dates.

    Raises:
        DataError: it cannot be decoded.
    """
    return schema_store().decode(value)


def read_event(domain: str, value: bytes) -> Event:
    """The event that `encode_event` wrote, in this release or an earlier one.

    Raises:
        DataError: it cannot be decoded, or is of another domain.
    """
    store = schema_store()
    datum = store.decode(value, store.events[domain])
    sides = {side: read_record(domain, datum[side]) if datum[side] is not None else None for side in _SIDES}
    return Event(
        **{
            **datum,
            **sides,
            "source": Provenance(**datum["source"]),
            "related": tuple(Related(**one) for one in datum["related"]),
            "changed": tuple(datum["changed"]),
        }
    )
