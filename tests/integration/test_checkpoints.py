"""What a checkpoint vouches for was so at the bank: all domains, while the bank changes, fails and opens an account."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector.domains.lifecycle import Checkpoint
from connector.runtime import shard_worker
from connector.runtime.checkpoint import checkpoint_of
from connector.runtime.options import WorkerOptions
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.mutations import MutationError
from tests.integration.test_cadence import RUNTIME, pass_time
from tests.support.proofs import quickly
from tests.support.virtual_clock import VirtualClock
from tests.support.vouching import Vouching
from tests.support.world import BACKENDS, World, people

LABELS = ("adult", "teen")
OPTIONS = replace(RUNTIME, checkpoint_seconds=45.0)
COMMANDS = (
    {"domain": "transactions", "op": "add"},
    {"domain": "transactions", "op": "amend", "age_days": 3},
    {"domain": "transactions", "op": "remove", "age_days": 5},
    {"domain": "transactions", "op": "back_date", "age_days": 2},
    {"domain": "loyalty", "op": "add"},
    {"domain": "bills", "op": "add"},
    {"domain": "bookings", "op": "add"},
    {"domain": "account", "op": "amend"},
    {"domain": "cards", "op": "authorize"},
    {"domain": "investments", "op": "subscribe"},
    {"domain": "investments", "op": "publish_nav"},
    {"domain": "lending", "op": "repay"},
)
ROUNDS = 40


async def a_changing_bank(world: World, worker: ShardWorker, seed: int) -> list[tuple[datetime, int]]:
    """Commands, steps, outages and a bank account that is opened; the instants of the bank's changes."""
    rng = random.Random(seed)  # to replay, not to hide
    instants = [(world.clock.now(), world.bank.last_change_ordinal())]
    for number in range(ROUNDS):
        try:
            world.mutate(holder=rng.choice(LABELS), **rng.choice(COMMANDS))
        except MutationError:
            world.bank.step()
        if number == ROUNDS // 2:
            world.mutate(holder="adult", domain="account", op="open")
            iban = world.holder("adult")["ibans"][1]
            world.mutate(holder="adult", domain="transactions", op="add", iban=iban)
        if rng.random() < 0.1:
            backend = rng.choice(BACKENDS).replace("-", "_")
            world.strike("server_error", backend=backend, count=rng.randint(1, 40), params={"status": 503})
        instants.append((world.clock.now(), world.bank.last_change_ordinal()))
        await pass_time(world, worker, rng.uniform(5.0, 240.0))
    return instants


async def broken_claims(directory: Path, seed: int, options: WorkerOptions = OPTIONS) -> tuple[list[str], int]:
    """What is not so of all that checkpoints claim, and how many claims there were."""
    print(f"seed {seed}")
    async with World.open(directory, people(*LABELS), seed=seed, clock=VirtualClock(), options=options) as world:
        await world.link(*LABELS)
        async with world.running() as worker:
            await pass_time(world, worker, 120.0)
            instants = await a_changing_bank(world, worker, seed)
            await pass_time(world, worker, 4000.0)
        vouching = Vouching(world.truth(), instants, world.msisdn_of)
        broken = vouching.broken(await world.events())
        return broken, vouching.checked


@pytest.mark.anyio
@pytest.mark.parametrize("seed", quickly(range(3), 0))
async def test_what_a_checkpoint_vouches_for_is_so(tmp_path: Path, seed: int) -> None:
    broken, checked = await broken_claims(tmp_path, seed)
    assert broken == []
    assert checked > 50_000


def to_now(said: Checkpoint, now: datetime) -> Checkpoint:
    """Vouches up to the present instant instead of the last read."""
    return replace(said, domains=tuple(replace(one, polled_until=now) for one in said.domains))


def completely(said: Checkpoint, _now: datetime) -> Checkpoint:
    """Takes a read of what is new for a complete one."""
    return replace(said, domains=tuple(replace(one, reconciled_until=one.polled_until) for one in said.domains))


def for_everybody(said: Checkpoint, now: datetime) -> Checkpoint:
    """Lists nobody as behind, and vouches for all."""
    return replace(to_now(said, now), behind=())


@pytest.mark.anyio
@pytest.mark.parametrize("spoil", quickly([to_now, completely, for_everybody]))
async def test_a_checkpoint_that_vouches_for_too_much_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Checkpoint, datetime], Checkpoint]
) -> None:
    def spoiled(shard: int, accounts: Any, now: datetime, timetable: Any, *, held: Any) -> Checkpoint:
        return spoil(checkpoint_of(shard, accounts, now, timetable, held=held), now)

    monkeypatch.setattr(shard_worker, "checkpoint_of", spoiled)
    broken, _ = await broken_claims(tmp_path, 0)
    assert broken != []


@pytest.mark.proof
@pytest.mark.anyio
async def test_a_checkpoint_that_knows_nothing_of_a_new_bank_account_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if what is read by bank account were not bounded by when the bank accounts were asked for."""

    def unbounded(shard: int, accounts: Any, now: datetime, timetable: Any, *, held: Any) -> Checkpoint:
        accounts = tuple(accounts)
        asked = [account.profile_asked_at for account in accounts]
        for account in accounts:
            account.profile_asked_at = now
        said = checkpoint_of(shard, accounts, now, timetable, held=held)
        for account, at in zip(accounts, asked, strict=True):
            account.profile_asked_at = at
        return said

    monkeypatch.setattr(shard_worker, "checkpoint_of", unbounded)
    broken, _ = await broken_claims(tmp_path, 0, replace(OPTIONS, profile_interval_seconds=1800.0))
    assert any("transactions" in one for one in broken)
