"""Restore: from committed state to memory that can be polled from, and what its parts take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio

from connector.runtime.connector import Edges
from connector.runtime.memory import restore
from connector.runtime.packing import pack_values
from connector.runtime.sealed_state import StateKey, Subject
from tests.bench.cloned_state import originals, populate
from tests.bench.linked import Place, opened_edges
from tests.bench.measure import Sample, metered

HISTORIES = 10


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore of `total.count` state records; and alone: reading them, their subjects' keys, unsealing, packing."""

    total: Sample
    reading: Sample
    keys: Sample
    unsealing: Sample
    packing: Sample


async def _measured(edges: Edges, written: int) -> Restored:
    with metered() as total:
        shard = await edges.journal.acquire(0)
        restored = await restore(0, shard.restore(), await shard.links(), edges.vault)
    await shard.release()
    del restored
    with metered() as reading:
        shard = await edges.journal.acquire(0)
        records = [record async for record in shard.restore()]
        await shard.links()
    await shard.release()
    if len(records) != written:
        raise RuntimeError(f"{len(records)} state records were read of {written}")
    keys = [StateKey.parse(record.key) for record in records]
    accounts = list(dict.fromkeys(key.account_id for key in keys))
    with metered() as keyed:
        subjects = {account: Subject(account, await edges.vault.data_key(account)) for account in accounts}
    values: dict[tuple[str, str, str], list[bytes]] = {}
    with metered() as unsealing:
        for record in records:
            key = StateKey.parse(record.key)
            subject = subjects[key.account_id]
            if key.resource is None:
                subject.open_head(record)
            else:
                values.setdefault((key.account_id, key.domain, key.resource), []).append(subject.open(record))
    with metered() as packing:
        packed = [pack_values(domain, encoded) for (_, domain, _), encoded in values.items()]
    del packed
    return Restored(*(meter.sample(written) for meter in (total, reading, keyed, unsealing, packing)))


async def measure(parent: Path, brokers: str | None, base_url: str, holders: int, rounds: int) -> list[Restored]:
    """Restore `holders` with all that the bank serves, `rounds` times."""
    known = await originals(parent, base_url, HISTORIES)
    async with opened_edges(Place.fresh(parent, brokers).settings(base_url)) as edges:
        written = await populate(edges, known, holders)
        return [await _measured(edges, written) for _ in range(rounds)]


def run(parent: Path, brokers: str | None, base_url: str, holders: int, rounds: int) -> list[Restored]:
    """`measure`, in this process."""
    return anyio.run(measure, parent, brokers, base_url, holders, rounds)
