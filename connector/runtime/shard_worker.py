"""Shard worker: one shard from acquisition to release. Owns its memory, reads what is due, applies commands.

Supervised by whoever runs it: it ends by returning when asked to stop, or by raising; it never dies in silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import anyio
from anyio.abc import TaskGroup

from connector.cadence import Mode, Off
from connector.chain import Chain
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.errors import JournalError
from connector.links import DECISIONS, Command, Link
from connector.ports import Clock, Journal, OpenRefresh, Shard, Source, Vault
from connector.runtime.backend import Backend, Backends
from connector.runtime.branch import Branch, MarkKeeper, require_fit, require_sound
from connector.runtime.checkpoint import checkpoint_of
from connector.runtime.checkpoint_log import CheckpointLog
from connector.runtime.clock_watch import LOOK_SECONDS, ClockWatch
from connector.runtime.command_round import CommandRound, never_opened
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
from connector.runtime.set_aside import SetAside
from connector.runtime.timetable import Timetable, mode_of
from connector.telemetry import RepeatedFailures, logger

REMINDER_SECONDS: Final = 3600.0
"""How often the same trouble of a round is said."""


@dataclass(frozen=True, slots=True)
class OfProcess:
    """What all shards of a process have in common: what they are read by, and whom they ask."""

    timetable: Timetable
    backends: Backends
    clock_watch: ClockWatch


CLOCK_SECONDS = LOOK_SECONDS


class ShardWorker:
    """Works one shard of the journal.

    `isolation` is what earlier lives have found out about its streams, `process` what all shards have in common.
    """

    def __init__(  # the ports, and what all shards share
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
        process: OfProcess | None = None,
    ) -> None:
        self.number = number
        self._isolation = isolation or Isolation(clock)
        self._journal = journal
        self._vault = vault
        self._clock = clock
        self._options = options
        self._log = logger(__name__).bind(shard=number)
        self._checkpoint_log = CheckpointLog(self._log, clock.monotonic)
        if process is None:
            watch = ClockWatch(clock, source, bank_tells_time=options.bank_tells_time)
            process = OfProcess(Timetable(options, clock), Backends(options.backends, random), watch)
        self._board = JobBoard(clock, options, random, process.backends)
        self.clock_watch = process.clock_watch
        self.clock_doubt = self.clock_watch.doubt
        self._settlings = self.clock_doubt.settlings
        self._source = PacedSource(source, clock, self._board.backends, self.clock_watch)
        self._timetable = process.timetable
        self._read_by = self._timetable.options
        poller = Poller(self._source, options.polls, bank_tells_time=options.bank_tells_time)
        self.polls = Polls(self._source, poller, clock, self._timetable, self.clock_watch)
        self.accounts: dict[str, AccountMemory] = {}
        self._links: dict[str, Link] = {}
        self._aside = SetAside()
        self._failures = RepeatedFailures(self._log, clock.monotonic, interval_seconds=REMINDER_SECONDS)
        self.restored = anyio.Event()
        """Set once the shard is ours and memory mirrors it."""

    @property
    def set_aside(self) -> Mapping[str, str]:
        """The accounts that cannot be opened or read, by account id with the reason."""
        return self._aside.accounts

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
            self._board.close()
            with anyio.CancelScope(shield=True):
                await shard.release()

    async def _open(self, shard: Shard, tasks: TaskGroup) -> None:
        links = dict(await shard.links())
        restored = await restore(self.number, shard.restore(), links, self._vault)
        self._shard = shard
        self.accounts = restored.accounts
        self._links = links
        damaged = await shard.damaged()
        for account_id, reason in {**restored.set_aside, **never_opened(links, restored.accounts)}.items():
            self.accounts.pop(account_id, None)
            self._aside.add(account_id, reason)
        self._aside.add_damaged(damaged)
        position = require_sound(self.number, shard.last, restored.found.without(damaged))
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
        self._commands = CommandRound(
            shard,
            vault=self._vault,
            clock=self._clock,
            lifecycle=self.lifecycle,
            accounts=self.accounts,
            links=self._links,
            set_aside=self._aside,
            take_charge=self._take_charge,
        )
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
        self.clock_doubt.restored(self.accounts[shard_subject(self.number)].stream(LIFECYCLE).head.confirmed_at)
        for account in self.accounts.values():
            self._take_charge(account)
        tasks.start_soon(self.commits.run)
        tasks.start_soon(MarkKeeper(self.number, branch, self._vault, self._clock).run)
        await self.lifecycle.begin_epoch(self.accounts.values(), self.accounts[shard_subject(self.number)])
        self.restored.set()
        self._log.info(
            "shard_restored",
            accounts_count=len(self.accounts),
            set_aside_count=len(self.set_aside),
            commit_number=position.number,
        )

    async def run(self, stop: anyio.Event) -> None:
        """Work until `stop` is set; then finish what is in flight, within `shutdown_seconds`.

        Raises: what `opened` raises.
        """
        async with self.opened():
            # Before anything else: a session that was stored for a link that comes back must not be ended.
            async with self._alone(""):
                await self.apply_commands()
            for account in self.accounts.values():
                self._schedule_profile(account)
            async with anyio.create_task_group() as jobs:
                async with anyio.create_task_group() as rounds:
                    rounds.start_soon(self._every, self._options.command_interval_seconds, self.apply_commands)
                    rounds.start_soon(self._every, self._options.checkpoint_seconds, self.checkpoint)
                    rounds.start_soon(self._every, CLOCK_SECONDS, self.heed_clock)
                    for backend in self._board.backends.values():
                        rounds.start_soon(self._dispatch, backend, jobs)
                    await stop.wait()
                    rounds.cancel_scope.cancel()
                jobs.cancel_scope.deadline = anyio.current_time() + self._options.shutdown_seconds
        self._log.info("shard_released")

    async def apply_commands(self) -> None:
        """Apply what command lines asked for since last time.

        Raises:
            JournalError: memory must be restored.
        """

        def applied(account: AccountMemory, command: Command, before: Mapping[str, Mode]) -> None:
            if command.kind in {"connect", "resume"}:
                self._board.forgive(account.account_id)
                self._schedule_profile(account)
            self._read_anew(account, before)
            if command.kind in DECISIONS and command.domain is not None:
                if command.kind == "retry":
                    self._isolation.release((account.account_id, command.domain))
                self._read_soon(account, command.domain)
                # What a profile does not list is decided when it is asked for.
                self._schedule_profile(account)

        await self._commands.run(lambda account: self._modes(account, self._read_by), applied)
        self._adopt_cadence()
        await self._end_sessions()

    async def checkpoint(self) -> None:
        """Say up to when this shard has seen the bank; notice consents that ran out meanwhile.

        Raises:
            JournalError: memory must be restored.
        """
        for account in tuple(self.accounts.values()):
            async with self._alone(account.account_id):
                await self.runner.look_at_consent(account)
                await self.lifecycle.close_owed(account)
        await self._end_sessions()
        if self.clock_watch.look().doubtful:
            # Whatever it vouched for would be a time that may never have been.
            return
        told = checkpoint_of(
            self.number, self.accounts.values(), self._clock.now(), self._timetable, held=self._isolation.held
        )
        told = self._aside.told_in(told, self._links, self.accounts.__contains__)
        branch = self.commits.branch
        tip = branch.position.tip.hex() if branch.position.number else None
        told = replace(told, epoch=branch.epoch, chain_tip=tip)
        confirmed = self.clock_doubt.confirmed
        await self.lifecycle.checkpoint(self.accounts[shard_subject(self.number)], told, confirmed)
        self._checkpoint_log.say(told, self.polls.counts)

    async def heed_clock(self) -> None:
        """Look at the clocks; once a doubt is over, go on by what they say.

        What was noted by a clock that ran ahead is forgotten, and every turn is worked out anew: what waits for a time
        of day waits for another moment now.
        """
        await self.clock_watch.round()
        if self._settlings == self.clock_doubt.settlings:
            return
        self._settlings = self.clock_doubt.settlings
        now = self._clock.now()
        for account in self.accounts.values():
            account.forget_ahead(now)
            self._schedule_profile(account)
            for key, resource in account.resources.items():
                job, wait = Job(account.account_id, *key), self._timetable.until_due(account, resource)
                if wait is not None and wanted(job, account):
                    self._board.put(job, wait, exact=wait > 0)

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
                async with self._alone(account.account_id):
                    await self.runner.end_session(account)
        for account_id in tuple(self.set_aside):
            link = self._links.get(account_id)
            if link is not None and link.removed and account_id not in self.accounts:
                async with self._alone(account_id):
                    if await self.runner.retire(account_id):
                        self._aside.accounts.pop(account_id, None)

    @asynccontextmanager
    async def _alone(self, account_id: str) -> AsyncIterator[None]:
        """What goes wrong with one account in here is said, and ends here."""
        try:
            yield
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001  # one account's trouble must not end a round over all of them
            self._failures.unforeseen("account_failed", error, shard=self.number, account_id=account_id)

    def _take_charge(self, account: AccountMemory) -> None:
        """Have refreshes of the account's session announced in our commits, and heed one that was announced before."""
        if account.account_id == shard_subject(self.number):
            return
        head = account.stream(LIFECYCLE).head
        left_open = None
        if head.refresh_generation is not None:
            left_open = OpenRefresh(head.refresh_generation, head.refresh_deadline_seconds or 0)
        self._source.take_charge(account.account_id, self._intend, left_open)

    async def _intend(self, account_id: str, generation: int, deadline_seconds: int) -> None:
        await self.lifecycle.intend_refresh(self.accounts[account_id], generation, deadline_seconds)

    def _modes(self, account: AccountMemory, options: WorkerOptions) -> dict[str, Mode]:
        domains = account.link.domains if account.link is not None else ()
        return {domain: mode_of(options, account, domain) for domain in domains}

    def _adopt_cadence(self) -> None:
        """Where the settings say something else than when last looked, every stream gets its turns anew, spread."""
        before, self._read_by = self._read_by, self._timetable.options
        if before is self._read_by:
            return
        self._board.options = self._read_by
        for account in tuple(self.accounts.values()):
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
        while True:
            job = await self._board.next_job(backend)
            jobs.start_soon(self._run_job, job)

    async def _run_job(self, job: Job) -> None:
        account = self.accounts.get(job.account_id)
        if account is None:
            self._board.ended(job)
            return
        await self.runner.run(job, account)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001  # the next round comes all the same
                self._failures.unforeseen("round_failed", error, shard=self.number)
            await self._clock.sleep(seconds)

    def _schedule_profile(self, account: AccountMemory) -> None:
        job = Job(account.account_id, "", PROFILE)
        if wanted(job, account):
            self._board.put(job, 0.0)
