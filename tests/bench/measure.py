"""What is measured, and pure arithmetic on it."""

from __future__ import annotations

import cProfile
import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: CPU seconds of the whole process, threads included; wall seconds; and how many things were done."""

    cpu_seconds: float
    wall_seconds: float
    count: int

    @property
    def cpu_micros(self) -> float:
        """CPU microseconds for each thing."""
        return self.cpu_seconds / self.count * 1e6

    @property
    def wall_micros(self) -> float:
        """Wall microseconds for each thing."""
        return self.wall_seconds / self.count * 1e6


class Meter:
    """What was used since it was started, up to when it was stopped."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.wall_seconds = 0.0

    def sample(self, count: int) -> Sample:
        """The measured time, spent on `count` things."""
        return Sample(self.cpu_seconds, self.wall_seconds, count)


profilers: list[cProfile.Profile] = []
"""Where there is one, the next measured block runs under it, and its times are not worth reading."""


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure the block. Garbage of what came before is collected first."""
    gc.collect()
    meter = Meter()
    profiler = profilers.pop() if profilers else None
    if profiler is not None:
        profiler.enable()
    cpu, wall = time.process_time(), time.perf_counter()
    yield meter
    meter.cpu_seconds = time.process_time() - cpu
    meter.wall_seconds = time.perf_counter() - wall
    if profiler is not None:
        profiler.disable()


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))


def ratio_of(ours: Sequence[float], yardstick: Sequence[float]) -> Spread:
    """How many times the yardstick ours takes, round by round: both of a round met the same weather."""
    return Spread.of([one / other for one, other in zip(ours, yardstick, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share (0 to 1) of the values do not exceed: the nearest-rank method."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def apart(work: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
    """What `work` returns, done in a fresh process: no run inherits another's heap, caches or threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments, **keywords).result()
