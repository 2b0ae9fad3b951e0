"""What can be set about the runtime. Times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from connector.cadence import LIVE, Bounds, Intervals, Mode
from connector.domains.model import ResourceKind
from connector.runtime.backend import BackendLimits
from connector.runtime.poller import PollLimits


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a shard is worked.

    `modes` say how a domain is read unless a link says otherwise (live where neither does), `intervals` how often a
    resource kind is read live, `bounds` how far that adapts. `jitter_ratio` spreads every interval by that part of it,
    both ways. An answer without anything that is known is believed once it has lasted for `empty_confirm_seconds`.
    `bank_tells_time`: the bank's `Date` is the world's time, not that of a simulation.
    """

    modes: Mapping[str, Mode] = field(default_factory=dict)
    intervals: Mapping[str, Intervals] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    backends: Mapping[str, BackendLimits] = field(default_factory=dict)
    polls: PollLimits = field(default_factory=PollLimits)
    linger_seconds: float = 0.1
    command_interval_seconds: float = 0.5
    checkpoint_seconds: float = 30.0
    profile_interval_seconds: float = 300.0
    degraded_after_seconds: float = 900.0
    shutdown_seconds: float = 10.0
    jitter_ratio: float = 0.1
    empty_confirm_seconds: float = 21_600.0
    bank_tells_time: bool = True

    def mode(self, domain: str) -> Mode:
        """How a domain is read where the link does not say."""
        return self.modes.get(domain, LIVE)

    def intervals_of(self, kind: ResourceKind) -> Intervals:
        """The live intervals of a resource kind: as set, else the domain's own."""
        found = self.intervals.get(kind.name)
        return found or Intervals(kind.head_interval_seconds, kind.reconcile_interval_seconds)

    def with_cadence_of(self, other: WorkerOptions) -> WorkerOptions:
        """These options, read as `other` says."""
        return replace(self, modes=other.modes, intervals=other.intervals, bounds=other.bounds)
