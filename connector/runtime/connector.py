"""Connector: settings → the whole machine, run until it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

import anyio

from connector import __version__
from connector.cadence import Bounds, Intervals
from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.errors import ConfigurationError, ConnectorError, FencedError, JournalError
from connector.journal.choice import open_journal, open_reader
from connector.ports import Clock, Journal, JournalReader, Source, Vault
from connector.runtime.backend import BackendLimits, Backends
from connector.runtime.branch import require_fit
from connector.runtime.clock_watch import ClockWatch
from connector.runtime.fitness import require_fitness
from connector.runtime.isolation import Isolation
from connector.runtime.new_branch import go_on
from connector.runtime.options import WorkerOptions
from connector.runtime.poller import PollLimits
from connector.runtime.shard_worker import OfProcess, ShardWorker
from connector.runtime.timetable import Timetable
from connector.settings import Settings
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from connector.telemetry import RepeatedFailures, logger
from connector.vault import SqliteVault

STANDARD_ERROR = 2
RESTORE_PAUSE_SECONDS = 1.0
"""Between an unknown outcome and taking the shard up again."""
LONGEST_RESTORE_PAUSE_SECONDS = 60.0
"""Up to which that pause is doubled while something goes on failing that is not the journal's."""
SHARD_STEP = "the other shards go on; see docs/operations.md, Nobody stops anybody else"
EPOCH_STEP = "consumers take back what the journal does not hold; start without --new-epoch next time"
REMINDER_SECONDS = 600.0
"""How often it is said again that a shard cannot be taken up."""

JournalOpener = Callable[[Settings, Clock], Awaitable[Journal]]
"""Opens the journal that the settings name."""
ReaderOpener = Callable[[Settings, Clock], Awaitable[JournalReader]]
"""Opens it to read, without becoming anybody's successor."""


@dataclass(frozen=True, slots=True)
class Edges:
    """The connector's ports, filled."""

    journal: Journal
    vault: Vault
    source: Source
    clock: Clock


@asynccontextmanager
async def edges_of(
    settings: Settings, master_key: bytes, opening: JournalOpener = open_journal
) -> AsyncIterator[Edges]:
    """The real edges, as set; released at the end.

    Raises:
        ConfigurationError: a file is held by another connector, is of another format, or the key does not fit.
        JournalError: the journal is away.
    """
    clock = SystemClock()
    journal = await opening(settings, clock)
    try:
        vault = await SqliteVault.open(settings.vault.path, master_key)
        try:
            source = ZindigiSource.over_network(source_options(settings), vault, clock)
            try:
                yield Edges(journal, vault, source, clock)
            finally:
                with anyio.CancelScope(shield=True):
                    await source.close()
        finally:
            with anyio.CancelScope(shield=True):
                await vault.close()
    finally:
        with anyio.CancelScope(shield=True):
            await journal.close()


