"""Shard worker: one shard from acquisition to release. Owns its memory, reads what is due, applies commands.

Supervised by whoever runs it: it ends by returning when asked to stop, or by raising; it never dies in silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import anyio
from anyio.abc import TaskGroup

from connector.domains.registry import DOMAINS
from connector.ports import Clock, Journal, Shard, Source, Vault
from connector.runtime.backend import Backend
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.isolation import Isolation
from connector.runtime.job_board import PROFILE, Job, JobBoard, wanted
from connector.runtime.job_runner import JobRunner
from connector.runtime.lifecycle import Lifecycle, checkpoint_of
from connector.runtime.memory import AccountMemory, restore, shard_subject
from connector.runtime.options import WorkerOptions
from connector.runtime.paced_source import PacedSource
from connector.runtime.poller import Poller
from connector.runtime.polls import Polls
from connector.runtime.sealed_state import Subject
from connector.telemetry import logger

PATIENCE_INTERVALS = 3
PATIENCE_SECONDS = 5.0
"""A stream is behind when it was not read well for this many of its intervals, and this long on top."""


class ShardWorker:
    """Works one shard of the journal. `isolation` is what earlier lives have found out about its streams."""

    def __init__(
        self,
        number: int,
        *,
        journal: Journal,
        vault: Vault,
        source: Source,
        clock: Clock,
        options: WorkerOptions,
        random: Random,
        isolation: Isolation | None = None,
    ) -> None:
        self.number = number
        self._isolation = isolation or Isolation(clock)
        self._journal = journal
        self._vault = vault
        self._clock = clock
        self._options = options
        self._log = logger(__name__).bind(shard=number)
        self._board = JobBoard(clock, options, random)
        self._source = PacedSource(source, clock, self._board.backends)
        self.polls = Polls(self._source, Poller(self._source, options.polls), clock, options.cadence)
        self.accounts: dict[str, AccountMemory] = {}
        self.restored = anyio.Event()
        """Set once the shard is ours and memory mirrors it."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Acquire the shard, restore memory, and commit what is submitted until the block ends.

        Raises:
            ConfigurationError: the shard is held by somebody who cannot be fenced.
            JournalError: memory no longer mirrors the journal (within an ExceptionGroup).
        """
        shard = await self._journal.acquire(self.number)
        try:
            async with anyio.create_task_group() as tasks:
                await self._open(shard, tasks)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await shard.release()

    async def _open(self, shard: Shard, tasks: TaskGroup) -> None:
        restored = await restore(self.number, shard.restore(), await shard.links(), self._vault)
        self._shard = shard
        self.accounts = restored.accounts
        self._isolation.restored(restored.commit_number)
        self.commits = CommitLoop(
            shard,
            restored.commit_number,
            self._clock,
            self.polls.gate_write,
            self._options.linger_seconds,
            self._isolation,
        )
        self.lifecycle = Lifecycle(self._clock, self.commits)
        self.runner = JobRunner(
            board=self._board,
            polls=self.polls,
            source=self._source,
            vault=self._vault,
            commits=self.commits,
            lifecycle=self.lifecycle,
            clock=self._clock,
            options=self._options,
        )
        tasks.start_soon(self.commits.run)
        self.restored.set()
        self._log.info("shard_restored", accounts_count=len(self.accounts), commit_number=restored.commit_number)

    async def run(self, stop: anyio.Event) -> None:
        """Work until `stop` is set; then finish what is in flight, within `shutdown_seconds`.

        Raises: what `opened` raises.
        """
        async with self.opened():
            # Before anything else: a session that was stored for a link that comes back must not be ended.
            await self.apply_commands()
            for account in self.accounts.values():
                self._schedule_profile(account)
            async with anyio.create_task_group() as jobs:
                async with anyio.create_task_group() as rounds:
                    rounds.start_soon(self._every, self._options.command_interval_seconds, self.apply_commands)
                    rounds.start_soon(self._every, self._options.checkpoint_seconds, self.checkpoint)
                    for backend in self._board.backends.values():
                        rounds.start_soon(self._dispatch, backend, jobs)
                    await stop.wait()
                    rounds.cancel_scope.cancel()
                jobs.cancel_scope.deadline = anyio.current_time() + self._options.shutdown_seconds
        self._log.info("shard_released")

    async def apply_commands(self) -> None:
        """Apply what command lines asked for since last time."""
        for command in await self._shard.pending_commands():
            account = self.accounts.get(command.account_id)
            if account is None:
                subject = Subject(command.account_id, await self._vault.data_key(command.account_id))
                account = self.accounts.setdefault(command.account_id, AccountMemory(command.account_id, subject))
            await self.lifecycle.apply(account, command)
            self._log.info("command_applied", account_id=account.account_id, command=command.kind)
            if command.kind in {"connect", "resume"}:
                self._board.forgive(account.account_id)
                self._schedule_profile(account)
        await self._end_sessions()

    async def checkpoint(self) -> None:
        """Say up to when this shard has seen the bank; notice consents that ran out meanwhile."""
        for account in tuple(self.accounts.values()):
            await self.runner.look_at_consent(account)
            await self.lifecycle.close_owed(account)
        await self._end_sessions()
        kinds = [kind.name for domain in DOMAINS.values() for kind in domain.resources]
        patience = {name: self._patience(name) for name in kinds}
        told = checkpoint_of(
            self.number, self.accounts.values(), self._clock.now(), patience, held=self._isolation.held
        )
        await self.lifecycle.checkpoint(self.accounts[shard_subject(self.number)], told)
        counts = self.polls.counts
        self._log.info(
            "checkpoint",
            streams_count=told.streams,
            behind_count=told.behind_count,
            polls_count=counts.polls,
            unchanged_count=counts.unchanged,
            committed_count=counts.committed,
            quarantined_count=counts.quarantined,
            unknown_fields_count=sum(counts.unknown_fields.values()),
        )

    async def sweep(self) -> None:
        """Read everything of every link completely, once, and commit what that shows.

        Raises: what polls raise; the first failure ends it.
        """
        for account in tuple(self.accounts.values()):
            if wanted(Job(account.account_id, "", PROFILE), account):
                await self.runner.sweep(account)

    async def _end_sessions(self) -> None:
        """No session outlives its link, even where the connector died between the link's end and the logout."""
        for account in tuple(self.accounts.values()):
            if account.link is not None and account.link.over:
                await self.runner.end_session(account)

    async def _dispatch(self, backend: Backend, jobs: TaskGroup) -> None:
        slots = anyio.Semaphore(backend.limits.maximum_concurrency)
        while True:
            await slots.acquire()
            job = await self._board.next_job(backend)
            jobs.start_soon(self._run_job, job, slots)

    async def _run_job(self, job: Job, slots: anyio.Semaphore) -> None:
        try:
            await self.runner.run(job, self.accounts[job.account_id])
        finally:
            slots.release()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await work()
            await self._clock.sleep(seconds)

    def _schedule_profile(self, account: AccountMemory) -> None:
        job = Job(account.account_id, "", PROFILE)
        if wanted(job, account):
            self._board.put(job, 0.0)

    def _patience(self, kind_name: str) -> timedelta:
        interval = self._options.cadence(kind_name).head_interval_seconds
        return timedelta(seconds=PATIENCE_INTERVALS * interval + PATIENCE_SECONDS)
