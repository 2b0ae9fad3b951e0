"""The proof: every committed event, decoded with the published schemas, held against the bank's truth.

The bank's own books are the measure of what was told; the connector's word is taken only for when it has come to rest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.avro import decode_event
from connector.clock import SystemClock
from connector.domains.lifecycle import CHECKPOINT_TYPE
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.journal.choice import open_reader
from connector.proving.rig import LOOK_SECONDS, Rig, RigError, patience
from connector.sandbox.oracle import Verdict, judge

TOPICS = (*DOMAINS, LIFECYCLE)
SETTLE_SECONDS = 300.0
COMPLETE_READS = 3
"""Two prove a removal, and by the next the bank knows that the second arrived: it can then claim all that was read."""


async def read_journal(rig: Rig, topics: tuple[str, ...] = TOPICS) -> list[tuple[str, dict[str, Any]]]:
    """Every committed event of a rig's journal as (topic, envelope), in journal order."""
    reader = await open_reader(rig.settings(), SystemClock())
    try:
        return [(stored.topic, decode_event(stored.value)) async for stored in reader.read_events(topics)]
    finally:
        await reader.close()


async def prove(rig: Rig, *, settled: bool = True, lockstep: bool = False) -> Verdict:
    """What the oracle says of a rig's journal as it stands."""
    truth = await rig.ask_bank("truth")
    return judge(truth, await read_journal(rig), rig.msisdn_of, settled=settled, lockstep=lockstep)


async def wait_settled(rig: Rig, *, within_seconds: float = SETTLE_SECONDS, since: datetime | None = None) -> None:
    """Until checkpoints of all shards vouch for everything that a bank at rest shows.

    It must stand still `since` then: since now, where that is not said.

    Raises:
        RigError: the connector ended by itself.
        PatienceError: a holder is not logged in, or the connector did not come to rest in time.
    """
    since = since or SystemClock().now()
    wanted = "nothing was asked yet"
    with patience(within_seconds, lambda: wanted, rig.log_path):
        while wanted := await _unserved(rig) or await _unreconciled(rig, since):
            if rig.connector is not None and rig.connector.returncode is not None:
                raise RigError(f"the connector ended by itself, exit code {rig.connector.returncode}")
            await SystemClock().sleep(LOOK_SECONDS * 2)


async def _unserved(rig: Rig) -> str:
    """What the bank has not been asked for often enough since it stood still; empty where nothing is."""
    answer = await rig.ask_bank(f"settled?k={COMPLETE_READS}")
    # The bank speaks of those who are logged in: a holder whose session it ended is not settled at all.
    if answer["holders"] < len(rig.msisdn_of):
        return f"{answer['holders']} of {len(rig.msisdn_of)} holders are logged in"
    if answer["settled"]:
        return ""
    if not answer["missing"]:
        return "nobody is logged in"
    first, more = answer["missing"][0], len(answer["missing"]) - 1
    reads = f"{first['complete']} of {first['wanted']} complete reads"
    also = f", and {more} more resources likewise" if more else ""
    return f"{first['resource']} of the holder ending in {first['msisdn'][-4:]} has had {reads}{also}"


async def _unreconciled(rig: Rig, since: datetime) -> str:
    """Which shard's checkpoint does not vouch for the bank at rest; empty where all do."""
    newest: dict[str, dict[str, Any]] = {}
    for _, event in await read_journal(rig, (LIFECYCLE,)):
        if event["event_type"] == CHECKPOINT_TYPE:
            newest[event["account_id"]] = event["after"]["checkpoint"]
    if len(newest) < rig.settings().journal.shard_count:
        return f"{len(newest)} of {rig.settings().journal.shard_count} shards have told a checkpoint"
    for shard, told in newest.items():
        if told["behind_count"]:
            first = next(iter(told["behind"]), {"domain": "a stream", "status": "behind"})
            return f"{shard}: {told['behind_count']} streams are behind, {first['domain']} ({first['status']}) first"
        if not vouches_since(told, since):
            return f"{shard} vouches up to {told['reconciled_until']}, the bank stands still since {since}"
    return ""


def vouches_since(checkpoint: dict[str, Any], since: datetime) -> bool:
    """A shard that no account fell to has nothing to vouch for."""
    until = checkpoint["reconciled_until"]
    return checkpoint["streams"] == 0 or (until is not None and until > since)
