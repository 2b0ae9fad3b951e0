"""Connector: settings → the whole machine, run until it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import anyio

from connector.cadence import Bounds, Intervals
from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.errors import ConnectorError, FencedError, JournalError
from connector.journal.choice import open_journal
from connector.ports import Clock, Journal, Source, Vault
from connector.runtime.backend import BackendLimits
from connector.runtime.branch import require_fit
from connector.runtime.isolation import Isolation
from connector.runtime.options import WorkerOptions
from connector.runtime.poller import PollLimits
from connector.runtime.shard_worker import ShardWorker
from connector.runtime.timetable import Timetable
from connector.settings import Settings
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from connector.telemetry import RepeatedFailures, logger
from connector.vault import SqliteVault

STANDARD_ERROR = 2
RESTORE_PAUSE_SECONDS = 1.0
"""Between an unknown outcome and taking the shard up again."""
REMINDER_SECONDS = 600.0
"""How often it is said again that a shard cannot be taken up."""

JournalOpener = Callable[[Settings, Clock], Awaitable[Journal]]
"""Opens the journal that the settings name."""


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
    reload: Callable[[], Settings] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight and return.

    On SIGHUP the settings are asked for anew by `reload`, and what they say about cadence holds from there on.

    Raises:
        ConfigurationError: it must not start.
        FencedError: another connector took over; this one must not fight for it. Comes within an ExceptionGroup.
        JournalError: the journal is away at the start; later on it is waited for.
    """
    async with edges_of(settings, master_key, opening) as edges:
        await work(edges, worker_options(settings), reload)


async def work(edges: Edges, options: WorkerOptions, reload: Callable[[], Settings] | None = None) -> None:
    """Work every shard until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: journal and vault do not fit together; nothing was acquired.
    """
    await require_fit(range(edges.journal.shard_count), edges.journal, edges.vault)
    stop = anyio.Event()
    timetable = Timetable(options, edges.clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_heed_signals, stop, timetable, reload)
        async with anyio.create_task_group() as shards:
            for number in range(edges.journal.shard_count):
                shards.start_soon(work_shard, number, edges, timetable, stop)
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


async def work_shard(number: int, edges: Edges, timetable: Timetable, stop: anyio.Event) -> None:
    """Work a shard; after an unknown outcome, take it up again from what the journal holds.

    While the journal is away that is tried again and again, but said only once.
    """
    failures = RepeatedFailures(logger(__name__), edges.clock.monotonic, interval_seconds=REMINDER_SECONDS)
    isolation = Isolation(edges.clock)
    while not stop.is_set():
        worker = ShardWorker(
            number,
            journal=edges.journal,
            vault=edges.vault,
            source=edges.source,
            clock=edges.clock,
            options=timetable.options,
            timetable=timetable,
            random=Random(),  # noqa: S311  # spreads load, guards nothing
            isolation=isolation,
        )
        try:
            await _run_unless_stopped(worker, stop)
        except* FencedError:
            raise
        except* JournalError as errors:
            if worker.restored.is_set():
                failures.settle("shard")
            failures.warn("shard", "shard_dropped", shard=number, exc_info=_first(errors))
            await edges.clock.sleep(RESTORE_PAUSE_SECONDS)


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


def _first(errors: BaseExceptionGroup[JournalError]) -> BaseException:
    """The first error that is no group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
        bank_tells_time=settings.bank.tells_time,
    )
