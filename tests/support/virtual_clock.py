"""A clock that only moves when told to, or, with `auto_advance`, whenever everybody who waits is asleep."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import anyio
import anyio.lowlevel

START = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
SETTLING_ROUNDS = 10


async def settle(rounds: int = SETTLING_ROUNDS) -> None:
    """Let every task that can run do so a few times."""
    for _ in range(rounds):
        await anyio.lowlevel.checkpoint()


class VirtualClock:
    """Implements the `Clock` port.

    Manual: `await clock.advance(60)` wakes sleepers in the order of their deadlines. Auto: a sleeper whose deadline is
    the next one moves the clock there by itself. The wall clock may be set apart from what has elapsed (`step`), or run
    at another rate (`slew`). `settled` waits until nobody has anything left to do but sleep; where
    work goes on in threads, a few rounds of the event loop are not enough.
    """

    def __init__(self, start: datetime = START, *, auto_advance: bool = False) -> None:
        self.settled: Callable[[], Awaitable[None]] = settle
        self._start = start
        self._elapsed = timedelta()
        self._apart = timedelta()
        self._rate = 0.0
        self._auto_advance = auto_advance
        self._order = count()
        self._sleepers: list[tuple[timedelta, int, anyio.Event]] = []

    def now(self) -> datetime:
        return self._start + self._elapsed * (1 + self._rate) + self._apart

    @property
    def world_time(self) -> datetime:
        """What it really is, whatever the wall clock shows."""
        return self._start + self._elapsed

    def step(self, seconds: float) -> None:
        """Set the wall clock ahead (or back) from where it is; no time elapses."""
        self._apart += timedelta(seconds=seconds)

    def slew(self, parts_per_million: float) -> None:
        """Have the wall clock, from the start on, run faster (or slower) than what elapses."""
        self._rate = parts_per_million / 1e6

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        # Whoever sleeps until a moment must find it come, however little is missing.
        pause = max(timedelta(seconds=seconds), timedelta.resolution)
        sleeper = (self._elapsed + pause, next(self._order), anyio.Event())
        heapq.heappush(self._sleepers, sleeper)
        try:
            if self._auto_advance:
                await self._drive(sleeper)
            else:
                await sleeper[2].wait()
        finally:
            if not sleeper[2].is_set():
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking whoever is due on the way and letting them run."""
        target = self._elapsed + timedelta(seconds=seconds)
        await self.settled()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._wake_first()
            await self.settled()
        self._elapsed = target

    def jump(self, seconds: float) -> None:
        """Move on without letting anybody run in between."""
        self._elapsed += timedelta(seconds=seconds)

    def _wake_first(self) -> None:
        deadline, _, woken = heapq.heappop(self._sleepers)
        self._elapsed = max(self._elapsed, deadline)
        woken.set()

    async def _drive(self, sleeper: tuple[timedelta, int, anyio.Event]) -> None:
        while not sleeper[2].is_set():
            await settle()
            if self._sleepers and self._sleepers[0] is sleeper:
                self._wake_first()
