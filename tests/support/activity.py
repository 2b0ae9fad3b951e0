"""Knowing when a program under test has nothing left to do but wait for the clock.

Journal and vault work in threads, calls go to a bank: each of them is counted while it is under way, so that a virtual
clock moves on only when nothing is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import anyio
import anyio.lowlevel


class Activity:
    """How much is under way."""

    def __init__(self) -> None:
        self.under_way = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts as under way until the block ends."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def settle(self) -> None:
        """Return once nothing is under way and no task can run but the one that asks."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # there is no public way
        await anyio.lowlevel.checkpoint()
        while ready or self.under_way:
            # Threads need the processor, too: let the loop's own wait give it to them.
            await (anyio.sleep(0.0005) if self.under_way else anyio.lowlevel.checkpoint())


class Counted:
    """Stands before a journal, shard or vault; whatever is asked of it counts as under way until it is done."""

    def __init__(self, inner: Any, activity: Activity) -> None:
        self._inner = inner
        self._activity = activity

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._counted(value) if callable(value) else value

    async def restore(self) -> AsyncIterator[Any]:
        with self._activity.busy():
            async for record in self._inner.restore():
                yield record

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._activity.busy():
                answer = await method(*args, **kwargs)
            return Counted(answer, self._activity) if hasattr(answer, "pending_commands") else answer

        return call
