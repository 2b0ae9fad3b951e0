"""What a bank asks of a process holds for all of its shards together: they ask through the same backends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.runtime import connector
from connector.runtime.backend import BackendLimits
from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import SqliteBackend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import BACKENDS, OPTIONS, World, people

SHARDS = 4
LIMITS = BackendLimits(maximum_concurrency=3, rate_per_second=2.0)


@pytest.mark.anyio
async def test_every_shard_asks_through_the_backends_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[ShardWorker] = []

    def noted(*args: Any, **kwargs: Any) -> ShardWorker:
        workers.append(ShardWorker(*args, **kwargs))
        return workers[-1]

    monkeypatch.setattr(connector, "ShardWorker", noted)
    place = SqliteBackend(str(tmp_path / "journal.db"), shard_count=SHARDS)
    options = replace(OPTIONS, backends=dict.fromkeys(BACKENDS, LIMITS))
    scenario = people("adult", history_days=2)
    async with World.open(tmp_path, scenario, clock=VirtualClock(), place=place, options=options) as world:
        async with world.at_work():
            pass
        assert len(workers) == SHARDS
        for name in BACKENDS:
            assert len({id(worker._board.backends[name]) for worker in workers}) == 1
        # What one of them is told, the others heed: pace, and a pause that several accounts are asked for.
        one, other = (worker._board.backends["bank"] for worker in workers[:2])
        assert one.reserve(100.0) < other.reserve(100.0)
        for account_id in ("acc_a", "acc_b", "acc_c"):
            one.refused(account_id, "wallet", 100.0, 60.0)
        assert other.wait_seconds(100.0) > 0