async def run_connector(
    settings: Settings,
    master_key: bytes,
    opening: JournalOpener = open_journal,
    *,
    reading: ReaderOpener = open_reader,
    reload: Callable[[], Settings] | None = None,
    new_epoch: bool = False,
) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight and return.

    On SIGHUP the settings are asked for anew by `reload`, and what they say about cadence holds from there on. With
    `new_epoch` the journal goes on as a new branch, whatever the vault knows of it.

    Raises:
        ConfigurationError: it must not start.
        FencedError: another connector took over; this one must not fight for it. Comes within an ExceptionGroup.
        JournalError: the journal is away at the start; later on it is waited for.
    """
    async with edges_of(settings, master_key, opening) as edges:
        reader = await reading(settings, edges.clock)
        try:
            links = await require_fitness(
                reader, edges.vault, vault_name=str(settings.vault.path), journal_name=journal_name(settings)
            )
        finally:
            await reader.close()
        if new_epoch:
            parent, epoch = edges.journal.epoch, await go_on(settings, edges.journal, edges.vault, edges.clock)
            logger(__name__).warning("epoch_began", epoch=epoch, parent_epoch=parent, next_step=EPOCH_STEP)
        await require_fit(range(edges.journal.shard_count), edges.journal, edges.vault)
        logger(__name__).info(
            "starting",
            bank=bank_name(settings),
            journal=journal_name(settings),
            shards_count=edges.journal.shard_count,
            links_count=sum(not link.over for link in links.values()),
            version=__version__,
        )
        await work(edges, worker_options(settings), reload)


async def work(edges: Edges, options: WorkerOptions, reload: Callable[[], Settings] | None = None) -> None:
    """Work every shard until SIGTERM or SIGINT."""
    stop = anyio.Event()
    timetable = Timetable(options, edges.clock)
    watch = ClockWatch(edges.clock, edges.source, bank_tells_time=options.bank_tells_time)
    backends = Backends(options.backends, Random())  # noqa: S311  # spreads load, guards nothing
    shared = Shared(OfProcess(timetable, backends, watch), stop)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_heed_signals, stop, timetable, reload)
        async with anyio.create_task_group() as shards:
            for number in range(edges.journal.shard_count):
                shards.start_soon(work_shard, number, edges, shared)
        tasks.cancel_scope.cancel()


async def _heed_signals(stop: anyio.Event, timetable: Timetable, reload: Callable[[], Settings] | None) -> None:
    had_terminal = os.isatty(STANDARD_ERROR)
    heeded = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if reload is not None else [])]
    with anyio.open_signal_receiver(*heeded) as signals:
        async for number in signals:
            # The same signal says that the terminal is gone: then nobody would see what a connector that stays says.
            hung_up = had_terminal and not os.isatty(STANDARD_ERROR)
            if number == signal.SIGHUP and reload is not None and not hung_up:
                adopt_cadence(timetable, reload)
                continue
            logger(__name__).info("stopping", reason=signal.Signals(number).name)
            stop.set()


def adopt_cadence(timetable: Timetable, reload: Callable[[], Settings]) -> None:
    """Read by what the settings say now; where they cannot be read, that is said and the last ones hold."""
    try:
        options = worker_options(reload())
    except ConnectorError as error:
        logger(__name__).warning("settings_refused", exc_info=error)
        return
    timetable.adopt(options)
    logger(__name__).info("cadence_adopted")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all shards of the process have in common. `refused` are those that were never ours, and why not."""

    process: OfProcess
    stop: anyio.Event
    refused: dict[int, ConfigurationError] = field(default_factory=dict)


async def work_shard(number: int, edges: Edges, shared: Shared) -> None:
    """Work a shard; after an unknown outcome, take it up again from what the journal holds.

    Whatever else ends a shard's worker ends nobody else's: it is said, and the shard is taken up again after a pause
    that grows. While the journal is away that is tried again and again, but said only once.

    Raises:
        FencedError: another connector took over.
        ConfigurationError: no shard of this process can be had.
    """
    failures = RepeatedFailures(logger(__name__), edges.clock.monotonic, interval_seconds=REMINDER_SECONDS)
    isolation = Isolation(edges.clock)
    pause = RESTORE_PAUSE_SECONDS
    while not shared.stop.is_set():
        worker = ShardWorker(
            number,
            journal=edges.journal,
            vault=edges.vault,
            source=edges.source,
            clock=edges.clock,
            options=shared.process.timetable.options,
            process=shared.process,
            random=Random(),  # noqa: S311  # spreads load, guards nothing
            isolation=isolation,
        )
        began = edges.clock.monotonic()
        try:
            await _run_unless_stopped(worker, shared.stop)
        except* FencedError:
            raise
        except* Exception as errors:  # noqa: BLE001  # one shard must not end the process for all others
            error = _telling(errors)
            if worker.restored.is_set():
                failures.settle("shard")
                shared.refused.pop(number, None)
            elif isinstance(error, ConfigurationError):
                shared.refused[number] = error
                if len(shared.refused) == edges.journal.shard_count:
                    raise error from None
            lived = edges.clock.monotonic() - began
            if isinstance(error, JournalError) or lived > LONGEST_RESTORE_PAUSE_SECONDS:
                pause = RESTORE_PAUSE_SECONDS
            if isinstance(error, JournalError):
                failures.warn("shard", "shard_dropped", shard=number, exc_info=error)
            else:
                failures.warn(
                    "shard",
                    "shard_failed",
                    shard=number,
                    retry_after_seconds=pause,
                    exc_info=error,
                    next_step=SHARD_STEP,
                )
            await edges.clock.sleep(pause)
            if not isinstance(error, JournalError):
                pause = min(pause * 2, LONGEST_RESTORE_PAUSE_SECONDS)


