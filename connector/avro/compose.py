"""Composes a domain's event schema: the envelope that all share, around the record types of that domain.

`python -m connector.avro.compose NAME RECORDS.json > NAME.avsc`. The records' file is an array of Avro record types,
each with a doc; the field of `before` and `after` that carries one is its name in snake_case.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connector.avro.schemas import schema_directory
from connector.errors import ConfigurationError

_ENVELOPE_OF = "lending"
"""Any domain's would do: a test holds all envelopes to be the same."""


def compose(name: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The event schema of the domain `name`, with a nullable field for each of its record types.

    Raises:
        ConfigurationError: a record type has no name, fields or doc.
    """
    title = "".join(part.capitalize() for part in name.split("_"))
    namespace = f"pk.zindigi.{name}"
    envelope = json.loads((schema_directory() / f"{_ENVELOPE_OF}.avsc").read_text(encoding="utf-8"))
    state = {
        "type": "record",
        "name": f"{title}State",
        "doc": "One entity of the domain: exactly one field is set.",
        "fields": [_side(record) for record in records],
    }
    sides = {"before": ["null", state], "after": ["null", f"{namespace}.{title}State"]}
    return {
        "type": "record",
        "name": f"{title}Event",
        "namespace": namespace,
        "doc": f"A change in the {name} domain: one topic, one schema.",
        "fields": [{**field, "type": sides.get(field["name"], field["type"])} for field in envelope["fields"]],
    }


def _side(record: dict[str, Any]) -> dict[str, Any]:
    missing = {"name", "fields", "doc"} - record.keys()
    if missing:
        raise ConfigurationError(f"a record type has no {min(missing)}: {sorted(record)}")
    field = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", record["name"]).lower()
    kind = {"type": "record", **record}
    return {
        "name": field,
        "type": ["null", kind],
        "default": None,
        "doc": f"Set for this type of entity, else null: {record['doc']}",
    }


def main(arguments: Sequence[str]) -> int:
    """Write the composed schema to standard output."""
    if len(arguments) != 2:  # noqa: PLR2004  # a name and a file
        sys.stderr.write("usage: python -m connector.avro.compose NAME RECORDS.json > NAME.avsc\n")
        return 2
    name, path = arguments
    records = json.loads(Path(path).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(compose(name, records), indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
