"""Decode events with nothing but the schemas: fastavro and the standard library.

    zindigi events --raw | python examples/read_events.py schemas/avro

Reads lines of `topic TAB hex` and prints one JSON object a line. Needs: pip install fastavro
"""

import io
import json
import sys
from pathlib import Path

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

schemas = {}
for path in Path(sys.argv[1]).glob("*.avsc"):
    schema = json.loads(path.read_text(encoding="utf-8"))
    # Avro single-object encoding: c3 01, then the CRC-64-AVRO fingerprint of the schema that wrote the value.
    schemas[bytes.fromhex("c301" + fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))] = parse_schema(
        schema
    )

for line in sys.stdin:
    topic, value = line.rstrip("\n").split("\t")
    raw = bytes.fromhex(value)
    event = schemaless_reader(io.BytesIO(raw[10:]), schemas[raw[:10]], None)
    # Decimals, instants (UTC) and dates print as they read.
    print(json.dumps({"topic": topic, **event}, default=str, ensure_ascii=False))
