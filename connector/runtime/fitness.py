"""Fitness: what is checked at a start before any shard is acquired, anybody fenced or anything written.

Opening the edges has shown by then that the journal is there and of our format, with its topics and schemas, and that
the master key opens the vault. What is left is whether the two belong together.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.errors import ConfigurationError
from connector.links import Link
from connector.ports import JournalReader, Vault


async def require_fitness(
    reader: JournalReader, vault: Vault, *, vault_name: str, journal_name: str
) -> Mapping[str, Link]:
    """The journal's links, and the vault is theirs. Reads only.

    A few that it does not know are set aside later on, each by itself. A link that an operator asked to be removed is
    none to refuse a start for.

    Raises:
        ConfigurationError: it knows none of them: it is the wrong vault, or the wrong journal.
        JournalError: the journal is away.
    """
    leaving = {command.account_id for command in await reader.pending_commands() if command.kind == "remove"}
    links = await reader.links()
    linked = {account_id for account_id, link in links.items() if not link.removed} - leaving
    if not linked or not linked.isdisjoint(await vault.data_keys()):
        return links
    raise ConfigurationError(
        f"the vault {vault_name} knows none of the {len(linked)} accounts linked in the journal {journal_name}:"
        " one of the two is wrong, or an older copy. Nothing was started. Put back the one that fits; accounts "
        "whose vault is lost for good are closed with `zindigi link remove`, and their holders connect anew"
    )
