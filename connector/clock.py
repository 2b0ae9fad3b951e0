"""The system's clock behind the `Clock` port; nothing else in the package reads time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import anyio
import anyio.lowlevel

STEP_SECONDS: Final = 5.0
"""How often a long wait looks again at how much of it is left."""

_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""It goes on while the machine is suspended, where the system has such a clock."""


class SystemClock:
    """Real time. A wait that a suspend falls into ends within `STEP_SECONDS` of its moment, or of the waking up."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251  # the one place that reads the clock for everybody else

    def monotonic(self) -> float:
        return time.clock_gettime(_ELAPSED)

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await sleep_in_steps(seconds, self.monotonic, anyio.sleep)
        else:
            await anyio.lowlevel.checkpoint()


async def sleep_in_steps(
    seconds: float, elapsed: Callable[[], float], pause: Callable[[float], Awaitable[None]]
) -> None:
    """Wait until `seconds` have gone by on the clock `elapsed`, by `pause`s whose own clock may stand still meanwhile.

    The event loop sleeps on a clock that stops in a suspend: one long pause would be late by the whole of it.
    """
    until = elapsed() + seconds
    left = seconds
    while left > 0:
        await pause(min(left, STEP_SECONDS))
        left = until - elapsed()
