"""Is every change there, once, in order? `python examples/read_kafka.py 127.0.0.1:9092 zindigi schemas/avro` tells.

Bootstrap servers, prefix of the topics, schemas; plain aiokafka and fastavro. Ends with 1 when something is off.
"""

import asyncio
import io
import json
import sys
from collections import Counter
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

settings = {"bootstrap_servers": sys.argv[1], "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
names = [path.stem for path in Path(sys.argv[3]).glob("*.avsc")]
schemas = [parse_schema(json.loads(path.read_bytes())) for path in Path(sys.argv[3]).rglob("*.avsc")]
marks = {fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"): schema for schema in schemas}


async def main() -> str | None:
    """Read every topic to its present end; say how much there is, and answer with what is off."""
    last, ids, off = Counter(), set(), []
    async with AIOKafkaConsumer(*(f"{sys.argv[2]}.{name}" for name in names), **settings) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
            for record in [one for many in (await consumer.getmany(timeout_ms=500)).values() for one in many]:
                event = schemaless_reader(io.BytesIO(record.value[10:]), marks[record.value[2:10].hex()], None)
                stream, number = f"{event['account_id']} {record.topic}", event["sequence"]
                odd = number > last[stream] + 1 or (number <= last[stream] and event["event_type"] != "EpochBegan")
                if odd or (event["op"] != "r" and event["event_id"] in ids):
                    off.append(f"{stream}: {event['event_id']} has sequence {number}, after {last[stream]}")
                last[stream] = number
                ids.add(event["event_id"])
    print(*(f"{stream}: up to sequence {number}" for stream, number in sorted(last.items())), sep="\n")
    return "\n".join(off) or None


sys.exit(asyncio.run(main()))
