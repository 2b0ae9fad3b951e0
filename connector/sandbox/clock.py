"""Real time, behind a seam.

Two kinds of time meet in the sandbox. Tokens, one-time passwords, locks and Retry-After run in *real* time, read
here. Ledger time is the simulation's own and is never read from a clock: see `core.Bank`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Real time as the bank's front door sees it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    def wall(self) -> datetime:
        """The UTC instant, for texts that a person reads."""

    async def sleep(self, seconds: float) -> None:
        """Wait, for the latency fault."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wall(self) -> datetime:
        """See `Clock.wall`."""
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)  # noqa: TID251 - the one place that waits


class ManualClock:
    """A clock that moves only when told to; sleeping moves it at once."""

    def __init__(self, wall: datetime = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)) -> None:
        self._start = wall
        self._elapsed = 0.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._elapsed += seconds

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._elapsed

    def wall(self) -> datetime:
        """See `Clock.wall`."""
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self._elapsed += seconds
        await asyncio.sleep(0)  # noqa: TID251 - lets other requests in, as a real wait would
