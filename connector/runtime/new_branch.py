"""Going on as a new branch: by an operator's word, after a restore, or from a state that was made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.errors import ConfigurationError
from connector.journal.choice import open_journal
from connector.ports import Clock, HighWaterMark, Journal, Vault
from connector.runtime.branch import unfit
from connector.settings import Settings
from connector.vault import SqliteVault

if TYPE_CHECKING:
    from connector.runtime.rebuild import Rebuilt


async def begin_epoch(settings: Settings, master_key: bytes, clock: Clock) -> str:
    """Have the journal go on as a new branch from what it holds, whatever the vault knows of it; the new epoch.

    Raises:
        ConfigurationError: a connector works on the journal, or the vault is not its own.
        JournalError: the journal is away.
    """
    journal = await open_journal(settings, clock)
    try:
        vault = await SqliteVault.open(settings.vault.path, master_key)
        try:
            return await go_on(settings, journal, vault, clock)
        finally:
            await vault.close()
    finally:
        await journal.close()


async def go_on(settings: Settings, journal: Journal, vault: Vault, clock: Clock) -> str:
    """`begin_epoch`, of a journal and a vault that are open.

    Raises:
        ConfigurationError, JournalError: as `begin_epoch`.
    """
    identity = await vault.identity()
    for shard in range(journal.shard_count):
        last = await journal.last_commit(shard)
        if last.vault is not None and last.vault.vault_id != identity.vault_id:
            raise ConfigurationError(str(unfit(shard, journal.epoch, last, {}, identity)))
    epoch = None
    if settings.journal.kind == "kafka":
        from connector.runtime.deployment import deployment_of
        from connector.runtime.rebuild import begin_with_what_is_whole

        async with deployment_of(settings, vault, clock) as deployment:
            epoch = await begin_with_what_is_whole(deployment)
        if epoch is not None:
            journal.epoch = epoch
    if epoch is None:
        epoch = await journal.begin_epoch()
    await adopt(journal, vault, clock)
    return epoch


async def rebuild_state(settings: Settings, master_key: bytes, clock: Clock) -> Rebuilt:
    """Make the state of a Kafka journal anew from its event topics, and have the vault take it for the newest.

    Raises:
        ConfigurationError: the topics do not hold everything; nothing was changed.
        JournalError: the brokers do not answer; run it again.
    """
    if settings.journal.kind != "kafka":
        raise ConfigurationError(
            "events and state of the embedded journal are one file: where it is damaged, put a backup back with "
            "`zindigi restore`. journal.kind is not kafka"
        )
    from connector.runtime.deployment import deployment_of
    from connector.runtime.rebuild import rebuild

    vault = await SqliteVault.open(settings.vault.path, master_key)
    try:
        async with deployment_of(settings, vault, clock) as deployment:
            made = await rebuild(deployment)
            await adopt(deployment.journal, vault, clock)
            return made
    finally:
        await vault.close()


async def adopt(journal: Journal, vault: Vault, clock: Clock) -> None:
    """Have the vault take the journal as it stands for the newest there is."""
    lasts = [await journal.last_commit(shard) for shard in range(journal.shard_count)]
    floor = max((last.vault.counter for last in lasts if last.vault is not None), default=0)
    now = clock.now()
    await vault.store_marks(
        [HighWaterMark(shard, last.number, journal.epoch, last.tip, now) for shard, last in enumerate(lasts)],
        counter_floor=floor,
    )
