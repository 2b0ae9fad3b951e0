"""The published schemas: where they are, their fingerprints, framing, and reading what any of them wrote.

Framing: ``c3 01``, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), then the Avro binary (Avro 1.12,
"Single-object encoding"). Whoever has `schemas/` can decode every event without us.
"""

from __future__ import annotations

import io
import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from connector.domains.registry import DOMAINS
from connector.errors import DataError

MAGIC = b"\xc3\x01"
HEADER_BYTES = 10

Datum = dict[str, Any]


def schema_directory() -> Path:
    """Where the schemas are: beside the package in a checkout, inside it when installed.

    Raises:
        DataError: they are in neither place; the installation is broken.
    """
    package = Path(__file__).parent.parent
    checkout = package.parent / "schemas" / "avro"
    if checkout.is_dir():
        return checkout
    installed = Path(str(resources.files("connector"))) / "_schemas" / "avro"
    if installed.is_dir():
        return installed
    raise DataError(f"no Avro schemas at {checkout} or {installed}: the installation is incomplete")


class Codec:
    """One schema: its name, its fingerprint, and the header of every value that it wrote."""

    def __init__(self, schema: Datum) -> None:
        self.written = schema
        """The schema as its file has it."""
        self.schema = fastavro.parse_schema(json.loads(json.dumps(schema)))
        self.fingerprint = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
        self.name = f"{schema['namespace']}.{schema['name']}"
        self.header = MAGIC + self.fingerprint

    def encode(self, datum: Datum) -> bytes:
        """Header and Avro binary of a plain dictionary.

        Raises:
            DataError: the datum does not fit the schema; the message names no value.
        """
        out = io.BytesIO()
        out.write(self.header)
        try:
            fastavro.schemaless_writer(out, self.schema, datum)
        except (ValueError, TypeError, OverflowError, KeyError, IndexError) as error:
            raise self.misfit(error) from None
        return out.getvalue()

    def misfit(self, error: Exception) -> DataError:
        """What to say of a value that the schema does not hold: the kind of fault, never the value."""
        return DataError(f"a value does not fit schema {self.name}: {type(error).__name__}")


class SchemaStore:
    """Every schema in `schemas/avro/`, and the types within them that state is written with."""

    def __init__(self, directory: Path) -> None:
        self.events: dict[str, Codec] = {}
        self.records: dict[str, Codec] = {}
        self._readers: dict[bytes, Codec] = {}
        for path in (*sorted(directory.glob("*.avsc")), *_announced()):
            schema = json.loads(path.read_text(encoding="utf-8"))
            name = path.name.removesuffix(".avsc")
            self.events[name] = self._register(Codec(schema))
            self.records[name] = self._register(Codec(_state_type(schema)))
        self.entity = self._register(Codec(json.loads((directory / "state" / "entity.avsc").read_text("utf-8"))))
        self.head = self._register(Codec(json.loads((directory / "state" / "head.avsc").read_text("utf-8"))))

    def _register(self, codec: Codec) -> Codec:
        self._readers[codec.fingerprint] = codec
        return codec

    def writer_of(self, value: bytes, like: Codec | None = None) -> Codec:
        """The schema that wrote a single-object encoded value; of the type of `like` where given.

        Raises:
            DataError: not single-object encoded, an unknown fingerprint, or another type.
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
        return codec

    def decode(self, value: bytes, like: Codec | None = None) -> Datum:
        """A single-object encoded value as a plain dictionary; of the type of `like` where given.

        Raises:
            DataError: not single-object encoded, an unknown fingerprint, another type, or broken off.
        """
        codec = self.writer_of(value, like)
        body = io.BytesIO(value[HEADER_BYTES:])
        try:
            datum = fastavro.schemaless_reader(body, codec.schema, None)
        except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
            raise damaged(type(error).__name__) from None
        if body.read(1):
            raise damaged("bytes are left over at its end")
        if not isinstance(datum, dict):
            raise damaged("it is no record")
        return datum


def damaged(how: str) -> DataError:
    """What to say of a value that is not what its header says."""
    return DataError(f"an Avro value is damaged: {how}")


def _state_type(envelope: Datum) -> Datum:
    """The type of `before` and `after`, as a schema of its own."""
    before = next(field for field in envelope["fields"] if field["name"] == "before")
    return {**before["type"][1], "namespace": envelope["namespace"]}


def _announced() -> list[Traversable]:
    """The event schemas of domains from outside this distribution."""
    return [
        resources.files(domain.schema_package) / f"{domain.name}.avsc"
        for domain in DOMAINS.values()
        if domain.schema_package is not None
    ]


@cache
def schema_store() -> SchemaStore:
    """The schemas of this installation, parsed once."""
    return SchemaStore(schema_directory())
