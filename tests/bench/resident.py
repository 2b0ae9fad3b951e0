"""Bytes resident: what a holder and a remembered entity cost in memory, once restored and once polled.

Told twice. The resident set is what the machine gives, free room within Python's arenas included; Python's own heap
(tracemalloc) is what is alive, without what libraries keep outside it (ciphers).
"""

from __future__ import annotations

import ctypes
import gc
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from connector.runtime.connector import worker_options
from tests.bench.cloned_state import HISTORIES, Original, populate, run_originals
from tests.bench.linked import Place, opened_edges, worker_of
from tests.bench.rig import Rig
from tests.bench.table import Table, figure

PAGE_BYTES = 4096
HOLDER_AIM_BYTES = 1024
ENTITY_AIM_BYTES = 96

Gauge = Literal["resident set", "Python heap"]
Phase = Literal["restored", "polled"]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process grew by, in bytes: by restoring its shard, and after every holder was polled once more."""

    gauge: Gauge
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


def solve(points: Sequence[Footprint], phase: Phase) -> Coefficients:
    """The coefficients through three points: a base, one with more holders, one with more entities a holder."""
    base, wide, deep = points
    first, second, third = (getattr(point, phase) for point in points)
    entity = (third - first) / (base.holders * (deep.entities - base.entities))
    holder = (second - first) / (wide.holders - base.holders) - entity * base.entities
    return Coefficients(first - base.holders * (holder + entity * base.entities), holder, entity)


def resident_bytes() -> int:
    """The resident set of this process, after what is free was given back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def heap_bytes() -> int:
    """What Python objects made since tracing began take."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


GAUGES: dict[Gauge, Callable[[], int]] = {"resident set": resident_bytes, "Python heap": heap_bytes}


async def _prepare(place: Place, base_url: str, known: Sequence[Original], holders: int) -> None:
    async with opened_edges(place.settings(base_url)) as edges:
        await populate(edges, known, holders)


async def open_empty(parent: Path, base_url: str) -> None:
    """Open a connector without accounts and close it: what is loaded for any number of them is loaded."""
    settings = Place.fresh(parent, None).settings(base_url)
    async with opened_edges(settings) as edges, worker_of(edges, worker_options(settings)).opened_by_hand():
        pass


async def _measure(place: Place, base_url: str, gauge: Gauge, holders: int, entities: int) -> Footprint:
    await open_empty(place.directory.parent, base_url)
    read = GAUGES[gauge]
    settings = place.settings(base_url)
    if gauge == "Python heap":
        tracemalloc.start()
    async with opened_edges(settings) as edges:
        before = read()
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            restored = read()
            await worker.read_all(worker.linked)
            if worker.polls.counts.unchanged != holders:
                raise RuntimeError(f"{worker.polls.counts.unchanged} polls of {holders} were idle")
            polled = read()
    if gauge == "Python heap":
        tracemalloc.stop()
    return Footprint(gauge, holders, entities, restored - before, polled - before)


def run_prepare(place: Place, base_url: str, known: Sequence[Original], holders: int) -> None:
    """Commit the state of `holders`, in a process that is not measured."""
    anyio.run(_prepare, place, base_url, known, holders)


def run(place: Place, base_url: str, gauge: Gauge, holders: int, entities: int) -> Footprint:
    """Restore and poll what `run_prepare` committed, in this process."""
    return anyio.run(_measure, place, base_url, gauge, holders, entities)


def measure(rig: Rig) -> list[Footprint]:
    """Three points by each gauge, on the embedded journal: what is in memory does not depend on it."""
    found = []
    for holders, entities in rig.scale.resident_points:
        rig.say(f"bytes resident, {holders} holders with {entities} entities")
        with rig.bank(holders, HISTORIES, entities) as bank:
            known = rig.run(run_originals, rig.directory, bank.base_url, min(HISTORIES, holders))
            place = Place.fresh(rig.directory, None)
            rig.run(run_prepare, place, bank.base_url, known, holders)
            found += [rig.run(run, place, bank.base_url, gauge, holders, entities) for gauge in GAUGES]
    return found


def table(figures: list[Footprint]) -> Table:
    """Bytes by gauge and phase."""
    rows = []
    for gauge in GAUGES:
        points = [point for point in figures if point.gauge == gauge]
        phases: tuple[Phase, ...] = ("restored", "polled")
        for phase in phases:
            found = solve(points, phase)
            cells = (found.holder, found.holder / HOLDER_AIM_BYTES, found.entity, found.entity / ENTITY_AIM_BYTES)
            holder, of_holder, entity, of_entity = cells
            rows.append(
                (gauge, phase, figure(holder), f"{of_holder:.2f}x", figure(entity), f"{of_entity:.2f}x")
            )  # fmt: skip
    points_told = ", ".join(f"{point.holders:,} x {point.entities}" for point in figures[:: len(GAUGES)])
    return Table(
        "Bytes resident: a holder, and an entity remembered",
        ("gauge", "phase", "a holder", f"of {HOLDER_AIM_BYTES}", "an entity", f"of {ENTITY_AIM_BYTES}"),
        tuple(rows),
        (f"Solved from holders x entities: {points_told}. 'of' is the part of the aim that is used.",),
    )
