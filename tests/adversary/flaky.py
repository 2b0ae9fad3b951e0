"""A journal whose next commit fails on command, and that remembers when, truly, each checkpoint was committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from connector.errors import JournalError
from connector.ports import Commit

Fault = Literal["before", "after", "kill"]


@dataclass(slots=True)
class Outcomes:
    """`fault`: the next commit fails, before or after it became durable; or whoever made it is killed right after it.

    `told_at`: by sequence.
    """

    now: Callable[[], datetime] | None = None
    fault: Fault | None = None
    told_at: dict[int, datetime] = field(default_factory=dict)


class FlakyJournal:
    """Stands before a journal."""

    def __init__(self, inner: Any, outcomes: Outcomes) -> None:
        self._inner = inner
        self._outcomes = outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def acquire(self, shard: int) -> Any:
        return _FlakyShard(await self._inner.acquire(shard), self._outcomes)


class _FlakyShard:
    def __init__(self, inner: Any, outcomes: Outcomes) -> None:
        self._inner = inner
        self._killed = False
        self._outcomes = outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def restore(self) -> AsyncIterator[Any]:
        async for record in self._inner.restore():
            yield record

    async def release(self) -> None:
        # Who was killed releases nothing: whoever comes next must take it from them.
        if not self._killed:
            await self._inner.release()

    async def commit(self, commit: Commit) -> None:
        fault, self._outcomes.fault = self._outcomes.fault, None
        if fault == "before":
            raise JournalError("planted: nothing was written")
        await self._inner.commit(commit)
        for event in commit.events:
            if event.topic == "lifecycle" and event.key.startswith("shard/") and self._outcomes.now is not None:
                sequence = int(dict(event.headers)["sequence"])
                self._outcomes.told_at[sequence] = self._outcomes.now()
        self._killed = fault == "kill"
        if fault in {"after", "kill"}:
            raise JournalError("planted: nobody knows whether it was written")
