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

directory = Path(sys.argv[1])
present, writers = {}, {}
for path in sorted(directory.rglob("*.avsc")):
    schema = json.loads(path.read_text(encoding="utf-8"))
    # Avro single-object encoding: c3 01, then the CRC-64-AVRO fingerprint of the schema that wrote the value.
    header = bytes.fromhex("c301" + fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    writers[header] = parse_schema(schema)
    if path.parent == directory:
        present[path.stem] = writers[header]

for line in sys.stdin:
    topic, value = line.rstrip("\n").split("\t")
    raw = bytes.fromhex(value)
    # What a released version wrote is read as the present one, with the defaults of its later fields.
    event = schemaless_reader(io.BytesIO(raw[10:]), writers[raw[:10]], present[topic])
    # Decimals, instants (UTC) and dates print as they read.
    print(json.dumps({"topic": topic, **event}, default=str, ensure_ascii=False))
