"""Write the golden bytes of events and state where they are missing; what is there is never written again.

Only the last version of a schema can be written: the files of earlier ones stay as they are.

Run with: python -m tests.golden.write
"""

from __future__ import annotations

import json
from pathlib import Path

from connector.avro import decode_event, encode_entity, encode_event
from connector.runtime.sealed_state import Subject
from tests.golden.samples import ACCOUNT, DATA_KEY, ENTITIES, EVENTS, HEADS, POSITION, STATE_VERSIONS, VERSIONS
from tests.unit.test_avro import plain

HERE = Path(__file__).parent

for domain, events in EVENTS.items():
    path = HERE / f"{domain}.v{VERSIONS[domain]}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, event in events.items():
        if name not in kept:
            value = encode_event(domain, event)
            kept[name] = {"value": value.hex(), "event": plain(decode_event(value))}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

subject = Subject(ACCOUNT, DATA_KEY)
records = {
    name: subject.entity_record(subject.entity_key(domain, domain, entity.entity_id), encode_entity(domain, entity))
    for name, (domain, entity) in ENTITIES.items()
}
records |= {name: subject.head_record(domain, head) for name, (domain, head) in HEADS.items()}
records["position"] = subject.position_record(POSITION)
for version in sorted(set(STATE_VERSIONS.values())):
    path = HERE / f"state.v{version}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, record in records.items():
        if STATE_VERSIONS[name] == version and name not in kept and record.value is not None:
            kept[name] = {"key": record.key, "value": subject.open(record).hex(), "sealed": record.value.hex()}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
