"""A comparison: runs of ours and of yardsticks, round by round, and the ratio of CPU between them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.measure import Sample, Spread, ratio_of
from tests.bench.table import figure, spread, times

COLUMNS = ("journal", "what", "CPU", "wall", "connector / it")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Samples by name, one a round; `ours` is the name of the connector's."""

    journal: str
    ours: str
    samples: dict[str, list[Sample]]

    def ratio(self, name: str) -> Spread:
        """How many times the CPU of `name` ours takes for each thing."""
        return ratio_of(*([sample.cpu_micros for sample in self.samples[one]] for one in (self.ours, name)))

    def rows(self) -> list[tuple[str, ...]]:
        """Lines of a table with `COLUMNS`: microseconds for each thing."""
        lines = []
        for name, samples in self.samples.items():
            cpu = spread(Spread.of([sample.cpu_micros for sample in samples]))
            wall = figure(Spread.of([sample.wall_micros for sample in samples]).median)
            lines.append((self.journal, name, cpu, wall, "" if name == self.ours else times(self.ratio(name))))
        return lines
