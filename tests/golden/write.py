"""Write the golden bytes of schema version 1 where they are missing; what is there is never written again.

Run with: python -m tests.golden.write
"""

from __future__ import annotations

import json
from pathlib import Path

from connector.avro import decode_event, encode_event
from tests.golden.samples import EVENTS
from tests.unit.test_avro import plain

HERE = Path(__file__).parent

for domain, events in EVENTS.items():
    path = HERE / f"{domain}.v1.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, event in events.items():
        if name not in kept:
            value = encode_event(domain, event)
            kept[name] = {"value": value.hex(), "event": plain(decode_event(value))}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
