"""Records as the types of `before` and `after` have them: one nullable field for every kind, one of them set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from connector.avro.compiler import compile_reader, compile_writer
from connector.avro.schemas import HEADER_BYTES, Codec, Datum, damaged, schema_store
from connector.domains import lifecycle
from connector.domains.model import Record
from connector.domains.registry import DOMAINS
from connector.errors import DataError

MISFITS = (ValueError, TypeError, AttributeError, KeyError, OverflowError, ArithmeticError)
"""What a compiled writer raises where a value does not fit."""
DAMAGES = (EOFError, ValueError, IndexError, OverflowError, ArithmeticError)
"""What a compiled reader raises where data is damaged."""

_NULL = b"\x00"
_PRESENT = b"\x02"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One field of the type: the bytes of the null fields around it, its writer and its reader."""

    before: bytes
    after: bytes
    write: Callable[[Record], bytes]
    read: Callable[[bytes, int], tuple[Record, int]]


class RecordType:
    """The type of one domain's records, compiled."""

    def __init__(self, domain: str, codec: Codec, types: Mapping[str, type[Record]]) -> None:
        self.domain = domain
        self.codec = codec
        fields = codec.written["fields"]
        self._kinds = {
            field["name"]: _Kind(
                before=_NULL * place + _PRESENT,
                after=_NULL * (len(fields) - place - 1),
                write=compile_writer(_with_namespace(field["type"][1], codec)),
                read=compile_reader(_with_namespace(field["type"][1], codec), types[field["name"]]),
            )
            for place, field in enumerate(fields)
        }
        self._by_place = tuple(self._kinds.values())

    def encode(self, record: Record) -> bytes:
        """The Avro binary of the type, without a header.

        Raises:
            DataError: it is of another domain, or a value does not fit.
        """
        kind = self._kinds.get(record.KIND)
        if kind is None:
            raise DataError(f"no record of {self.domain} is called {record.KIND}")
        try:
            return kind.before + kind.write(record) + kind.after
        except MISFITS as error:
            raise self.codec.misfit(error) from None

    def decode(self, body: bytes) -> Record:
        """The record in a body that `encode` wrote.

        Raises:
            DataError: it is damaged, or holds no record or several.
        """
        place = len(body) - len(body.lstrip(_NULL))
        try:
            kind = self._by_place[place]
            record, end = kind.read(body, place + 1)
        except DAMAGES as error:
            raise damaged(type(error).__name__) from None
        if body[: place + 1] != kind.before or body[end:] != kind.after:
            raise damaged("it does not hold one record")
        return record


def _with_namespace(schema: Any, codec: Codec) -> Any:  # noqa: ANN401  # a schema
    return {"namespace": codec.written["namespace"], **schema}


@cache
def record_type(domain: str) -> RecordType:
    """The compiled type of a domain's records."""
    types = lifecycle.RECORDS if domain == lifecycle.NAME else DOMAINS[domain].records
    return RecordType(domain, schema_store().records[domain], types)


def encode_record(domain: str, record: Record) -> bytes:
    """A record as it stands in its event and in its state, without a header.

    Raises:
        DataError: it is of another domain, or a value does not fit.
    """
    return record_type(domain).encode(record)


def read_record(domain: str, datum: Datum) -> Record:
    """The record in a plain dictionary of its domain's type, as decoding an event gives it.

    Raises:
        DataError: it holds no record or several.
    """
    of_domain = record_type(domain)
    return of_domain.decode(of_domain.codec.encode(datum)[HEADER_BYTES:])
