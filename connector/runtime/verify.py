"""Verifying: everything that is wrong with a journal, and between journal and vault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from connector.chain import Chain
from connector.journal.verify import Finding, read_about, verify_file
from connector.ports import Clock, Vault
from connector.runtime.branch import unfit
from connector.runtime.memory import shard_subject
from connector.runtime.sealed_state import position_key
from connector.settings import Settings
from connector.vault import SqliteVault

Note = Callable[[str], None]
"""Is given a line about what could not be checked."""


async def verify(settings: Settings, master_key: bytes, clock: Clock, note: Note = lambda _: None) -> list[Finding]:
    """Everything that is wrong with the journal, and between journal and vault.

    The rows of an embedded journal are recomputed, commit by commit. Of a Kafka journal the state, the links and the
    end of the chain are compared with each other, and the state with what the event topics add up to.

    Raises:
        ConfigurationError, JournalError: it cannot be read at all.
    """
    vault = await SqliteVault.open(settings.vault.path, master_key)
    try:
        if settings.journal.kind == "kafka":
            from connector.runtime.verify_kafka import verify_topics

            return await verify_topics(settings, vault, clock, note)
        return await _verify_sqlite(settings.journal.path, vault)
    finally:
        await vault.close()


async def _verify_sqlite(path: Path, vault: Vault) -> list[Finding]:
    identity, marks = await vault.identity(), await vault.marks()
    about = await anyio.to_thread.run_sync(read_about, path)
    chains = [Chain(await vault.shard_key(shard)) for shard in range(about.shard_count)]
    keys = [position_key(shard_subject(shard)) for shard in range(about.shard_count)]
    findings: list[Finding] = []
    for verified in await anyio.to_thread.run_sync(verify_file, path, chains, keys):
        findings += verified.findings
        complaint = unfit(verified.shard, about.epoch, verified.last, marks, identity)
        if complaint is not None:
            findings.append(Finding(verified.shard, verified.last.number, "commits", complaint))
    return findings
