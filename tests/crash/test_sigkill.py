"""SIGKILL at random moments: whatever the connector was doing, nothing is lost, doubled or out of order.

The bank lives on in its own process; the connector is a real `zindigi run`, killed and started again. Tokens are
made to expire now and then, so that some kills fall into a refresh: a rotated token that never reached the vault ends
in one ACTION_REQUIRED, and the driver then acts as the holder.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from connector.clock import SystemClock
from connector.proving.proof import prove, read_journal, wait_settled
from connector.proving.rig import Rig
from tests.support.checked_bank import opened_rig

QUICK = [("sqlite", 1), ("sqlite", 2), ("kafka", 8)]
PROOF = [("sqlite", seed) for seed in range(11, 23)] + [("kafka", seed) for seed in range(111, 115)]
SOAK = [("sqlite", seed) for seed in range(200, 300)] + [("kafka", seed) for seed in range(300, 320)]
KILLS = 4
PATIENCE = 100
"""Looks of some seconds each: a slow machine comes to rest late."""


async def waiting_for_holder(rig: Rig) -> set[str]:
    """Accounts whose last word is that the holder must act."""
    last = {}
    for topic, event in await read_journal(rig):
        if topic == "lifecycle" and event["event_type"].startswith("Link"):
            last[event["account_id"]] = event["event_type"]
    return {account_id for account_id, told in last.items() if told == "LinkActionRequired"}


async def settle(rig: Rig) -> int:
    """Wait until everything is read, logging in again where that is what is missing; how often it was."""
    relinked = 0
    since = SystemClock().now()
    for _ in range(PATIENCE):
        waiting = await waiting_for_holder(rig)
        for holder in await rig.holders():
            if holder["msisdn"] in {rig.msisdn_of[account_id] for account_id in waiting}:
                await rig.link(holder)
                relinked += 1
        try:
            await wait_settled(rig, within_seconds=8, since=since)
        except TimeoutError:
            continue
        if not await waiting_for_holder(rig):
            return relinked
    raise AssertionError(f"the connector did not come to rest: {rig.log_path.read_text(encoding='utf-8')[-4000:]}")


async def live_through_kills(directory: Path, seed: int, *, kafka: str | None) -> None:
    random = Random(seed)
    clock = SystemClock()
    async with opened_rig(directory, "crash", seed=seed, kafka=kafka) as rig:
        holders = await rig.holders()
        for holder in holders:
            await rig.link(holder)
        for _ in range(KILLS):
            await rig.start_connector()
            await clock.sleep(random.uniform(0.6, 2.2))
            if random.random() < 0.5:
                await rig.ask_bank("faults", {"kind": "expire_token", "count": 1})
                await clock.sleep(random.uniform(0.0, 0.4))
            await rig.kill_connector()
        await rig.ask_bank("faults", method="DELETE")
        await rig.start_connector()
        await clock.sleep(0.5)
        await rig.ask_bank("freeze", {})
        await settle(rig)
        assert await rig.stop_connector() == 0
        verdict = await prove(rig)
        assert verdict.sound, "\n".join([f"seed {seed}, directory {directory}", *verdict.findings])
        assert sum(row.events for row in verdict.rows.values()) > 0


@pytest.mark.anyio
@pytest.mark.parametrize(("kafka", "seed"), QUICK, indirect=["kafka"])
async def test_kills_lose_nothing(tmp_path: Path, kafka: str | None, seed: int) -> None:
    await live_through_kills(tmp_path, seed, kafka=kafka)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kafka", "seed"),
    [
        *(pytest.param(*one, marks=pytest.mark.proof) for one in PROOF),
        *(pytest.param(*one, marks=pytest.mark.soak) for one in SOAK),
    ],
    indirect=["kafka"],
)
async def test_many_kills_lose_nothing(tmp_path: Path, kafka: str | None, seed: int) -> None:
    await live_through_kills(tmp_path, seed, kafka=kafka)
