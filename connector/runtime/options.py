"""What can be set about the runtime. Times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.domains.registry import DOMAINS
from connector.runtime.backend import BackendLimits
from connector.runtime.poller import PollLimits


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a resource kind is read: its head, and the whole of its window."""

    head_interval_seconds: float
    reconcile_interval_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a shard is worked. `jitter_ratio` spreads every interval by that part of it, both ways."""

    cadences: Mapping[str, Cadence] = field(default_factory=dict)
    backends: Mapping[str, BackendLimits] = field(default_factory=dict)
    polls: PollLimits = field(default_factory=PollLimits)
    linger_seconds: float = 0.1
    command_interval_seconds: float = 0.5
    checkpoint_seconds: float = 30.0
    profile_interval_seconds: float = 3600.0
    degraded_after_seconds: float = 900.0
    shutdown_seconds: float = 10.0
    jitter_ratio: float = 0.1

    def cadence(self, kind_name: str) -> Cadence:
        """The cadence of a resource kind: as set, else the domain's own."""
        if kind_name in self.cadences:
            return self.cadences[kind_name]
        kind = next(kind for domain in DOMAINS.values() for kind in domain.resources if kind.name == kind_name)
        return Cadence(kind.head_interval_seconds, kind.reconcile_interval_seconds)
