"""Shard worker: one shard from acquisition to release. Owns its memory, reads what is due, applies commands.

Supervised by whoever runs it: it ends by returning when asked to stop, or by raising; it never dies in silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio
from anyio.abc import TaskGroup

from connector.cadence import Mode, Off
from connector.chain import Chain
from connector.ports import Clock, Journal, Shard, Source, Vault
from connector.runtime.backend import Backend
from connector.runtime.branch import Branch, MarkKeeper, require_fit, require_sound
from connector.runtime.checkpoint import checkpoint_of
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.isolation import Isolation
from connector.runtime.job_board import PROFILE, Job, JobBoard, wanted
from connector.runtime.job_runner import JobRunner
from connector.runtime.lifecycle import Lifecycle
from connector.runtime.memory import AccountMemory, restore, shard_subject
from connector.runtime.options import WorkerOptions
from connector.runtime.paced_source import PacedSource
from connector.runtime.poller import Poller
from connector.runtime.polls import Polls
from connector.runtime.sealed_state import Subject
from connector.runtime.timetable import Timetable, mode_of
from connector.telemetry import logger


class ShardWorker:
    """Works one shard of the journal.

    `isolation` is what earlier lives have found out about its streams, `timetable` what all shards are read by.
    """

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
        timetable: Timetable | None = None,
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
        self._timetable = timetable or Timetable(options, clock)
        self._read_by = self._timetable.options
        self.polls = Polls(self._source, Poller(self._source, options.polls), clock, self._timetable)
        self.accounts: dict[str, AccountMemory] = {}
        self.restored = anyio.Event()
        """Set once the shard is ours and memory mirrors it."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Acquire the shard, restore memory, and commit what is submitted until the block ends.

        Raises:
            ConfigurationError: the shard is held by somebody who cannot be fenced; or the journal is behind what the
                vault knows, or was changed by somebody else.
            JournalError: memory no longer mirrors the journal (within an ExceptionGroup).
        """
        await require_fit([self.number], self._journal, self._vault)
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
        position = require_sound(self.number, shard.last, restored.found)
        self._isolation.restored(position.number)
        branch = Branch(
            self.accounts[shard_subject(self.number)].subject,
            Chain(await self._vault.shard_key(self.number)),
            position,
            shard.epoch,
            await self._vault.identity(),
        )
        self.commits = CommitLoop(
            shard,
            branch,
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
            timetable=self._timetable,
        )
        tasks.start_soon(self.commits.run)
        tasks.start_soon(MarkKeeper(self.number, branch, self._vault, self._clock).run)
        await self.lifecycle.begin_epoch(self.accounts.values(), self.accounts[shard_subject(self.number)])
        self.restored.set()
        self._log.info("shard_restored", accounts_count=len(self.accounts), commit_number=position.number)

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
            before = self._modes(account, self._read_by)
            await self.lifecycle.apply(account, command)
            self._log.info("command_applied", account_id=account.account_id, command=command.kind)
            if command.kind in {"connect", "resume"}:
                self._board.forgive(account.account_id)
                self._schedule_profile(account)
            self._read_anew(account, before)
            if command.kind == "accept_removals":
                self._read_soon(account, command.domain)
        self._adopt_cadence()
        await self._end_sessions()

    async def checkpoint(self) -> None:
        """Say up to when this shard has seen the bank; notice consents that ran out meanwhile."""
        for account in tuple(self.accounts.values()):
            await self.runner.look_at_consent(account)
            await self.lifecycle.close_owed(account)
        await self._end_sessions()
        told = checkpoint_of(
            self.number, self.accounts.values(), self._clock.now(), self._timetable, held=self._isolation.held
        )
        branch = self.commits.branch
        tip = branch.position.tip.hex() if branch.position.number else None
        told = replace(told, epoch=branch.epoch, chain_tip=tip)
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

    def _modes(self, account: AccountMemory, options: WorkerOptions) -> dict[str, Mode]:
        domains = account.link.domains if account.link is not None else ()
        return {domain: mode_of(options, account, domain) for domain in domains}

    def _adopt_cadence(self) -> None:
        """Where the settings say something else than when last looked, every stream gets its turns anew, spread."""
        before, self._read_by = self._read_by, self._timetable.options
        if before is self._read_by:
            return
        self._board.options = self._read_by
        for account in self.accounts.values():
            self._board.put_again(Job(account.account_id, *key) for key in account.resources)
            self._read_anew(account, self._modes(account, before))

    def _read_anew(self, account: AccountMemory, before: Mapping[str, Mode]) -> None:
        """Streams that are read in another mode than `before` have their turn at once, if they are due in it."""
        for domain, was in before.items():
            if self._timetable.mode(account, domain) == was:
                continue
            if isinstance(was, Off):
                account.begin_again(domain)
                self._schedule_profile(account)
            self._read_soon(account, domain)

    def _read_soon(self, account: AccountMemory, domain: str | None) -> None:
        for key in account.resources:
            if key[0] == domain:
                self._board.put(Job(account.account_id, *key), 0.0)

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
