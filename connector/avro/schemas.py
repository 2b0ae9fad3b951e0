"""The published schemas: where they are, their fingerprints, framing, and reading what any of them wrote.

Framing: ``c3 01``, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), then the Avro binary (Avro 1.12,
"Single-object encoding"). Whoever has `schemas/` can decode every event without us.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import fingerprint, to_parsing_canonical_form

from connector.avro.releases import released
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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who wrote the values of one fingerprint, and what they are read as: the same type as it is today."""

    writer: Codec
    present: Codec


class SchemaStore:
    """Every schema in `schemas/avro/`, the types within them that state is written with, and all that were released.

    What a released version wrote is handed out in the shape of today's, with the defaults of what came later.
    """

    def __init__(self, directory: Path) -> None:
        self.events: dict[str, Codec] = {}
        self.records: dict[str, Codec] = {}
        self._readers: dict[bytes, _Reader] = {}
        own = [(directory, path.stem) for path in sorted(directory.glob("*.avsc"))]
        for place, name in (*own, *_announced()):
            versions = _versions(place, name)
            self.events[name] = self._register(versions)
            self.records[name] = self._register([_state_type(version) for version in versions])
        self.entity = self._register(_versions(directory, "state/entity"))
        self.head = self._register(_versions(directory, "state/head"))
        self.position = self._register(_versions(directory, "state/position"))

    def _register(self, versions: Sequence[Datum]) -> Codec:
        present, *earlier = (Codec(version) for version in versions)
        self._readers[present.fingerprint] = _Reader(present, present)
        for codec in earlier:
            # A release that differs in a doc or a default alone has the present fingerprint: nothing is to be resolved.
            self._readers.setdefault(codec.fingerprint, _Reader(codec, present))
        return present

    def as_present(self, value: bytes, like: Codec | None = None) -> bytes:
        """A single-object encoded value as today's schema would have written it; of the type of `like` where given.

        Today's own values are handed back as they are. Those of an earlier release are read and written anew by
        fastavro, which costs several times what reading alone does.

        Raises:
            DataError: not single-object encoded, an unknown fingerprint, another type, or broken off.
        """
        reader = self._reader_of(value, like)
        if reader.writer is reader.present:
            return value
        return reader.present.encode(_read(value, reader.writer, reader.present))

    def _reader_of(self, value: bytes, like: Codec | None = None) -> _Reader:
        if value[:2] != MAGIC or len(value) < HEADER_BYTES:
            raise DataError("a value is not Avro single-object encoded (it should begin with c3 01)")
        reader = self._readers.get(value[2:HEADER_BYTES])
        if reader is None:
            raise DataError(
                f"no schema under schemas/avro has fingerprint {value[2:HEADER_BYTES].hex()}: "
                "the value was written by a newer version"
            )
        if like is not None and reader.present is not like:
            raise DataError(f"a {like.name} was expected, not a {reader.present.name}")
        return reader

    def decode(self, value: bytes, like: Codec | None = None) -> Datum:
        """A single-object encoded value as a plain dictionary, in today's shape; of the type of `like` where given.

        Raises:
            DataError: not single-object encoded, an unknown fingerprint, another type, or broken off.
        """
        reader = self._reader_of(value, like)
        return _read(value, reader.writer, None if reader.writer is reader.present else reader.present)


def _read(value: bytes, writer: Codec, reads_as: Codec | None) -> Datum:
    body = io.BytesIO(value[HEADER_BYTES:])
    try:
        datum = fastavro.schemaless_reader(body, writer.schema, None if reads_as is None else reads_as.schema)
    except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError, SchemaResolutionError) as error:
        raise damaged(type(error).__name__) from None
    if body.read(1):
        raise damaged("bytes are left over at its end")
    if not isinstance(datum, dict):
        raise damaged("it is no record")
    # A default that was filled in is the schema's own object: whoever changes what he was given must not change that.
    return datum if reads_as is None else deepcopy(datum)


def damaged(how: str) -> DataError:
    """What to say of a value that is not what its header says."""
    return DataError(f"an Avro value is damaged: {how}")


def _versions(directory: Path, name: str) -> list[Datum]:
    """A schema as it is now, then its releases."""
    paths = (directory / f"{name}.avsc", *released(directory, name).values())
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _state_type(envelope: Datum) -> Datum:
    """The type of `before` and `after`, as a schema of its own."""
    before = next(field for field in envelope["fields"] if field["name"] == "before")
    return {**before["type"][1], "namespace": envelope["namespace"]}


def _announced() -> list[tuple[Path, str]]:
    """Directory and name of the event schemas of domains from outside this distribution."""
    return [
        (Path(str(resources.files(domain.schema_package))), domain.name)
        for domain in DOMAINS.values()
        if domain.schema_package is not None
    ]


@cache
def schema_store() -> SchemaStore:
    """The schemas of this installation, parsed once."""
    return SchemaStore(schema_directory())
