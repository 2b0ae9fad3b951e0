"""Lockstep: the bank takes a step, the connector reads everything completely; truth and events match one to one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.contract.journal.backends import Backend
from tests.support.proofs import quickly
from tests.support.world import World

LIVES = quickly([(1, 12), (1, 25), (2, 25), (3, 25)], (1, 12))


@pytest.mark.anyio
@pytest.mark.parametrize(("seed", "steps"), LIVES)
async def test_every_change_of_every_step_is_told_once(tmp_path: Path, place: Backend, seed: int, steps: int) -> None:
    async with World.open(tmp_path, "lockstep", seed=seed, place=place) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
            for _ in range(steps):
                world.bank.step()
                # One read shows what is gone, the second one proves it.
                await worker.sweep()
                await worker.sweep()
            await worker.sweep()
        verdict = await world.verdict(lockstep=True)
        assert verdict.sound, "\n".join([f"seed {seed}", *verdict.findings])
        # A balance moves with every entry of a step, and what it was in between nobody could see.
        unseen = Counter(
            domain
            for holder in world.truth()["holders"]
            for domain, facts in holder["domains"].items()
            for change in facts["changes"]
            if change["derived"] and change["standing"] == "coalesced"
        )
        for row in verdict.rows.values():
            if row.domain != "lifecycle":
                assert row.coalesced == unseen[row.domain], row
                assert row.events == row.changes - row.coalesced, row
