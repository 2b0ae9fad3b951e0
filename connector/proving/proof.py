"""The proof: every committed event, decoded with the published schemas, held against the bank's truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.avro import decode_event
from connector.clock import SystemClock
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.journal.sqlite import SqliteReader
from connector.proving.rig import Rig
from connector.sandbox.oracle import Verdict, judge


async def read_journal(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every committed event as (topic, envelope), in journal order."""
    reader = await SqliteReader.open(path, clock=SystemClock())
    try:
        topics = (*DOMAINS, LIFECYCLE)
        return [(stored.topic, decode_event(stored.value)) async for stored in reader.read_events(topics)]
    finally:
        await reader.close()


async def prove(rig: Rig, *, settled: bool = True, lockstep: bool = False) -> Verdict:
    """What the oracle says of a rig's journal as it stands."""
    truth = await rig.ask_bank("truth")
    return judge(truth, await read_journal(rig.journal_path), rig.msisdn_of, settled=settled, lockstep=lockstep)
