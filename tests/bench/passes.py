"""Passes: what is read in an hour, how deep and how often, by every registered domain and the default cadence. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connector.cadence import LIVE, Bounds, Intervals, PastReads, next_pace, next_turn
from connector.domains.model import EPOCH, Feed
from connector.domains.registry import DOMAINS
from connector.runtime.job_board import PROFILE, Job
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions
from tests.bench.hour_figures import HOUR_SECONDS, LOGIN, Depth


@dataclass(frozen=True, slots=True)
class Pass:
    """One kind of resource read at one depth.

    `turns_an_hour` is how often that is due at default cadence while nothing happens, `turns_after_change` how many
    turns come on top of that whenever something has.
    """

    domain: str
    kind: str
    depth: Depth
    turns_an_hour: float
    turns_after_change: float

    def jobs(self, accounts: Iterable[AccountMemory]) -> list[Job]:
        """Reads of every such resource of these accounts."""
        if self.kind == PROFILE:
            return [Job(account.account_id, "", PROFILE) for account in accounts]
        return [
            Job(account.account_id, domain, name)
            for account in accounts
            for (domain, name), resource in account.resources.items()
            if resource.kind.name == self.kind
        ]


def passes_of(options: WorkerOptions) -> list[Pass]:
    """Every kind of resource of every registered domain, at the depths that it has; and the login itself."""
    found = [Pass(LOGIN, PROFILE, "head", HOUR_SECONDS / options.profile_interval_seconds, 0.0)]
    for domain in DOMAINS.values():
        for kind in domain.resources:
            intervals, bounds = options.intervals_of(kind), options.bounds
            turns = HOUR_SECONDS / wait_seconds(intervals, bounds, bounds.slowest_ratio)
            # A complete read takes the turn of a head read; what is always read whole has no other.
            complete = min(turns, HOUR_SECONDS / intervals.reconcile_interval_seconds)
            if kind.feed is Feed.WHOLE:
                complete = 0.0
            found.append(Pass(domain.name, kind.name, "head", turns - complete, turns_after_change(intervals, bounds)))
            if complete:
                found.append(Pass(domain.name, kind.name, "complete", complete, 0.0))
    return found


def wait_seconds(intervals: Intervals, bounds: Bounds, pace: float) -> float:
    """How long after a read at that pace the next one is due."""
    turn = next_turn(LIVE, intervals, PastReads(EPOCH, pace), bounds, 0.0, EPOCH)
    if turn is None:
        raise ValueError("what is read live has a next turn")
    return (turn - EPOCH).total_seconds()


def turns_after_change(intervals: Intervals, bounds: Bounds) -> float:
    """By how many turns a resource that changed is read more often until it is as quiet as before."""
    slowest = wait_seconds(intervals, bounds, bounds.slowest_ratio)
    pace, more = next_pace(bounds.slowest_ratio, bounds, active=True), 0.0
    while (wait := wait_seconds(intervals, bounds, pace)) < slowest:
        more += 1 - wait / slowest
        pace = next_pace(pace, bounds, active=False)
    return more
