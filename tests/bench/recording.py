"""A journal that keeps what passes through it to the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from connector.links import Command, Link
from connector.ports import Commit, Damaged, Journal, LastCommit, Shard, StateRecord


class RecordingJournal:
    """`ports.Journal` before another; `commits` are those that succeeded."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.shard_count = journal.shard_count
        self.epoch = journal.epoch
        self.commits: list[Commit] = []

    async def last_commit(self, shard: int, *, settled: bool = False) -> LastCommit:
        return await self._journal.last_commit(shard, settled=settled)

    async def begin_epoch(self) -> str:
        return await self._journal.begin_epoch()

    async def acquire(self, shard: int) -> Shard:
        return RecordingShard(await self._journal.acquire(shard), self.commits)

    async def close(self) -> None:
        await self._journal.close()


class RecordingShard:
    """`ports.Shard` before another."""

    def __init__(self, shard: Shard, commits: list[Commit]) -> None:
        self._shard = shard
        self._commits = commits
        self.number = shard.number
        self.committed_number = shard.committed_number
        self.epoch = shard.epoch
        self.last = shard.last
        self.maximum_record_bytes = shard.maximum_record_bytes

    def restore(self) -> AsyncIterator[StateRecord]:
        return self._shard.restore()

    async def links(self) -> Mapping[str, Link]:
        return await self._shard.links()

    async def pending_commands(self) -> tuple[Command, ...]:
        return await self._shard.pending_commands()

    async def damaged(self) -> tuple[Damaged, ...]:
        return await self._shard.damaged()

    async def commit(self, commit: Commit) -> None:
        await self._shard.commit(commit)
        self._commits.append(commit)

    async def release(self) -> None:
        await self._shard.release()


def event_bytes(commit: Commit) -> int:
    """Keys, values and headers of its events."""
    return sum(
        len(event.key) + len(event.value) + sum(len(name) + len(value) for name, value in event.headers)
        for event in commit.events
    )


def state_bytes(commit: Commit) -> int:
    """Keys and values of its state, and of where the shard stands."""
    position = () if commit.position is None else (commit.position,)
    return sum(len(record.key) + len(record.value or b"") for record in (*commit.state, *position))
