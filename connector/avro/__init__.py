"""Avro: schemas/ → encode, decode and framing (Avro single-object encoding).

Records and envelopes are frozen dataclasses whose field names are those of their Avro types, so that encoding follows
the schema and nothing is named twice. fastavro parses the schemas, fingerprints them and reads any value of theirs;
what is written and read for every change is compiled from the same schemas (`compiler`).
"""

from __future__ import annotations

from connector.avro.events import decode_event, encode_event, read_event
from connector.avro.records import encode_record
from connector.avro.schemas import MAGIC, schema_directory, schema_store
from connector.avro.state import (
    decode_entity,
    decode_head,
    decode_position,
    encode_entity,
    encode_head,
    encode_position,
)

__all__ = [
    "MAGIC",
    "decode_entity",
    "decode_event",
    "decode_head",
    "decode_position",
    "encode_entity",
    "encode_event",
    "encode_head",
    "encode_position",
    "encode_record",
    "read_event",
    "schema_directory",
    "schema_store",
]
