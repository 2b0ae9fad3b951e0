"""Restore: from committed state to memory that can be polled from, and what its parts take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from connector.runtime.connector import Edges
from connector.runtime.memory import restore, shard_subject
from connector.runtime.packing import pack
from connector.runtime.sealed_state import StateKey, Subject
from tests.bench.cloned_state import HISTORIES, Original, populate, run_originals
from tests.bench.linked import Place, opened_edges
from tests.bench.measure import Sample, Spread, metered
from tests.bench.rig import Rig
from tests.bench.table import Table, figure

PARTS = ("reading", "keys", "unsealing", "packing")


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore of `total.count` state records, the shard's acquisition included; and its parts, each done alone.

    `reading` acquires, too; `keys` asks the vault and derives; `unsealing` opens values and decodes heads; `empty` is
    the acquisition of a shard without state.
    """

    total: Sample
    reading: Sample
    keys: Sample
    unsealing: Sample
    packing: Sample
    empty: Sample


@dataclass(frozen=True, slots=True)
class Restores:
    """Rounds of one journal with so many entities a holder."""

    journal: str
    entities: int
    holders: int
    rounds: list[Restored]


async def _measured(edges: Edges, written: int, empty: Sample) -> Restored:
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
    records = [record for record in records if not record.key.startswith(shard_subject(0))]
    if len(records) != written:
        raise RuntimeError(f"{len(records)} state records were read of {written}")
    accounts = list(dict.fromkeys(StateKey.parse(record.key).account_id for record in records))
    with metered() as keys:
        data_keys = await edges.vault.data_keys()
        subjects = {account: Subject(account, data_keys[account]) for account in accounts if account in data_keys}
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
        packed = [pack(domain, encoded) for (_, domain, _), encoded in values.items()]
    del packed
    samples = (meter.sample(written) for meter in (total, reading, keys, unsealing, packing))
    return Restored(*samples, empty=empty)


async def _restored(place: Place, base_url: str, known: Sequence[Original], holders: int, rounds: int) -> Restores:
    async with opened_edges(place.settings(base_url)) as edges:
        await (await edges.journal.acquire(0)).release()
        with metered() as empty:
            shard = await edges.journal.acquire(0)
            await restore(0, shard.restore(), await shard.links(), edges.vault)
        await shard.release()
        written = await populate(edges, known, holders)
        measured = [await _measured(edges, written, empty.sample(1)) for _ in range(rounds)]
        return Restores(place.journal, known[0].entity_count, holders, measured)


def run(
    parent: Path, brokers: str | None, base_url: str, known: Sequence[Original], holders: int, rounds: int
) -> Restores:
    """Restore `holders` with what `known` remember, `rounds` times, in this process."""
    return anyio.run(_restored, Place.fresh(parent, brokers), base_url, known, holders, rounds)


def measure(rig: Rig) -> list[Restores]:
    """Every journal, with few and many entities a holder and about as many records in all."""
    found = []
    for entities in rig.scale.restore_entities:
        holders = max(1, rig.scale.restore_records // entities)
        with rig.bank(holders, HISTORIES, entities) as bank:
            known = rig.run(run_originals, rig.directory, bank.base_url, min(HISTORIES, holders))
            for journal, brokers in rig.journals.items():
                rig.say(f"restore, {journal}, {entities} entities a holder")
                place = (rig.directory, brokers, bank.base_url)
                found.append(rig.run(run, *place, known, holders, rig.scale.rounds))
    return found


def table(figures: list[Restores]) -> Table:
    """State records a second, and CPU microseconds a record by part."""
    rows = []
    for restores in figures:
        rounds = restores.rounds
        parts = (
            figure(Spread.of([getattr(one, part).cpu_micros for one in rounds]).median) for part in ("total", *PARTS)
        )
        rows.append(
            (
                restores.journal,
                f"{restores.holders:,} x {restores.entities}",
                figure(Spread.of([1e6 / one.total.cpu_micros / 1000 for one in rounds]).median),
                figure(Spread.of([1e6 / one.total.wall_micros / 1000 for one in rounds]).median),
                figure(Spread.of([one.total.wall_seconds for one in rounds]).median),
                *parts,
            )
        )
    empties = {restores.journal: restores.rounds[0].empty.wall_seconds for restores in figures}
    taken = ", ".join(f"{seconds:.2f} s on {journal}" for journal, seconds in empties.items())
    return Table(
        "Restore of holders x entities",
        ("journal", "what", "k/s", "wall", "s", "us", "read", "keys", "unseal", "pack"),
        tuple(rows),
        (
            (
                "k/s is thousand state records a second by CPU, then by wall. The seconds include taking the shard and "
                "reading its links. Then CPU us a record: of all of it, and of its parts, each done alone: reading "
                "(taking included), data keys from the vault, unsealing, packing."
            ),
            f"Taking a shard without state takes {taken}.",
        ),
    )
