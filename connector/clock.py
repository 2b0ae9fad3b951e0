"""The system's clock behind the `Clock` port; nothing else in the package reads time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import anyio
import anyio.lowlevel


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251  # the one place that reads the clock for everybody else

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await anyio.sleep(seconds)
        else:
            await anyio.lowlevel.checkpoint()
