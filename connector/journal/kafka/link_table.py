"""The `links` topic folded into a table: the desired state by account, and the commands that nobody has applied yet.

Keys: `account_id` for a link, `account_id/command/<id>` for a command; a tombstone ends either.
"""

from __future__ import annotations

from connector.journal.link_codec import decode_command, decode_link, readable
from connector.links import Command, Link
from connector.ports import Damaged

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
        self.damaged: dict[bytes, Damaged] = {}
        """Records that cannot be understood, by key."""

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record in. One that cannot be understood ends what its key held before: nobody may go by that."""
        raw = key or b""
        named = raw.decode(errors="backslashreplace")
        account_id, is_command, command_id = named.partition(_COMMAND)
        self.damaged.pop(raw, None)
        if is_command:
            self._take_command(raw, account_id, command_id, value)
        else:
            self._take_link(raw, account_id, value)

    def _take_command(self, key: bytes, account_id: str, command_id: str, value: bytes | None) -> None:
        command = None if value is None else readable("command", command_id, account_id, decode_command, value)
        if isinstance(command, Command):
            # The place of the first one counts: a command appended twice is one.
            self.commands[command_id] = command
            return
        self.commands.pop(command_id, None)
        if command is not None:
            self.damaged[key] = command

    def _take_link(self, key: bytes, account_id: str, value: bytes | None) -> None:
        link = None if value is None else readable("link", account_id, account_id, decode_link, value)
        if isinstance(link, Link):
            self.links[account_id] = link
            return
        self.links.pop(account_id, None)
        if link is not None:
            self.damaged[key] = link
