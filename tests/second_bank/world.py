"""A small world around the second bank: one holder, a real journal and vault, and a connector driven by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, cast

import anyio
import httpx

from connector.consent import Consent
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.ports import Journal, Vault
from connector.runtime.clock_watch import LOOK_SECONDS
from connector.runtime.job_board import PROFILE, Job, wanted
from connector.runtime.options import WorkerOptions
from connector.runtime.shard_worker import ShardWorker
from connector.sources.zindigi.http import BankHttp
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from connector.vault import SqliteVault
from tests.contract.journal.backends import SqliteBackend
from tests.second_bank.bank import SecondBank
from tests.second_bank.books import Books
from tests.second_bank.manner import Manner
from tests.support.activity import Activity, Counted
from tests.support.virtual_clock import VirtualClock
from tests.support.world import MASTER_KEY, OPTIONS, World

OPTIONS_HERE = replace(OPTIONS, bank_tells_time=True, empty_confirm_seconds=6 * 3600.0, jitter_ratio=0.0)
LOOKS = 16
"""Looks at the clocks, after which a doubt is one that stays."""
HANGING_SECONDS = 6 * 3600.0
"""A job that waits longer than that waits for ever, as far as a test is concerned."""


@dataclass(slots=True, kw_only=True)
class SecondWorld(World):
    """A world whose bank is the second one. `clock` is the host's; the bank goes by the world's own time."""

    books: Books
    page_limits: tuple[int, int, int] = (100, 200, 100)
    """Of the newest-first feeds, the points ledger and the orders."""

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        directory: Path,
        *,
        manner: Manner | None = None,
        clock: VirtualClock | None = None,
        options: WorkerOptions = OPTIONS_HERE,
        page_limits: tuple[int, int, int] = (100, 200, 100),
        journal: Callable[[Any], Journal] = lambda journal: journal,
        books: Callable[[Callable[[], Any]], Books] = Books,
    ) -> AsyncIterator[Self]:
        """Everything opened, the bank's own clock being the world's true time; closed at the end of the block."""
        clock = clock or VirtualClock()
        activity = Activity()
        clock.settled = activity.settle
        bank = SecondBank(lambda: clock.world_time, manner)
        place = SqliteBackend(str(directory / "journal.db"), shard_count=1)
        opened = await place.open_journal()
        reader = await place.open_reader()
        vault = await SqliteVault.open(directory / "vault.db", MASTER_KEY)
        world = cls(
            bank=cast("Any", bank),
            app=bank,
            directory=directory,
            place=place,
            clock=clock,
            journal=cast("Any", Counted(journal(opened), activity)),
            reader=reader,
            vault=vault,
            transport=cast("Any", _CountedTransport(httpx.ASGITransport(app=bank), activity)),
            activity=activity,
            options=options,
            books=bank.open(books(bank.now)),
            page_limits=page_limits,
        )
        world.new_source()
        try:
            yield world
        finally:
            await world.source.close()
            await vault.close()
            await reader.close()
            await opened.close()

    def new_source(self) -> ZindigiSource:
        feeds, points, orders = self.page_limits
        options = ZindigiOptions(
            base_url="http://127.0.0.1:1",
            transactions_page_limit=feeds,
            points_page_limit=points,
            orders_page_size=orders,
        )
        http = BankHttp(options, self.clock, transport=self.transport)
        self.source = ZindigiSource(http, cast("Vault", Counted(self.vault, self.activity)), self.clock, options)
        return self.source

    async def link_holder(
        self,
        books: Books | None = None,
        *,
        days: float = 3650.0,
        given: timedelta = timedelta(days=-1),
        domains: frozenset[str] = frozenset(DOMAINS),
    ) -> str:
        """Log a holder in; the account id. Consent to `domains` begins that much before or after true time."""
        books = books or self.books

        async def ask_pin(*_: object) -> str:
            return books.pin

        async def ask_otp(*_: object) -> str:
            return "482913"

        session = await self.source.log_in(books.msisdn, ask_pin, ask_otp)
        self.msisdn_of[session.account_id] = books.msisdn
        now = self.books.now() + given
        consent = Consent(f"cns_{self.commands}", domains, now, now + timedelta(days=days), "0" * 64, "en")
        link = Link(session.account_id, 0, "app-session", "holder", domains, consent)
        await self.command("connect", session.account_id, link=link)
        return session.account_id

    async def drive(self, work: Callable[[], Any]) -> None:
        """Run `work`, moving the clock on while everybody waits for it; what waits for too long is given up."""
        clock = cast("VirtualClock", self.clock)
        done = anyio.Event()
        deadline = clock.monotonic() + HANGING_SECONDS

        async def run() -> None:
            try:
                await work()
            finally:
                done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await self.activity.settle()
            step = 1.0
            while not done.is_set():
                if clock.monotonic() > deadline:
                    tasks.cancel_scope.cancel()
                    break
                await clock.advance(step)
                step = min(2 * step, 300.0)

    async def read(self, worker: ShardWorker, *kinds: str) -> None:
        """Run the jobs of these resource kinds once, in their order, then tell a checkpoint; all of them, if none."""
        await self.drive(lambda: self._read(worker, kinds))

    async def heed_clock(self, worker: ShardWorker) -> None:
        """Look at the clocks as a running connector does every few seconds, until there is no more to find out."""
        for _ in range(LOOKS):
            await worker.heed_clock()
            if not worker.clock_doubt.wants_answer and not worker.clock_doubt.doubtful:
                break
            cast("VirtualClock", self.clock).jump(LOOK_SECONDS)

    async def _read(self, worker: ShardWorker, kinds: Collection[str]) -> None:
        await self.heed_clock(worker)
        for account in tuple(worker.accounts.values()):
            profile = Job(account.account_id, "", PROFILE)
            if (not kinds or "profile" in kinds or not account.resources) and wanted(profile, account):
                await worker.runner.run(profile, account)
            seen: set[tuple[str, str]] = set()
            # What one resource shows may bring others: a card its authorisations.
            while fresh := [key for key in account.resources if key not in seen]:
                seen.update(fresh)
                for domain, name in fresh:
                    job = Job(account.account_id, domain, name)
                    if (not kinds or job.kind_name in kinds) and wanted(job, account):
                        await worker.runner.run(job, account)
        await worker.checkpoint()


class _CountedTransport(httpx.AsyncBaseTransport):
    """A transport whose calls count as under way."""

    def __init__(self, inner: httpx.AsyncBaseTransport, activity: Activity) -> None:
        self._inner = inner
        self._activity = activity

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._activity.busy():
            return await self._inner.handle_async_request(request)
