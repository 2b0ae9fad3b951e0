"""How far a shard has come is noted in the vault, also where commits and notes overlap, and where the vault is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import anyio
import pytest

from connector.chain import Chain
from connector.errors import JournalError
from connector.ports import HighWaterMark, VaultIdentity
from connector.runtime.branch import MARK_INTERVAL_SECONDS, REMINDER_SECONDS, Branch, MarkKeeper
from connector.runtime.sealed_state import Subject
from connector.state import Position
from tests.support.log_watch import logged
from tests.support.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

KEY = bytes(32)


class Vault:
    """Notes marks, and lets something happen while it does."""

    def __init__(self) -> None:
        self.noted: list[int] = []
        self.meanwhile: list[Any] = []
        self.away = False

    async def store_marks(self, marks: Sequence[HighWaterMark]) -> VaultIdentity:
        for happens in self.meanwhile:
            happens()
        self.meanwhile.clear()
        if self.away:
            raise JournalError("the vault cannot be written")
        self.noted += [mark.number for mark in marks]
        return VaultIdentity("vlt", len(self.noted))


def branch() -> Branch:
    return Branch(Subject("shard/0", KEY), Chain(KEY), Position(), "epo_1", VaultIdentity("vlt", 0))


def at(number: int) -> Position:
    return Position(number=number, epoch="epo_1", tip=bytes(32))


async def test_a_commit_that_comes_while_the_last_one_is_noted_is_noted_too() -> None:
    clock, vault, kept = VirtualClock(), Vault(), branch()
    keeper = MarkKeeper(0, kept, cast("Any", vault), clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.run)
        await clock.settled()
        kept.committed(at(1))
        vault.meanwhile.append(lambda: kept.committed(at(2)))
        await clock.advance(3 * MARK_INTERVAL_SECONDS)
        assert vault.noted == [1, 2]
        await clock.advance(60)
        assert vault.noted == [1, 2], "an idle shard writes nothing"
        tasks.cancel_scope.cancel()


async def test_a_vault_that_is_away_is_tried_again_and_said_once() -> None:
    clock, vault, kept = VirtualClock(), Vault(), branch()
    vault.away = True
    keeper = MarkKeeper(0, kept, cast("Any", vault), clock)
    with logged() as log:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            await clock.settled()
            kept.committed(at(1))
            await clock.advance(REMINDER_SECONDS / 2)
            assert len(log.lines("high_water_mark_not_noted")) == 1
            vault.away = False
            await clock.advance(2 * MARK_INTERVAL_SECONDS)
            assert vault.noted == [1]
            tasks.cancel_scope.cancel()
