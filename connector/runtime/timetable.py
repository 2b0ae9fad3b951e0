"""Timetable: when each resource is read next, by its link's cadence, the settings and what earlier reads showed."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.cadence import Intervals, Live, Mode, Off, PastReads, latest_turn, next_pace, next_turn, share_of
from connector.ports import Clock, Resource
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.options import WorkerOptions

PATIENCE_INTERVALS = 2
PATIENCE_SECONDS = 5.0
"""A resource is overdue when its read is late by this many of its longest live waits, and this long on top."""


class Timetable:
    """One for all shards of a process. `options` may be replaced at any time: see `adopt`."""

    def __init__(self, options: WorkerOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock

    def adopt(self, options: WorkerOptions) -> None:
        """Read by other settings from here on; only what is about cadence is taken over."""
        self.options = self.options.with_cadence_of(options)

    def mode(self, account: AccountMemory, domain: str) -> Mode:
        """How a stream is read: as its link says, else as the settings do."""
        return mode_of(self.options, account, domain)

    def intervals(self, account: AccountMemory, resource: Resource) -> Intervals:
        """How often a resource is read live."""
        mode = self.mode(account, resource.domain)
        own = self.options.intervals_of(resource.kind)
        return mode.intervals(own) if isinstance(mode, Live) else own

    def until_due(self, account: AccountMemory, resource: Resource) -> float | None:
        """For how long a resource must not be read yet; None: not at all in its mode.

        What is read live may be read whenever something asks for it.
        """
        return 0.0 if isinstance(self.mode(account, resource.domain), Live) else self.wait_seconds(account, resource)

    def until_profile_due(self, account: AccountMemory) -> float | None:
        """The same for what the login holds: of no use while every domain is off."""
        covered = account.link.covered_domains if account.link is not None else frozenset[str]()
        off = bool(covered) and all(isinstance(self.mode(account, domain), Off) for domain in covered)
        return None if off else 0.0

    def wait_seconds(self, account: AccountMemory, resource: Resource) -> float | None:
        """How long after a turn that ends now the next one comes; None: never in this mode."""
        now = self._clock.now()
        memory = account.resource(resource.domain, resource.name)
        mode = self.mode(account, resource.domain)
        if memory.due_at_once and not isinstance(mode, Off):
            return 0.0
        past = PastReads(_last_turn(memory), memory.pace, memory.unconfirmed)
        share = share_of(account.account_id, resource.domain)
        due = next_turn(mode, self.intervals(account, resource), past, self.options.bounds, share, now)
        return None if due is None else (due - now).total_seconds()

    def note(self, memory: ResourceMemory, *, active: bool) -> None:
        """Remember whether a read showed something new."""
        memory.pace = next_pace(memory.pace, self.options.bounds, active=active)

    def overdue(self, account: AccountMemory, resource: Resource, now: datetime) -> bool:
        """Should it have been read well by `now`? What is off never should."""
        mode = self.mode(account, resource.domain)
        last_at = _last_read(account.resource(resource.domain, resource.name))
        if isinstance(mode, Off):
            return False
        if last_at is None or last_at > now:
            # A time of a clock that ran ahead is none.
            return True
        intervals, bounds = self.intervals(account, resource), self.options.bounds
        # What is read live has no place in a slot.
        share = 0.0 if isinstance(mode, Live) else share_of(account.account_id, resource.domain)
        expected = latest_turn(mode, intervals, last_at, bounds, share)
        return now > expected + _patience(bounds.slowest_seconds(intervals))

    def profile_overdue(self, account: AccountMemory, now: datetime) -> bool:
        """Should the bank have been asked well by `now` for what the login holds?"""
        asked_at, interval = account.profile_asked_at, self.options.profile_interval_seconds
        return asked_at is None or asked_at > now or now > asked_at + timedelta(seconds=interval) + _patience(interval)


def _patience(wait_seconds: float) -> timedelta:
    """How late a read may be that comes after such waits."""
    return timedelta(seconds=PATIENCE_INTERVALS * wait_seconds + PATIENCE_SECONDS)


def mode_of(options: WorkerOptions, account: AccountMemory, domain: str) -> Mode:
    """How a stream is read by `options`, unless its link says otherwise."""
    asked = account.link.mode(domain) if account.link is not None else None
    return options.mode(domain) if asked is None else asked


def _last_turn(memory: ResourceMemory) -> datetime | None:
    """When it was last asked for, also where what it showed waits to be believed: that is not asked again at once."""
    in_this_life = [at for at in (memory.looked_at, memory.read_at) if at is not None]
    return max(in_this_life) if in_this_life else memory.meta.swept_at


def _last_read(memory: ResourceMemory) -> datetime | None:
    """When it was last read: in this life, else the last complete read that was committed."""
    return memory.read_at or memory.meta.swept_at
