"""Up to when is that everything? `python examples/read_checkpoints.py 127.0.0.1:9092 zindigi schemas/avro` tells.

Bootstrap servers, prefix of the topics, schemas; plain aiokafka and fastavro. The newest checkpoint of a partition of
`lifecycle` vouches for every stream in the partitions of that number that is open and that it does not list.
"""

import asyncio
import io
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

settings = {"bootstrap_servers": sys.argv[1], "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
schemas = [parse_schema(json.loads(path.read_bytes())) for path in Path(sys.argv[3]).rglob("*.avsc")]
marks = {fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"): schema for schema in schemas}
present = parse_schema(json.loads(Path(sys.argv[3], "lifecycle.avsc").read_bytes()))


async def newest() -> dict[int, dict]:
    """The newest checkpoint of each partition."""
    found = {}
    async with AIOKafkaConsumer(f"{sys.argv[2]}.lifecycle", **settings) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
            for record in [one for many in (await consumer.getmany(timeout_ms=500)).values() for one in many]:
                event = schemaless_reader(io.BytesIO(record.value[10:]), marks[record.value[2:10].hex()], present)
                if event["event_type"] == "Checkpoint":
                    found[record.partition] = event["after"]["checkpoint"]
    return found


for partition, checkpoint in sorted(asyncio.run(newest()).items()):
    for one in checkpoint["domains"]:
        new, amended = (one[name] or "(not yet)" for name in ("polled_until", "reconciled_until"))
        print(f"partition {partition}, {one['domain']}: nothing new is missing up to {new}", end="; ")
        print(f"no amendment, late entry or removal up to {amended}")
    for one in checkpoint["behind"]:
        since = one["polled_until"] or "(never)"
        print(f"partition {partition}, {one['domain']} of {one['account_id']}: {one['status']}, read up to {since}")
    if checkpoint["behind_count"] > len(checkpoint["behind"]):
        print(f"partition {partition}: more streams are behind than are listed; rely on none of its quiet ones")
