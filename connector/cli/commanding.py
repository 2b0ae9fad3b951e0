"""Commands: how a command line names an account, asks for a change, and waits for the connector to make it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Final

from cyclopts import Parameter

from connector.cadence import Mode
from connector.cli.exits import UsageError
from connector.cli.prompts import say
from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.links import Command, CommandKind, Link
from connector.ports import JournalReader
from connector.settings import nearest

_WAIT_STEP_SECONDS: Final = 0.1

Account = Annotated[str, Parameter(help="Account id, the beginning of one, or a label.")]
Wait = Annotated[float, Parameter(help="How long to wait for a running connector to apply it.")]
Json = Annotated[bool, Parameter(negative="", help="One JSON object a line instead of a table.")]
Yes = Annotated[bool, Parameter(negative="")]


async def command_about(
    reader: JournalReader,
    kind: CommandKind,
    account_id: str,
    *,
    wait_seconds: float,
    domain: str | None = None,
    resource: str | None = None,
    wished: Mapping[str, Mode | None] | None = None,
) -> None:
    """Append a command, and give a running connector a moment to apply it."""
    modes = tuple((name, (wished or {})[name]) for name in sorted(wished or {}))
    issued_at = SystemClock().now()
    command = Command(command_id(), kind, account_id, issued_at, domain=domain, cadence=modes, resource=resource)
    await reader.append_command(command)
    await wait_for(reader, command, wait_seconds)


def command_id() -> str:
    """A new one."""
    return f"cmd_{secrets.token_hex(16)}"


async def wait_for(reader: JournalReader, command: Command, wait_seconds: float) -> None:
    """Give a running connector a moment to apply a command, and say whether it has."""
    if await applied(reader, command, wait_seconds):
        say("Done: the connector has applied it.")


async def applied(reader: JournalReader, command: Command, wait_seconds: float) -> bool:
    """Does a running connector apply a command within that time? Where it does not, that is said."""
    clock = SystemClock()
    deadline = clock.monotonic() + wait_seconds
    while await reader.command_pending(command.command_id):
        if clock.monotonic() >= deadline:
            say("Recorded. It is applied as soon as the connector runs (`zindigi run`).")
            return False
        await clock.sleep(_WAIT_STEP_SECONDS)
    return True


def find_link(links: Mapping[str, Link], account: str) -> Link:
    """The one link that `account` names: by id, by label, or by the beginning of an id.

    Raises:
        UsageError: none, or more than one.
    """
    if account in links:
        return links[account]
    found = [link for link in links.values() if link.label == account]
    found = found or [link for account_id, link in links.items() if account and account_id.startswith(account)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{account} names {len(found)} links: give more of the account id")
    names = [*links, *(link.label for link in links.values() if link.label)]
    raise UsageError(f"no link is named {account}{nearest(account, names)}; see `zindigi link list`")


def domains_named(given: Sequence[str] | None) -> frozenset[str]:
    """The domains named, also with commas between; all where none is.

    Raises:
        UsageError: one is unknown.
    """
    names = [name for item in given or [] for name in item.split(",") if name]
    require_known("domain", names, DOMAINS)
    return frozenset(names or DOMAINS)


def require_known(what: str, given: Iterable[str], names: Collection[str], *, listed: bool = True) -> None:
    """Raises UsageError for a name that there is not; `listed`: it says which there are."""
    for name in given:
        if name not in names:
            there_are = f" (there are {', '.join(names)})" if listed else ""
            raise UsageError(f"unknown {what} {name}{nearest(name, names)}{there_are}")
