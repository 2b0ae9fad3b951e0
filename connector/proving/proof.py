"""The proof: every committed event, decoded with the published schemas, held against the bank's truth."""

from __future__ import annotations

from typing import Any

from connector.avro import decode_event
from connector.clock import SystemClock
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.journal.choice import open_reader
from connector.proving.rig import Rig
from connector.sandbox.oracle import Verdict, judge


async def read_journal(rig: Rig) -> list[tuple[str, dict[str, Any]]]:
    """Every committed event of a rig's journal as (topic, envelope), in journal order."""
    reader = await open_reader(rig.settings(), SystemClock())
    try:
        topics = (*DOMAINS, LIFECYCLE)
        return [(stored.topic, decode_event(stored.value)) async for stored in reader.read_events(topics)]
    finally:
        await reader.close()


async def prove(rig: Rig, *, settled: bool = True, lockstep: bool = False) -> Verdict:
    """What the oracle says of a rig's journal as it stands."""
    truth = await rig.ask_bank("truth")
    return judge(truth, await read_journal(rig), rig.msisdn_of, settled=settled, lockstep=lockstep)
