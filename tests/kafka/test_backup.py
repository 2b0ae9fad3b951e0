"""A lost vault beside a Kafka journal: the backup brings it back, the topics are where they were, and it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.proving.broker import Broker
from connector.runtime import backup as work
from connector.vault import SqliteVault
from tests.faults.test_branch import BACKUP_KEY, folded
from tests.kafka.test_rebuild import HOLDER, at, findings, lived, place_of, reopen, settings_of, settled
from tests.support.world import MASTER_KEY, World

pytestmark = pytest.mark.anyio


async def lose_vault(world: World) -> None:
    await world.source.close()
    await world.vault.close()
    for path in world.directory.glob("vault.db*"):
        path.unlink()


async def test_a_lost_vault_comes_back_and_the_branch_goes_on(tmp_path: Path, broker: Broker) -> None:
    directory, safe = tmp_path / "machine", tmp_path / "safe"
    directory.mkdir()
    async with at(directory, broker) as world:
        settings = settings_of(place_of(world), directory)
        epoch = world.journal.epoch
        await lived(world)
        async with world.working() as worker:
            # While it works.
            manifest = await work.back_up(settings, MASTER_KEY, BACKUP_KEY, safe, world.clock)
            world.mutate(holder=HOLDER, domain="transactions", op="add")
            await settled(worker)
        assert set(manifest.files) == {"links.jsonl", "vault.db"}
        assert manifest.stamp.epoch == epoch
        assert b"cns_" not in b"".join(path.read_bytes() for path in safe.iterdir())
        read_by_consumer = await world.events()
        with pytest.raises(ConfigurationError, match="overwrites nothing"):
            await work.put_back(settings, MASTER_KEY, BACKUP_KEY, safe, world.clock)
        await lose_vault(world)
        assert await work.put_back(settings, MASTER_KEY, BACKUP_KEY, safe, world.clock) == epoch
        # The links lie beside the vault, for whoever must look them up; nothing else came with it.
        assert sorted(path.name for path in directory.glob("*.db")) == ["vault.db"]
        world.vault = await SqliteVault.open(directory / "vault.db", MASTER_KEY)
        await reopen(world)
        assert await findings(world) == []
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        async with world.working() as worker:
            await settled(worker)
            await worker.checkpoint()
        now = await world.events()
        # The branch is the one that it was: whoever had read up to the loss reads on, and takes nothing back.
        assert {event["epoch"] for _, event in now} == {epoch}
        ids = {event["event_id"] for _, event in read_by_consumer}
        went_on = [(topic, event) for topic, event in now if event["event_id"] not in ids]
        assert any(topic == "transactions" for topic, _ in went_on)
        assert folded([*read_by_consumer, *went_on]) == folded(now)
        await world.assert_sound()
        assert await findings(world) == []


async def test_a_vault_of_before_is_refused_without_a_restore(tmp_path: Path, broker: Broker) -> None:
    """Broken on purpose: the older file put back by hand, and not by the command that has it take the journal on."""
    directory = tmp_path / "machine"
    directory.mkdir()
    async with at(directory, broker) as world:
        await lived(world)
        await world.vault.close()
        kept = shutil.copytree(directory, tmp_path / "kept")
        world.vault = await SqliteVault.open(directory / "vault.db", MASTER_KEY)
        await world.vault.store_marks((await world.vault.marks()).values())
        await reopen(world)
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        async with world.working() as worker:
            await settled(worker)
        await lose_vault(world)
        for path in kept.glob("vault.db*"):
            shutil.copy(path, directory / path.name)
        world.vault = await SqliteVault.open(directory / "vault.db", MASTER_KEY)
        await reopen(world)
        with pytest.raises(ConfigurationError, match="the vault is an older copy"):
            async with world.working():
                pass
