"""A small world in one process: the sandbox bank, a journal and a vault, and a connector driven by hand.

The bank is reached over ASGI, so that nothing waits for a network; journal, vault, HTTP client and codec are the real
ones. Every event is decoded with the published schemas before anybody judges it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio
import httpx

from connector.avro import decode_event
from connector.cadence import parse_mode
from connector.clock import SystemClock
from connector.consent import Consent
from connector.domains.registry import DOMAINS
from connector.links import Command, Link
from connector.ports import Clock, Journal, JournalReader, Vault
from connector.runtime.backend import BackendLimits
from connector.runtime.connector import Edges, work
from connector.runtime.job_board import PROFILE, Job, wanted
from connector.runtime.options import WorkerOptions
from connector.runtime.poller import PollLimits
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox import report
from connector.sandbox.app import create_app
from connector.sandbox.core import Bank
from connector.sandbox.faults import Fault, FaultParams, FaultSpec, Kind
from connector.sandbox.mutations import Mutation
from connector.sandbox.oracle import Verdict, judge
from connector.sandbox.scenario import Scenario, load_scenario
from connector.sandbox.wire import dumps
from connector.sealing import Sealer
from connector.settings import Settings
from connector.sources.zindigi.http import BankHttp
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from connector.vault import SqliteVault
from tests.contract.journal.backends import Backend, SqliteBackend
from tests.support.activity import Activity, Counted
from tests.support.contract import CheckedTransport, Contract
from tests.support.virtual_clock import VirtualClock

SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"
CONTRACT = Contract()
MASTER_KEY = bytes(range(32))
UNLIMITED = BackendLimits(maximum_concurrency=8, rate_per_second=inf, failure_threshold=10**6)
BACKENDS = sorted({"bank", *(kind.backend for domain in DOMAINS.values() for kind in domain.resources)})
KINDS = tuple(kind.name for domain in DOMAINS.values() for kind in domain.resources)
OPTIONS = WorkerOptions(
    backends=dict.fromkeys(BACKENDS, UNLIMITED), linger_seconds=0.0, bank_tells_time=False, empty_confirm_seconds=0.0
)


class BankClock:
    """The bank's front door on the connector's virtual clock: tokens and locks run out on both sides at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wall(self) -> datetime:
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


def people(*labels: str, history_days: int = 25, scenario: str = "lockstep") -> Scenario:
    """A scenario with some of its people only."""
    loaded = load_scenario(SCENARIOS / f"{scenario}.toml")
    holders = tuple(holder for holder in loaded.holders if holder.label in labels)
    return loaded.model_copy(update={"holders": holders, "history_days": history_days})


