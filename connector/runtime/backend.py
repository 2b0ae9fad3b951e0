"""Backend: how hard one backend may be asked, and when not at all.

Pace, hold and circuit breaker are plain bookkeeping over a monotonic clock that the caller reads; nothing here sleeps.
One instance per backend: four backends fail alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]


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
        """How long nothing may be asked: 0 when a call may go out at once.

        An open breaker, a Retry-After and the pace each have their say. Slots that were not used are not saved up, so
        that no burst follows an outage.
        """
        blocked_until = max(self._held_until, self._open_until or 0.0, self._next_slot)
        if self._probing:
            blocked_until = max(blocked_until, now + self.limits.cool_down_seconds)
        return max(0.0, blocked_until - now)

    def begin(self, now: float) -> None:
        """A call goes out."""
        self._next_slot = max(now, self._next_slot) + 1.0 / self.limits.rate_per_second
        if self._open_until is not None:
            self._probing = True

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
