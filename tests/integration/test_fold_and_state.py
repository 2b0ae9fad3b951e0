"""What a connector remembers is what it has told: the fold of the events is the state, entity by entity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.avro import encode_entity
from connector.domains.registry import DOMAINS
from connector.runtime.comparison import compare
from connector.runtime.history import History, fold_history
from connector.runtime.memory import AccountMemory, Restored, restore
from connector.runtime.packing import pack
from connector.state import EntityState
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

STEPS = 3


async def looked_at(world: World) -> tuple[History, Restored]:
    """The events folded, and the state restored beside them."""
    history = await fold_history(0, lambda: world.reader.read_events((*DOMAINS, "lifecycle")))
    return history, await restore(0, world.reader.read_state(), await world.reader.links(), world.vault)


def differences(history: History, restored: Restored) -> list[str]:
    return [str(one) for one in (*history.complaints, *compare(history, restored.accounts))]


async def lived(world: World) -> None:
    """So long that much has left the window."""
    await world.link()
    async with world.working() as worker:
        for _ in range(STEPS):
            await worker.sweep()
            await worker.sweep()
            world.bank.step()
        await worker.checkpoint()


async def test_the_events_add_up_to_the_state(tmp_path: Path) -> None:
    async with World.open(tmp_path, people("borrower", history_days=70)) as world:
        await lived(world)
        history, restored = await looked_at(world)
        assert differences(history, restored) == []
        # Something was let go, or nothing of that was tried.
        assert len(remembered(restored)) < sum(len(fold.entities) for fold in history.streams.values())


def remembered(restored: Restored) -> list[str]:
    return [
        entity_id
        for account in restored.accounts.values()
        for stream in account.streams.values()
        for memory in stream.resources.values()
        for entity_id, entity in memory.packed.open().entities.items()
        if entity.status != "forgotten"
    ]


Damage = Callable[[EntityState], EntityState | None]
DAMAGES: dict[str, tuple[str, Damage]] = {
    "a version": ("is version 9 in the state", lambda entity: replace(entity, version=9)),
    "an entity that is gone": ("is told, and not in the state", lambda _: None),
    "a record that is gone": ("is gone by the state", lambda entity: replace(entity, record=None, status="removed")),
    "another name": ("an entity that no event tells of", lambda entity: replace(entity, entity_id="loan/other")),
    "a quarantine": ("is quarantined by the state", lambda entity: replace(entity, unreadable_digest=b"x")),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_whatever_differs_is_named(tmp_path: Path, name: str) -> None:
    said, damage = DAMAGES[name]
    async with World.open(tmp_path, people("borrower", history_days=3)) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
        history, restored = await looked_at(world)
        [account] = [one for one in restored.accounts.values() if "lending" in one.streams]
        damaged(account, damage)
        found = differences(history, restored)
        assert any(said in one for one in found), found
        assert all(one.startswith(f"lending: of {account.account_id}, ") for one in found)


def damaged(account: AccountMemory, damage: Damage) -> None:
    """The first loan, otherwise than it was committed."""
    [memory] = account.streams["lending"].resources.values()
    entities = dict(memory.packed.open().entities)
    name = next(name for name, entity in entities.items() if entity.record is not None)
    after = damage(entities.pop(name))
    left = [*entities.values(), *([after] if after is not None else [])]
    memory.packed = pack("lending", [encode_entity("lending", entity) for entity in left])


async def test_a_head_that_is_behind_or_ahead_is_named(tmp_path: Path) -> None:
    async with World.open(tmp_path, people("borrower", history_days=3)) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
        for by, said in ((-1, "the state is behind"), (1, "the state is ahead")):
            history, restored = await looked_at(world)
            [account] = [one for one in restored.accounts.values() if "lending" in one.streams]
            stream = account.streams["lending"]
            stream.head = replace(stream.head, sequence=stream.head.sequence + by)
            [found] = differences(history, restored)
            assert said in found
