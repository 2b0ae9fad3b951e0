"""Backend: how hard one backend may be asked, and when not at all.

Pace, hold and circuit breaker are plain bookkeeping over a monotonic clock that the caller reads; nothing here sleeps.
One instance per backend: four backends fail alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

PROBE_LOOK_SECONDS = 0.25
"""How soon to look again while a probe is under way."""


@dataclass(frozen=True, slots=True)
class BackendLimits:
    """Limits of one backend.

    `failure_threshold` failures in a row open the breaker for `cool_down_seconds`, doubled with every failed probe up
    to `maximum_cool_down_seconds`.
    """

    maximum_concurrency: int = 8
    rate_per_second: float = 20.0
    failure_threshold: int = 5
    cool_down_seconds: float = 15.0
    maximum_cool_down_seconds: float = 300.0


class Backend:
    """The state of one backend as seen from here."""

    def __init__(self, name: str, limits: BackendLimits, random: Random) -> None:
        self.name = name
        self.limits = limits
        self._random = random
        self._next_slot = 0.0
        self._held_until = 0.0
        self._failures = 0
        self._cool_down = limits.cool_down_seconds
        self._open_until: float | None = None
        self._probing = False

    def wait_seconds(self, now: float) -> float:
        """How long no read may begin: 0 when one may. An open breaker and a Retry-After each have their say."""
        blocked_until = max(self._held_until, self._open_until or 0.0)
        if self._probing:
            blocked_until = max(blocked_until, now + PROBE_LOOK_SECONDS)
        return max(0.0, blocked_until - now)

    def begin(self) -> None:
        """A read begins; behind an open breaker whose time is up it is the probe."""
        self._probing = self._open_until is not None

    def reserve(self, now: float) -> float:
        """Take the next slot of the pace; the seconds until it comes.

        Slots that were not used are not saved up, so that no burst follows a quiet time.
        """
        slot = max(now, self._next_slot)
        self._next_slot = slot + 1.0 / self.limits.rate_per_second
        return slot - now

    def ended(self) -> None:
        """A read ended; one that told nothing about the backend leaves the next one to be the probe."""
        self._probing = False

    def succeeded(self) -> None:
        """The backend answered sensibly, be it with a refusal."""
        self._failures = 0
        self._probing = False
        self._open_until = None
        self._cool_down = self.limits.cool_down_seconds

    def failed(self, now: float) -> None:
        """The backend was away, or answered 5xx."""
        self._failures += 1
        if self._probing or (self._open_until is None and self._failures >= self.limits.failure_threshold):
            self._open_until = now + self._cool_down * self._random.uniform(0.8, 1.2)
            self._cool_down = min(self._cool_down * 2, self.limits.maximum_cool_down_seconds)
        self._probing = False

    def hold(self, now: float, seconds: float) -> None:
        """The backend asked us to stay away that long."""
        self._probing = False
        self._held_until = max(self._held_until, now + seconds)

    def state(self, now: float) -> BreakerState:
        """The breaker's state, for logs and metrics."""
        if self._open_until is None:
            return "closed"
        return "open" if self._open_until > now else "half_open"
