"""Every event of the account domain, from the command that makes the bank do it to the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.domains.registry import DOMAINS
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

COMMANDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"op": "set_tier", "tier": "L1"}, ["TierChanged", "TierChanged", "TierChanged"]),
    ({"op": "amend"}, ["AccountUpdated"]),
    ({"op": "block"}, ["AccountUpdated"]),
    ({"op": "reactivate"}, ["AccountUpdated"]),
    ({"op": "close"}, ["AccountClosed", "BalanceChanged", "BalanceChanged"]),
]


async def test_each_command_is_told_by_its_events(tmp_path: Path) -> None:
    async with World.open(tmp_path, people("freelancer"), seed=5, clock=VirtualClock()) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
            first = [event["event_type"] for event in await world.told("account")]
            assert sorted(first) == ["AccountLinked"] * 3 + ["BalanceChanged"] * 2
            for command, expected in COMMANDS:
                known = len(await world.told("account"))
                world.mutate(holder="freelancer", domain="account", **command)
                await worker.sweep()
                told = (await world.told("account"))[known:]
                assert sorted(event["event_type"] for event in told) == expected, command
            for _ in range(2):
                await worker.sweep()
        names = {event["event_type"] for event in await world.told("account")}
        assert names == set(DOMAINS["account"].event_types)
        # A closed account is read on, with its history.
        closed = next(e for e in await world.told("account") if e["event_type"] == "AccountClosed")
        assert closed["after"]["bank_account"]["status"] == "CLOSED"
        assert "d" not in {event["op"] for event in await world.told("transactions")}
        await world.assert_sound()


async def test_no_id_key_or_header_holds_an_iban(tmp_path: Path) -> None:
    async with World.open(tmp_path, people("freelancer"), seed=5, clock=VirtualClock()) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
        ibans = world.holder("freelancer")["ibans"]
        async for stored in world.reader.read_events(("account",)):
            for text in (stored.key, *(value.decode() for _, value in stored.headers)):
                assert not any(iban in text for iban in ibans)
        for event in await world.told("account"):
            assert event["entity_id"] in {"holder", "bank-account", "balance"}
            assert not any(iban in event["resource"] for iban in ibans)
