"""Bytes resident: what a holder and a remembered entity cost in memory, restored and polled.

Measured as the resident set of a process, because keys and ciphers live outside Python's own heap.
"""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass
from pathlib import Path

import anyio

from connector.runtime.connector import worker_options
from tests.bench.cloned_state import originals, populate
from tests.bench.linked import Place, opened_edges, worker_of
from tests.bench.restoring import HISTORIES

PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process grew by, in bytes: by restoring its shard, and after every holder was polled once more."""

    holders: int
    entities: int
    restored: int
    polled: int


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Bytes are `fixed` and, for each holder, `holder` and as often as it has entities `entity`."""

    fixed: float
    holder: float
    entity: float


def solve(base: Footprint, more_holders: Footprint, more_entities: Footprint, phase: str) -> Coefficients:
    """The coefficients through three points, the second with more holders, the third with more entities a holder."""
    first, second, third = (getattr(point, phase) for point in (base, more_holders, more_entities))
    entity = (third - first) / (base.holders * (more_entities.entities - base.entities))
    holder = (second - first) / (more_holders.holders - base.holders) - entity * base.entities
    return Coefficients(first - base.holders * (holder + entity * base.entities), holder, entity)


def resident_bytes() -> int:
    """The resident set of this process, after what is free was given back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


async def prepare(place: Place, base_url: str, holders: int) -> None:
    """Commit the state of `holders`, in a process that is not measured."""
    known = await originals(place.directory.parent, base_url, HISTORIES)
    async with opened_edges(place.settings(base_url)) as edges:
        await populate(edges, known, holders)


async def measure(place: Place, base_url: str, holders: int, entities: int) -> Footprint:
    """Restore and poll what `prepare` committed."""
    warm = Place.fresh(place.directory.parent, None)
    async with opened_edges(warm.settings(base_url)) as edges:
        await populate(edges, [], 0)
        async with worker_of(edges, worker_options(warm.settings(base_url))).opened_by_hand():
            pass
    settings = place.settings(base_url)
    async with opened_edges(settings) as edges:
        before = resident_bytes()
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            restored = resident_bytes()
            await worker.read_all(worker.linked)
            if worker.polls.counts.unchanged != holders:
                raise RuntimeError(f"{worker.polls.counts.unchanged} polls of {holders} were idle")
            return Footprint(holders, entities, restored - before, resident_bytes() - before)


def run_prepare(place: Place, base_url: str, holders: int) -> None:
    """`prepare`, in this process."""
    anyio.run(prepare, place, base_url, holders)


def run(place: Place, base_url: str, holders: int, entities: int) -> Footprint:
    """`measure`, in this process."""
    return anyio.run(measure, place, base_url, holders, entities)
