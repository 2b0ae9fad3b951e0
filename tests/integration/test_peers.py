"""What other connectors miss: entries added, amended at any age, removed, and one that came late; and no repeats.

The scenario that was measured with five of them: five accounts that stand still, then a second run after two entries
were added, three amended and three removed in each, and one late entry of another account.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from connector.avro import decode_entity
from connector.observe import Depth
from connector.runtime import packing
from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend
from tests.support.world import World

LABELS = [f"account-{number}" for number in range(1, 6)]
AMENDED_AGES = (0.0, 1.0, 10.0)
REMOVED_AGES = (2.0, 5.0, 12.0)
LATE_DAYS = 3.0
SEED = 7


class Wanted:
    """The entities that the second run must tell of, by what happened to them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.added: set[str] = set()
        self.amended: dict[float, set[str]] = {age: set() for age in AMENDED_AGES}
        self.removed: set[str] = set()
        self.late: set[str] = set()

    def change(self, label: str, op: str, **what: Any) -> set[str]:
        ledger = self.world.bank.life(label).ledgers["transactions"]
        before = len(ledger.changes)
        self.world.mutate(holder=label, domain="transactions", op=op, **what)
        return {change.entity for change in ledger.changes[before:]}

    def happen(self) -> None:
        for label in LABELS:
            for age in AMENDED_AGES:
                self.amended[age] |= self.change(label, "amend", age_days=age)
            for age in REMOVED_AGES:
                self.removed |= self.change(label, "remove", age_days=age)
            self.added |= self.change(label, "add", count=2)
        self.late = self.change("account-3", "back_date", age_days=LATE_DAYS)

    def found(self, told: list[dict[str, Any]]) -> dict[str, str]:
        def share(op: str, entities: set[str]) -> str:
            hit = Counter(event["entity_id"] for event in told if event["op"] == op)
            assert all(hit[entity] <= 1 for entity in entities), "told twice"
            return f"{sum(hit[entity] for entity in entities)}/{len(entities)}"

        return {
            "added": share("c", self.added),
            **{f"amended {age:g} days old": share("u", self.amended[age]) for age in AMENDED_AGES},
            "removed": share("d", self.removed),
            "late": share("c", self.late),
        }


async def fingerprint(world: World) -> dict[Any, Any]:
    """How far the journal is, and a digest of every file beside it."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(world.directory.iterdir())
        if not path.name.endswith("-shm")
    }
    return {**files, **await world.place.ends()}


async def read_all(worker: ShardWorker, depth: Depth) -> None:
    for account in worker.accounts.values():
        for resource in account.resources.values():
            whole = depth if resource.kind.window is not None else Depth.WHOLE
            await worker.polls.poll(account, resource, worker.commits, whole)


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, "peers", seed=SEED, place=place) as opened:
        await opened.link(*LABELS)
        yield opened


@pytest.mark.anyio
async def test_the_second_run_finds_everything_once_and_idle_polls_write_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        first = await world.told("transactions")
        assert Counter(event["op"] for event in first) == {"c": 5 * 200}
        wanted = Wanted(world)
        wanted.happen()
        await worker.sweep()
        await worker.sweep()
        second = (await world.told("transactions"))[len(first) :]
        found = wanted.found(second)
        print(f"seed {SEED}: {found}")
        assert found == {
            "added": "10/10",
            "amended 0 days old": "5/5",
            "amended 1 days old": "5/5",
            "amended 10 days old": "5/5",
            "removed": "15/15",
            "late": "1/1",
        }
        # Exactly these, and nothing else: 10 + 15 + 15 + 1.
        assert len(second) == 41
        verdict = await world.verdict(lockstep=True)
        assert verdict.sound, verdict.findings

        decoded = 0

        def counting(domain: str, value: bytes) -> Any:
            nonlocal decoded
            decoded += 1
            return decode_entity(domain, value)

        # The first head read after a change has a new head page to look at; from then on nothing moves.
        await read_all(worker, Depth.HEAD)
        monkeypatch.setattr(packing, "decode_entity", counting)
        # How far the last commit has come is noted in the vault a moment after it.
        with anyio.fail_after(60):
            while (await world.vault.marks())[0].number < worker.commits.branch.position.number:
                await world.clock.sleep(0.05)
        before, events_before = await fingerprint(world), len(await world.events())
        calls_before, unchanged_before = len(world.transport.calls), worker.polls.counts.unchanged
        for _ in range(5):
            await read_all(worker, Depth.HEAD)
            await read_all(worker, Depth.RECONCILE)
        assert len(world.transport.calls) > calls_before
        assert worker.polls.counts.unchanged - unchanged_before == 2 * 5 * sum(
            len(account.resources) for account in worker.accounts.values()
        )
        assert decoded == 0
        assert await fingerprint(world) == before
        assert len(await world.events()) == events_before


@pytest.mark.anyio
async def test_heads_find_what_is_new_and_reconciles_the_rest(world: World) -> None:
    # Pages of some three days of these accounts: a head stops after a page that holds nothing new.
    world.page_limit = 20
    world.new_source()
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        wanted = Wanted(world)
        wanted.happen()
        await read_all(worker, Depth.HEAD)
        by_head = (await world.told("transactions"))[known:]
        assert wanted.found(by_head) == {
            "added": "10/10",
            "amended 0 days old": "5/5",
            "amended 1 days old": "5/5",
            "amended 10 days old": "0/5",
            "removed": "0/15",
            "late": "1/1",
        }
        await read_all(worker, Depth.RECONCILE)
        by_one_reconcile = (await world.told("transactions"))[known:]
        assert wanted.found(by_one_reconcile)["amended 10 days old"] == "5/5"
        assert wanted.found(by_one_reconcile)["removed"] == "0/15"
        await read_all(worker, Depth.RECONCILE)
        by_two = (await world.told("transactions"))[known:]
        assert wanted.found(by_two)["removed"] == "15/15"
        assert len(by_two) == 41
        verdict = await world.verdict()
        assert verdict.sound, verdict.findings


@pytest.mark.anyio
async def test_a_restart_repeats_nothing(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
    wanted = Wanted(world)
    wanted.happen()
    for _ in range(3):
        async with world.working() as worker:
            await worker.sweep()
            await worker.sweep()
    verdict = await world.verdict(lockstep=True)
    assert verdict.sound, verdict.findings
    assert len(await world.told("transactions")) == 5 * 200 + 41
