"""Set aside: accounts of a shard that cannot be opened or read, so that all others go on. Said once, with a way out.

What they have in the journal stays as it is until an operator decides: whoever puts the missing key or row back has
them again with the next start; `link remove` closes what cannot be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from connector.domains.lifecycle import Checkpoint, StreamBehind
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.ports import Damaged
from connector.runtime.checkpoint import MAXIMUM_BEHIND
from connector.runtime.held_words import next_step
from connector.telemetry import logger

STATUS: Final = "SET_ASIDE"


@dataclass(slots=True)
class SetAside:
    """The accounts set aside in one shard, by account id with the reason; and the commands, by command id."""

    accounts: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)

    def add(self, account_id: str, reason: str) -> None:
        """Set an account aside, and say so once."""
        if account_id not in self.accounts:
            logger(__name__).error(
                "account_set_aside",
                account_id=account_id,
                kind="set_aside",
                reason=reason,
                next_step=next_step("set_aside", account_id, ""),
            )
        self.accounts[account_id] = reason

    def add_command(self, command_id: str, account_id: str, kind: str | None, reason: str) -> None:
        """Set a command aside, and say so once."""
        if command_id not in self.commands:
            logger(__name__).error(
                "command_set_aside",
                account_id=account_id,
                command=kind,
                command_id=command_id,
                reason=reason,
                next_step=next_step("command", account_id, ""),
            )
        self.commands[command_id] = reason

    def add_damaged(self, damaged: Iterable[Damaged]) -> None:
        """Set aside whatever rows of the journal cannot be understood."""
        for one in damaged:
            if one.kind == "link":
                self.add(one.account_id, one.reason)
            else:
                self.add_command(one.key, one.account_id, None, one.reason)

    def told_in(self, checkpoint: Checkpoint, links: Mapping[str, Link], opened: Callable[[str], bool]) -> Checkpoint:
        """The checkpoint, not vouching for the streams of accounts that could not be `opened`."""
        behind = [
            StreamBehind(account_id, domain, STATUS, None)
            for account_id in sorted(self.accounts)
            if not opened(account_id) and not (account_id in links and links[account_id].over)
            for domain in sorted(links[account_id].covered_domains if account_id in links else DOMAINS)
        ]
        return replace(
            checkpoint,
            streams=checkpoint.streams + len(behind),
            behind_count=checkpoint.behind_count + len(behind),
            behind=(*behind, *checkpoint.behind)[:MAXIMUM_BEHIND],
            set_aside=len({row.account_id for row in behind}),
        )
