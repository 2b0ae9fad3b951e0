"""`python -m tests.bench.profiled first-sync|idle [kafka]`: where the measured block spends its time, by function."""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import anyio

from connector.proving.broker import running_broker
from tests.bench import first_sync, idle
from tests.bench.canned_bank import BankSpec, running_bank
from tests.bench.linked import Place
from tests.bench.measure import profilers

HOLDERS = 20
LINES = 45


def main(subject: str, *, kafka: bool) -> None:
    """Profile one run, without a warm one before; the SQLite journal's own thread is not seen."""
    entries = 400 if subject == "first-sync" else 100
    profiler = cProfile.Profile()
    with ExitStack() as stack:
        parent = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        brokers = stack.enter_context(running_broker(parent / "broker")).bootstrap_servers if kafka else None
        bank = stack.enter_context(running_bank(BankSpec(1, HOLDERS, HOLDERS, entries)))
        place = Place.fresh(parent, brokers)
        profilers.append(profiler)
        if subject == "first-sync":
            anyio.run(first_sync.sync, place, bank.base_url, HOLDERS, HOLDERS * entries)
        else:
            anyio.run(idle.poll, place, bank.base_url, HOLDERS, 2000)
    stats = pstats.Stats(profiler)
    stats.strip_dirs().sort_stats("tottime").print_stats(LINES)
    stats.sort_stats("cumulative").print_stats(LINES)


if __name__ == "__main__":
    main(sys.argv[1], kafka="kafka" in sys.argv[2:])
