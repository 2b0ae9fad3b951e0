"""What is held, for a command line: read with the vault's key, beside a running connector or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connector.cli.commanding import find_link
from connector.cli.exits import UsageError
from connector.cli.link_status import known_links
from connector.cli.settings_flags import reading
from connector.errors import ConfigurationError
from connector.links import Command, Link
from connector.master_key import read_master_key
from connector.ports import JournalReader, Vault
from connector.runtime.held_things import Thing, held_things
from connector.settings import Effective, Settings
from connector.vault import SqliteVault


@dataclass(frozen=True, slots=True)
class Desk:
    """Journal and vault, opened to be looked at."""

    reader: JournalReader
    vault: Vault
    links: Mapping[str, Link]

    @classmethod
    @asynccontextmanager
    async def open(cls, effective: Effective) -> AsyncIterator[Desk]:
        """Both, as set.

        Raises:
            ConfigurationError: one of them is not there, or the master key is not the vault's.
        """
        async with reading(effective.settings) as reader, opened_vault(effective) as vault:
            yield cls(reader, vault, await known_links(reader))

    def label(self, account_id: str) -> str:
        """The operator's own name for a link; empty where it has none."""
        link = self.links.get(account_id)
        return link.label if link is not None else ""

    async def account_named(self, account: str) -> str:
        """The id of the account that `account` names; one whose link cannot be read is named by its whole id.

        Raises:
            UsageError: none, or more than one.
        """
        if account in {one.account_id for one in await self.reader.damaged()}:
            return account
        return find_link(self.links, account).account_id

    async def things(self, account_id: str | None = None, *, entries: bool = False) -> list[Thing]:
        """What is held, of all or of one account.

        Raises:
            JournalError, RetryableError: journal or vault are away.
        """
        accounts = None if account_id is None else (account_id,)
        return await held_things(self.reader, self.vault, self.links, accounts=accounts, entries=entries)

    async def asked_already(self) -> Sequence[Command]:
        """The decisions that no connector has applied yet."""
        return [one for one in await self.reader.pending_commands() if one.domain is not None]


@asynccontextmanager
async def opened_vault(effective: Effective) -> AsyncIterator[Vault]:
    """The vault, as set; none is made.

    Raises:
        ConfigurationError: there is none, or no master key, or another one's.
    """
    settings: Settings = effective.settings
    master_key = read_master_key(settings, effective.sources)
    if not settings.vault.path.exists():
        raise ConfigurationError(f"there is no vault {settings.vault.path}: what is held is sealed with its keys")
    vault = await SqliteVault.open(settings.vault.path, master_key)
    try:
        yield vault
    finally:
        await vault.close()


def in_resource(things: Sequence[Thing], domain: str, resource: str | None) -> list[Thing]:
    """Those of a domain, and of one resource, named by its name or the beginning of one.

    Raises:
        UsageError: more than one resource begins like that.
    """
    found = [one for one in things if one.domain == domain]
    if resource is None:
        return found
    names = {one.resource for one in found if one.resource == resource}
    names = names or {one.resource for one in found if one.resource.startswith(resource)}
    if len(names) > 1:
        raise UsageError(f"{resource} names {len(names)} resources: {', '.join(sorted(names))}")
    return [one for one in found if one.resource in names]
