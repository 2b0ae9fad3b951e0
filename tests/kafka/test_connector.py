"""The connector as a process on a real broker: taken over, and left alone by its broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from connector.cli import exits
from connector.clock import SystemClock
from connector.proving.broker import Broker
from connector.proving.proof import prove, read_journal, wait_settled
from connector.proving.rig import Rig
from tests.support.checked_bank import opened_rig

pytestmark = [pytest.mark.anyio, pytest.mark.proof]


def said(rig: Rig, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in rig.log_path.read_text(encoding="utf-8").splitlines() if line[:1] == "{"]
    return [line for line in lines if line["event"] == event]


async def linked(rig: Rig) -> None:
    for holder in await rig.holders():
        await rig.link(holder)


async def settled_and_sound(rig: Rig) -> None:
    await rig.ask_bank("freeze", {})
    await wait_settled(rig)
    assert await rig.stop_connector() == 0
    verdict = await prove(rig)
    assert verdict.sound, verdict.findings


async def test_an_absent_broker_is_waited_for_and_told_once(tmp_path: Path, broker: Broker) -> None:
    clock = SystemClock()
    async with opened_rig(tmp_path, "crash", seed=5, kafka=broker.bootstrap_servers) as rig:
        await linked(rig)
        await rig.start_connector()
        await rig.wait_running()
        await clock.sleep(1.0)
        await anyio.to_thread.run_sync(broker.stop)
        try:
            await clock.sleep(15.0)
            assert rig.connector is not None
            assert rig.connector.returncode is None, "it must wait"
            # What was read and could not be committed any more is read again: to the bank, a client that was lost.
            await rig.ask_bank("client-lost", {})
        finally:
            await anyio.to_thread.run_sync(broker.start)
        dropped = said(rig, "shard_dropped")
        shards = {line["shard"] for line in dropped}
        assert shards
        assert len(dropped) <= 2 * len(shards), "when it was lost, and that it cannot be had; no more"
        await clock.sleep(5.0)
        await settled_and_sound(rig)


async def test_sigterm_is_bounded_while_the_broker_is_away(tmp_path: Path, broker: Broker) -> None:
    async with opened_rig(tmp_path, "crash", seed=6, kafka=broker.bootstrap_servers) as rig:
        await linked(rig)
        await rig.start_connector()
        await rig.wait_running()
        await SystemClock().sleep(1.0)
        await anyio.to_thread.run_sync(broker.stop)
        try:
            await SystemClock().sleep(2.0)
            # It does not wait for the broker, which is away until this returns.
            assert await rig.stop_connector() == 0
            await rig.ask_bank("client-lost", {})
        finally:
            await anyio.to_thread.run_sync(broker.start)
        await rig.start_connector()
        await SystemClock().sleep(2.0)
        await settled_and_sound(rig)


async def test_a_second_connector_takes_over_and_the_first_ends(tmp_path: Path, broker: Broker) -> None:
    async with opened_rig(tmp_path, "crash", seed=7, kafka=broker.bootstrap_servers) as rig:
        await linked(rig)
        await rig.start_connector()
        await rig.wait_running()
        await SystemClock().sleep(1.0)
        first = rig.connector
        assert first is not None
        # Two who read at once are one client to the bank: what only the first was shown, it would take for observed.
        await rig.ask_bank("freeze", {})
        await wait_settled(rig)
        await rig.start_connector()
        with anyio.fail_after(20):
            assert await first.wait() == exits.FENCED
        assert "taken over by another connector" in rig.log_path.read_text(encoding="utf-8")
        told = len(await read_journal(rig))
        await rig.ask_bank("thaw", {})
        await SystemClock().sleep(3.0)
        await settled_and_sound(rig)
        assert len(await read_journal(rig)) > told