@dataclass(slots=True)
class World:
    """One bank, one journal, and whoever is linked."""

    bank: Bank
    app: Any
    directory: Path
    place: Backend
    clock: Clock
    journal: Journal
    reader: JournalReader
    vault: SqliteVault
    transport: CheckedTransport
    activity: Activity
    options: WorkerOptions = OPTIONS
    page_limit: int = 50
    source: ZindigiSource = field(init=False)
    msisdn_of: dict[str, str] = field(default_factory=dict)
    asked_of: dict[str, frozenset[str]] = field(default_factory=dict)
    commands: int = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        scenario: str | Scenario = "lockstep",
        *,
        seed: int = 1,
        clock: Clock | None = None,
        place: Backend | None = None,
        journal: Callable[[Any], Journal] = lambda journal: journal,
        options: WorkerOptions = OPTIONS,
        page_limit: int = 50,
    ) -> AsyncIterator[World]:
        """Everything opened; closed at the end of the block. The journal is at `place`, else embedded in `directory`.

        `journal` is given the opened journal, of whatever kind, and may change it or stand something before it.

        On a virtual clock the bank's front door runs on it, too, and it moves on only while nothing is under way. An
        answer of the bank that breaks its contract fails the block.
        """
        loaded = scenario if isinstance(scenario, Scenario) else load_scenario(SCENARIOS / f"{scenario}.toml")
        app = create_app(loaded, seed, None if clock is None else BankClock(clock))
        activity = Activity()
        if isinstance(clock, VirtualClock):
            clock.settled = activity.settle
        clock = clock or SystemClock()
        place = place or SqliteBackend(str(directory / "journal.db"), shard_count=1)
        opened = await place.open_journal()
        reader = await place.open_reader()
        vault = await SqliteVault.open(directory / "vault.db", MASTER_KEY)
        transport = CheckedTransport(httpx.ASGITransport(app=app), app.state.bank, activity, CONTRACT)
        used: Any = Counted(journal(opened), activity)
        world = cls(app.state.bank, app, directory, place, clock, used, reader, vault, transport, activity, options)
        world.page_limit = page_limit
        world.new_source()
        try:
            yield world
            if transport.failure is not None:
                raise transport.failure
        finally:
            await world.source.close()
            await vault.close()
            await reader.close()
            await opened.close()

    def new_source(self) -> ZindigiSource:
        """A client that knows nothing yet, as after a restart of the process."""
        options = ZindigiOptions(
            base_url="http://127.0.0.1:1", transactions_page_limit=self.page_limit, orders_page_size=self.page_limit
        )
        http = BankHttp(options, self.clock, transport=self.transport)
        self.source = ZindigiSource(http, cast("Vault", Counted(self.vault, self.activity)), self.clock, options)
        return self.source

    async def use_network(self, options: ZindigiOptions) -> None:
        """From here on reach the bank over a real connection, with the client's own transport."""
        await self.source.close()
        self.source = ZindigiSource.over_network(options, cast("Vault", Counted(self.vault, self.activity)), self.clock)

    def holder(self, label: str) -> dict[str, Any]:
        """What the bank knows of a holder."""
        return next(holder for holder in report.holders(self.bank) if holder["label"] == label)

    async def log_in(self, label: str) -> str:
        """Log in as the holder would, PIN and OTP and all; the account id."""
        holder = self.holder(label)

        async def ask_pin(*_: object) -> str:
            return str(holder["pin"])

        async def ask_otp(*_: object) -> str:
            return str(report.inbox(self.bank, holder["msisdn"])["otp"])

        session = await self.source.log_in(holder["msisdn"], ask_pin, ask_otp)
        self.msisdn_of[session.account_id] = holder["msisdn"]
        return session.account_id

    async def link(
        self,
        *labels: str,
        days: float = 90.0,
        domains: frozenset[str] = frozenset(DOMAINS),
        asking: frozenset[str] | None = None,
    ) -> list[str]:
        """Log in, consent to `domains` and ask for the link; the account ids. All holders when none is named.

        `asking` is what the link asks for, where that is something else than what consent covers.
        """
        accounts = []
        for label in labels or [holder["label"] for holder in report.holders(self.bank)]:
            account_id = await self.log_in(label)
            now = self.clock.now()
            consent = Consent(f"cns_{label}_{self.commands}", domains, now, now + timedelta(days=days), "0" * 64, "en")
            link = Link(account_id, 0, "app-session", label, asking or domains, consent)
            await self.command("connect", account_id, link=link)
            self.asked_of[self.msisdn_of[account_id]] = asking or domains
            accounts.append(account_id)
        return accounts

    async def command(
        self,
        kind: Any,
        account_id: str,
        *,
        link: Link | None = None,
        domain: str | None = None,
        cadence: Mapping[str, str | None] | None = None,
    ) -> None:
        """Append a command, as a command line does; `cadence` by domain, None for what the settings say."""
        self.commands += 1
        modes = tuple(
            (name, None if text is None else parse_mode(text)) for name, text in sorted((cadence or {}).items())
        )
        command = Command(f"cmd_{self.commands}", kind, account_id, self.clock.now(), link, domain, modes)
        await self.reader.append_command(command)

    def worker(self) -> ShardWorker:
        """A connector on the one shard, not opened yet."""
        return ShardWorker(
            0,
            journal=self.journal,
            vault=cast("Vault", Counted(self.vault, self.activity)),
            source=self.source,
            clock=self.clock,
            options=self.options,
            random=Random(1),
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[ShardWorker]:
        """A connector opened, commands applied, to be driven by hand."""
        worker = self.worker()
        async with worker.opened():
            await worker.apply_commands()
            yield worker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ShardWorker]:
        """A connector that runs by itself, on the virtual clock; stopped at the end of the block."""
        worker, stop = self.worker(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, stop)
            await self.activity.settle()
            try:
                yield worker
            finally:
                stop.set()

    @asynccontextmanager
    async def at_work(self, reload: Callable[[], Settings] | None = None) -> AsyncIterator[None]:
        """The connector as `zindigi run` works it, on the virtual clock: a dropped shard is taken up again."""
        vault = cast("Vault", Counted(self.vault, self.activity))
        edges = Edges(self.journal, vault, self.source, self.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, edges, self.options, reload)
            await self.activity.settle()
            yield
            tasks.cancel_scope.cancel()

    async def read_once(self, worker: ShardWorker, *, kinds: Collection[str] = ()) -> None:
        """Run every job once, as the scheduler would: what fails is dealt with, and the next job goes on.

        `kinds` names the resource kinds to read; all of them, and the profile, when none is named.
        """
        for account in tuple(worker.accounts.values()):
            profile = Job(account.account_id, "", PROFILE)
            if (not kinds or not account.resources) and wanted(profile, account):
                await worker.runner.run(profile, account)
            for (domain, name), resource in tuple(account.resources.items()):
                job = Job(account.account_id, domain, name)
                if (not kinds or resource.kind.name in kinds) and wanted(job, account):
                    await worker.runner.run(job, account)

    def mutate(self, **what: Any) -> None:
        """One change at the bank, on command."""
        self.bank.mutate(Mutation(**what))

    def strike(self, kind: Kind, *, params: Mapping[str, Any] | None = None, **where: Any) -> Fault:
        """Let a fault stand at the bank."""
        return self.bank.faults.add(FaultSpec(kind=kind, params=FaultParams(**(params or {})), **where))

    def calls(self, path: str = "*", *, status: int | None = None) -> int:
        """How many calls were answered whose path fits the pattern, with that status."""
        return sum(
            fnmatchcase(called, path) and status in {None, answered} for _, called, answered in self.transport.calls
        )

    async def links_told(self, account_id: str) -> list[str]:
        """The names of an account's own lifecycle events."""
        return [event["event_type"] for _, event in await self.events("lifecycle") if event["account_id"] == account_id]

    async def streams_told(self, domain: str, account_id: str) -> list[str]:
        """The events of a stream about itself: opened, backfilled, closed with its reason."""
        told = []
        for _, event in await self.events(domain):
            if event["op"] == "s" and event["account_id"] == account_id:
                told.append(" ".join(filter(None, (event["event_type"], event.get("reason")))))
        return told

    async def quarantine(self) -> list[dict[str, Any]]:
        """Every quarantine record of the journal, opened with its subject's key."""
        rows = await self.place.quarantined()
        opened = []
        for account_id, value in rows:
            sealer = Sealer(await self.vault.data_key(account_id))
            opened.append({"account_id": account_id, **json.loads(sealer.unseal(account_id, "quarantine", value))})
        return opened

    async def assert_sound(self, *, lockstep: bool = False) -> None:
        """The oracle finds nothing off, everything having been read."""
        verdict = await self.verdict(lockstep=lockstep)
        assert verdict.sound, "\n".join([f"seed {self.bank.seed}", *verdict.findings])

    async def events(self, *topics: str) -> list[tuple[str, dict[str, Any]]]:
        """Every committed event, decoded, in journal order."""
        names = topics or (*DOMAINS, "lifecycle")
        return [(stored.topic, decode_event(stored.value)) async for stored in self.reader.read_events(names)]

    async def told(self, domain: str, account_id: str | None = None) -> list[dict[str, Any]]:
        """The events of one domain that are about entities."""
        return [
            event
            for _, event in await self.events(domain)
            if event["op"] != "s" and account_id in {None, event["account_id"]}
        ]

    def truth(self) -> Mapping[str, Any]:
        """The bank's truth, as the control surface says it, numbers exact."""
        told: Mapping[str, Any] = json.loads(dumps(report.truth(self.bank)), parse_float=Decimal)
        return told

    async def verdict(self, *, settled: bool = True, lockstep: bool = False) -> Verdict:
        """What the oracle says of the journal as it stands, and of what the last link of each holder asks for."""
        truth = dict(self.truth())
        truth["holders"] = [
            {
                **holder,
                "domains": {
                    name: facts
                    for name, facts in holder["domains"].items()
                    if name in self.asked_of.get(holder["msisdn"], DOMAINS)
                },
            }
            for holder in truth["holders"]
        ]
        return judge(truth, await self.events(), self.msisdn_of, settled=settled, lockstep=lockstep)


__all__ = ["BACKENDS", "KINDS", "OPTIONS", "SCENARIOS", "UNLIMITED", "PollLimits", "World"]
