"""Resources that others bring: a fund that is bought brings its values, whatever else is committed with it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from connector.runtime.job_board import Job
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

WHO = "borrower"


@pytest.mark.anyio
@pytest.mark.parametrize("order", [("holdings", "orders"), ("orders", "holdings")])
async def test_a_part_found_in_a_commit_shared_with_another_poll_is_not_lost(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    async with World.open(tmp_path, people(WHO, history_days=0), seed=4, clock=VirtualClock()) as world:
        [account_id] = await world.link(WHO)
        async with world.working() as worker:
            await worker.sweep()
            account = worker.accounts[account_id]
            assert not any(resource.kind.name == "nav" for resource in account.resources.values())
            for op in ("subscribe", "fill"):
                world.mutate(holder=WHO, domain="investments", op=op)
            before = len(await world.told("investments"))
            world.clock.jump(1801)  # type: ignore[attr-defined]
            async with anyio.create_task_group() as jobs:
                for name in order:
                    jobs.start_soon(worker.runner.run, Job(account_id, "investments", name), account)
            assert len(await world.told("investments")) > before
            [nav] = [resource for resource in account.resources.values() if resource.kind.name == "nav"]
            assert nav.part == "F-MMF-01"
            await worker.sweep()
            await worker.sweep()
        await world.assert_sound()