async def _run_unless_stopped(worker: ShardWorker, stop: anyio.Event) -> None:
    """Run the worker; `stop` also ends the wait for a shard that cannot be had yet."""
    async with anyio.create_task_group() as tasks:

        async def give_up_waiting() -> None:
            await stop.wait()
            if not worker.restored.is_set():
                tasks.cancel_scope.cancel()

        tasks.start_soon(give_up_waiting)
        await worker.run(stop)
        tasks.cancel_scope.cancel()


def _telling(errors: BaseExceptionGroup[Exception]) -> BaseException:
    """The error that says most of what happened: one that is not merely the journal's, else the first."""
    leaves: list[BaseException] = []
    groups: list[BaseException] = [errors]
    while groups:
        error = groups.pop(0)
        if isinstance(error, BaseExceptionGroup):
            groups += error.exceptions
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if not isinstance(leaf, JournalError)), leaves[0])


def journal_name(settings: Settings) -> str:
    """Which journal it is, for a person."""
    if settings.journal.kind == "kafka":
        return f"{settings.kafka.prefix}.* at {settings.kafka.bootstrap_servers}"
    return str(settings.journal.path)


def bank_name(settings: Settings) -> str:
    """Which bank it is, for a person: the host, and nothing that may stand beside it in an address."""
    address = urlsplit(settings.bank.base_url)
    return address.netloc.rpartition("@")[2]


def source_options(settings: Settings) -> ZindigiOptions:
    """What the settings say about the app-session route."""
    return ZindigiOptions(
        base_url=settings.bank.base_url,
        app_version=settings.bank.app_version,
        connect_timeout_seconds=settings.bank.connect_timeout_seconds,
        read_timeout_seconds=settings.bank.read_timeout_seconds,
        request_deadline_seconds=settings.bank.request_deadline_seconds,
        maximum_connections=settings.bank.maximum_connections,
        refresh_margin_seconds=settings.session.refresh_margin_seconds,
        refresh_deadline_seconds=settings.session.refresh_deadline_seconds,
        transactions_page_limit=settings.polling.page_limit,
        orders_page_size=settings.polling.page_limit,
    )


def worker_options(settings: Settings) -> WorkerOptions:
    """What the settings say about the runtime."""
    polling = settings.polling
    kinds = [kind for domain in DOMAINS.values() for kind in domain.resources]
    cadences = {kind.name: polling.cadence(kind.name) for kind in kinds}
    bounds = Bounds(polling.soonest_ratio, polling.slowest_ratio, polling.snapshot_spread_seconds)
    limits = {kind.backend: settings.backends.limits(kind.backend) for kind in kinds}
    return WorkerOptions(
        modes={name: settings.cadence.mode(name) for name in DOMAINS},
        bounds=bounds,
        intervals={
            name: Intervals(cadence.head_interval_seconds, cadence.reconcile_interval_seconds)
            for name, cadence in cadences.items()
        },
        backends={
            name: BackendLimits(
                maximum_concurrency=limit.max_concurrency,
                rate_per_second=limit.rate_per_second,
                failure_threshold=limit.breaker_failures,
                cool_down_seconds=limit.breaker_open_seconds,
            )
            for name, limit in limits.items()
        },
        polls=PollLimits(polling.head_page_cap, polling.read_restart_cap, polling.backfill_chunk_pages),
        linger_seconds=settings.commit.linger_seconds,
        checkpoint_seconds=settings.commit.checkpoint_seconds,
        profile_interval_seconds=polling.profile_interval_seconds,
        shutdown_seconds=settings.shutdown_seconds,
        jitter_ratio=polling.jitter_ratio,
        empty_confirm_seconds=polling.empty_confirm_seconds,
        bank_tells_time=settings.bank.tells_time,
    )
