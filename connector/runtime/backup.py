"""Making a backup of journal and vault, and putting one back."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import anyio.to_thread

from connector import backup as files
from connector.backup import Manifest, Stamp
from connector.errors import ConfigurationError, RetryableError
from connector.journal.choice import open_journal
from connector.journal.link_codec import coded, encode_link
from connector.journal.sqlite import SqliteJournal
from connector.journal.sqlite_file import explain
from connector.journal.verify import read_about
from connector.ports import Clock, Journal
from connector.runtime.new_branch import adopt
from connector.settings import Settings
from connector.vault import SqliteVault

JOURNAL: Final = "journal.db"
VAULT: Final = "vault.db"
LINKS: Final = "links.jsonl"


async def back_up(settings: Settings, master_key: bytes, backup_key: bytes, directory: Path, clock: Clock) -> Manifest:
    """Copy journal and vault into `directory`, sealed; a connector may run meanwhile.

    Of a Kafka journal the topics are not in it: the links are, and where every topic ended.

    Raises:
        ConfigurationError: the directory is not empty, or there is no journal or vault.
        JournalError, RetryableError: they cannot be read for the moment.
    """
    await anyio.to_thread.run_sync(files.new_directory, directory)
    with _drafts(directory) as drafts:
        # The journal first: the vault's copy then knows every account that the journal's does.
        vault = await SqliteVault.open(settings.vault.path, master_key)
        try:
            if settings.journal.kind == "kafka":
                stamp, parts = await _kafka_parts(settings, clock, vault, drafts)
            else:
                stamp, parts = await _sqlite_parts(settings, clock, vault, drafts)
            await vault.backup(drafts / VAULT)
        finally:
            await vault.close()
        parts = {**parts, VAULT: drafts / VAULT}
        try:
            return await anyio.to_thread.run_sync(files.seal_files, directory, backup_key, parts, stamp)
        except OSError as error:
            raise RetryableError(f"the backup cannot be written to {directory}: {error.strerror}") from error


async def put_back(settings: Settings, master_key: bytes, backup_key: bytes, directory: Path, clock: Clock) -> str:
    """Put a backup into the places that the settings name, to go on as a new branch; its epoch.

    Of a Kafka journal only the vault is put back: the topics are where they were, and the branch stays.

    Raises:
        ConfigurationError: there is a journal or vault already, or the backup is not whole.
    """
    manifest = await anyio.to_thread.run_sync(files.read_manifest, directory, backup_key)
    if manifest.stamp.kind != settings.journal.kind:
        raise ConfigurationError(
            f"the backup is of journal.kind = {manifest.stamp.kind}, and the settings say {settings.journal.kind}"
        )
    on_kafka = settings.journal.kind == "kafka"
    targets = {VAULT: settings.vault.path} if on_kafka else {VAULT: settings.vault.path, JOURNAL: settings.journal.path}
    for path in targets.values():
        _require_free(path)
    with _drafts_beside(targets) as drafts:
        for name in manifest.files:
            target = drafts.get(name, drafts[VAULT].with_name(name))
            await anyio.to_thread.run_sync(files.unseal_file, directory, backup_key, manifest, name, target)
        journal = (
            await open_journal(settings, clock)
            if on_kafka
            else await SqliteJournal.open(drafts[JOURNAL], shard_count=settings.journal.shard_count)
        )
        try:
            vault = await SqliteVault.open(drafts[VAULT], master_key)
            try:
                epoch = journal.epoch if on_kafka else await journal.begin_epoch()
                await adopt(journal, vault, clock)
            finally:
                await vault.close()
        finally:
            await journal.close()
        for name, path in targets.items():
            files.put_into_place(drafts[name], path)
    return epoch


async def _sqlite_parts(
    settings: Settings, clock: Clock, vault: SqliteVault, drafts: Path
) -> tuple[Stamp, dict[str, Path]]:
    source, copy = settings.journal.path, drafts / JOURNAL
    try:
        about = await anyio.to_thread.run_sync(read_about, source)
        await anyio.to_thread.run_sync(files.copy_database, source, copy)
    except sqlite3.Error as error:
        raise RetryableError(f"the journal {source} cannot be copied: {explain(error)}") from error
    journal = await SqliteJournal.open(copy, shard_count=about.shard_count)
    try:
        stamp = await _stamp(settings, clock, journal, vault, {})
    finally:
        await journal.close()
    return stamp, {JOURNAL: copy}


async def _kafka_parts(
    settings: Settings, clock: Clock, vault: SqliteVault, drafts: Path
) -> tuple[Stamp, dict[str, Path]]:
    from connector.journal.kafka.journal import KafkaJournal
    from connector.journal.kafka.reader import KafkaReader
    from connector.journal.kafka.settled import kafka_options

    options = kafka_options(settings)
    journal = await KafkaJournal.open(options, clock=clock)
    try:
        reader = await KafkaReader.open(options, clock=clock)
        try:
            links = await reader.links()
        finally:
            await reader.close()
        ends = await journal.end_offsets()
        stamp = await _stamp(settings, clock, journal, vault, ends)
    finally:
        await journal.close()
    rows = "".join(coded(encode_link, link) + "\n" for link in links.values())
    await anyio.to_thread.run_sync((drafts / LINKS).write_text, rows, "utf-8")
    return stamp, {LINKS: drafts / LINKS}


async def _stamp(
    settings: Settings, clock: Clock, journal: Journal, vault: SqliteVault, ends: Mapping[str, int]
) -> Stamp:
    lasts = [await journal.last_commit(shard) for shard in range(journal.shard_count)]
    identity = await vault.identity()
    return Stamp(
        at=clock.now().isoformat(),
        kind=settings.journal.kind,
        epoch=journal.epoch,
        commits={str(shard): last.number for shard, last in enumerate(lasts)},
        tips={str(shard): last.tip.hex() for shard, last in enumerate(lasts)},
        vault_id=identity.vault_id,
        vault_counter=identity.counter,
        end_offsets=ends,
    )


@contextmanager
def _drafts(directory: Path) -> Iterator[Path]:
    """Where copies lie before they are sealed: in the backup's own directory, for its owner only, and then gone."""
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=directory) as drafts:
        yield Path(drafts)


@contextmanager
def _drafts_beside(targets: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """A place on the same file system for each target, so that a finished file is given its name at once."""
    with ExitStack() as stack:
        drafts = {}
        for name, path in targets.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix=".restore-", dir=path.parent))
            drafts[name] = Path(place) / name
        yield drafts


def _require_free(path: Path) -> None:
    """Nothing of an earlier file may be in the way, not even a write-ahead log: SQLite would take it for its own."""
    for one in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if one.exists():
            raise ConfigurationError(f"{one} is there already: a restore overwrites nothing; move it away first")
