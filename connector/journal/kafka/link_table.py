"""The `links` topic folded into a table: the desired state by account, and the commands that nobody has applied yet.

Keys: `account_id` for a link, `account_id/command/<id>` for a command; a tombstone ends either.
"""

from __future__ import annotations

from connector.journal.link_codec import coded, decode_command, decode_link
from connector.links import Command, Link

_COMMAND: str = "/command/"


def command_key(command: Command) -> bytes:
    """The key of a command."""
    return f"{command.account_id}{_COMMAND}{command.command_id}".encode()


class LinkTable:
    """What a reader of the topic knows by now."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.commands: dict[str, Command] = {}
        """Not yet applied, oldest first, by command id."""

    def take(self, key: bytes, value: bytes | None) -> None:
        """Fold one record in.

        Raises:
            JournalError: it cannot be understood.
        """
        account_id, is_command, command_id = key.decode().partition(_COMMAND)
        if is_command:
            if value is None:
                self.commands.pop(command_id, None)
            else:
                # The place of the first one counts: a command appended twice is one.
                self.commands[command_id] = coded(decode_command, value)
        elif value is None:
            self.links.pop(account_id, None)
        else:
            self.links[account_id] = coded(decode_link, value)
