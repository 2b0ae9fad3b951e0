"""A connector for measuring: real settings and edges, as `zindigi run` has them, with holders already linked."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import anyio

from connector.clock import SystemClock
from connector.consent import Consent
from connector.journal.choice import open_reader
from connector.links import Command, Link
from connector.ports import Session, Vault
from connector.runtime.connector import Edges, edges_of, worker_options
from connector.runtime.job_board import PROFILE, Job
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions
from connector.runtime.shard_worker import ShardWorker
from connector.settings import (
    BackendLimits,
    BackendsSettings,
    BankSettings,
    CommitSettings,
    JournalSettings,
    KafkaSettings,
    LogSettings,
    Settings,
    VaultSettings,
)
from connector.telemetry import configure_logging
from tests.bench.canned_bank import TOKEN
from tests.bench.feed import msisdn_of

MASTER_KEY = bytes(range(32))
CONCURRENCY = 16
"""Calls in flight at once: the default limit of the bank's backend, for the connector and for the raw loops alike."""
DOMAIN = "transactions"
READINGS_AT_MOST = 10
_UNPACED = BackendLimits(max_concurrency=CONCURRENCY, rate_per_second=1e9)
_FROM = datetime(2026, 1, 1, tzinfo=UTC)
_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a measured connector keeps its files, and the brokers of its journal; None: the embedded one."""

    directory: Path
    brokers: str | None = None

    @property
    def journal(self) -> str:
        """The kind of journal."""
        return "sqlite" if self.brokers is None else "kafka"

    def settings(self, base_url: str, *, linger_seconds: float = 0.1) -> Settings:
        """Default settings, but for places, and for limits of the bank's: not the bank's patience is measured.

        The topics are under a prefix of the place's own.
        """
        kafka = KafkaSettings(replication_factor=1, prefix=f"bench-{self.directory.name}".lower())
        if self.brokers is not None:
            kafka = kafka.model_copy(update={"bootstrap_servers": self.brokers})
        return Settings(
            bank=BankSettings(base_url=base_url),
            vault=VaultSettings(path=self.directory / "vault.db"),
            journal=JournalSettings(kind=self.journal, path=self.directory / "journal.db"),
            kafka=kafka,
            backends=BackendsSettings(**dict.fromkeys(BackendsSettings.model_fields, _UNPACED)),
            commit=CommitSettings(linger_seconds=linger_seconds),
        )

    @classmethod
    def fresh(cls, parent: Path, brokers: str | None) -> Place:
        """A place that nobody has used."""
        directory = parent / secrets.token_hex(6)
        directory.mkdir()
        return cls(directory, brokers)


def quiet() -> None:
    """Log what fails; but not that brokers elect a leader of each new topic, which the client reports as trouble."""
    configure_logging(LogSettings(level="warning"))
    logging.getLogger("aiokafka").setLevel(logging.ERROR)


@asynccontextmanager
async def opened_edges(settings: Settings) -> AsyncIterator[Edges]:
    """The edges of `zindigi run`; topics are made where there are none."""
    quiet()
    if settings.journal.kind == "kafka":
        from connector.journal.kafka.settled import kafka_options  # noqa: PLC0415  not where there is no Kafka
        from connector.journal.kafka.topics import apply_topics  # noqa: PLC0415  # likewise

        await apply_topics(kafka_options(settings), SystemClock())
    async with edges_of(settings, MASTER_KEY) as edges:
        yield edges


async def enrol(vault: Vault, number: int) -> str:
    """Give a holder an account id, a data key and a session; the account id."""
    account_id = await vault.account_for(msisdn_of(number))
    await vault.data_key(account_id)
    await vault.store_session(
        Session(
            account_id=account_id,
            generation=1,
            msisdn=msisdn_of(number),
            device_id=f"device-{number}",
            access_token=f"{TOKEN}{number}",
            refresh_token=f"refresh-{number}",
            access_expires_at=_UNTIL,
            refresh_expires_at=_UNTIL,
        )
    )
    return account_id


def link_of(account_id: str, number: int, domains: Collection[str]) -> Link:
    """The link that a holder asks for, for good."""
    domains = frozenset(domains)
    consent = Consent(f"cns_{number}", domains, _FROM, _UNTIL, "0" * 64, "en")
    return Link(account_id, 0, "app-session", f"holder {number}", domains, consent)


async def connect(edges: Edges, settings: Settings, holders: int, domains: Collection[str] = (DOMAIN,)) -> list[str]:
    """Enrol and link `holders`, by commands that a connector applies; their account ids."""
    accounts = [await enrol(edges.vault, number) for number in range(holders)]
    reader = await open_reader(settings, edges.clock)
    try:
        for number, account_id in enumerate(accounts):
            link = link_of(account_id, number, domains)
            command = Command(f"cmd_{number}", "connect", account_id, edges.clock.now(), link)
            await reader.append_command(command)
    finally:
        await reader.close()
    options = replace(worker_options(settings), linger_seconds=0.0)
    async with worker_of(edges, options).opened_by_hand():
        pass
    return accounts


class HandDriven(ShardWorker):
    """A shard worker that is opened, but reads only what it is told to."""

    @asynccontextmanager
    async def opened_by_hand(self) -> AsyncIterator[HandDriven]:
        """Opened, and its commands applied."""
        async with self.opened():
            await self.apply_commands()
            yield self

    async def read_all(
        self, accounts: Sequence[AccountMemory], *, profile: bool = True, lanes: int = CONCURRENCY
    ) -> None:
        """Have the job runner read every account once, as many at a time as the dispatcher would."""
        waiting = iter(accounts)

        async def lane() -> None:
            for account in waiting:
                if profile:
                    await self.runner.run(Job(account.account_id, "", PROFILE), account)
                for domain, resource in tuple(account.resources):
                    await self.runner.run(Job(account.account_id, domain, resource), account)

        async with anyio.create_task_group() as tasks:
            for _ in range(lanes):
                tasks.start_soon(lane)

    async def read(self, jobs: Iterable[Job], *, lanes: int = CONCURRENCY) -> None:
        """Have the job runner do these jobs, so many at a time."""
        waiting = iter(jobs)

        async def lane() -> None:
            for job in waiting:
                await self.runner.run(job, self.accounts[job.account_id])

        async with anyio.create_task_group() as tasks:
            for _ in range(lanes):
                tasks.start_soon(lane)

    async def read_until_idle(self) -> None:
        """Read every account until a reading of everything finds nothing.

        Raises:
            RuntimeError: something still comes up after `READINGS_AT_MOST`.
        """
        counts = self.polls.counts
        for _ in range(READINGS_AT_MOST):
            before = replace(counts)
            await self.read_all(self.linked)
            polls = counts.polls - before.polls
            if polls and polls == counts.unchanged - before.unchanged:
                return
        raise RuntimeError(f"{READINGS_AT_MOST} readings of everything did not come to an end")

    @property
    def failing(self) -> bool:
        """Does any read keep failing?"""
        return any(self._board.failing(account.account_id) for account in self.linked)

    @property
    def linked(self) -> list[AccountMemory]:
        """The accounts that have a link."""
        return [account for account in self.accounts.values() if account.link is not None]


def worker_of(edges: Edges, options: WorkerOptions, number: int = 0) -> HandDriven:
    """A worker as `zindigi run` makes it."""
    return HandDriven(
        number,
        journal=edges.journal,
        vault=edges.vault,
        source=edges.source,
        clock=edges.clock,
        options=options,
        random=Random(1),
    )
