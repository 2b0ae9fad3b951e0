"""Command round: what command lines asked for since last time, applied account by account, many in one commit.

Commands of one account are applied in their order, those of different accounts side by side, so that hundreds become a
few commits. One that cannot be applied is set aside and said; it neither stops the others nor is tried for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import anyio

from connector.domains.registry import DOMAINS
from connector.errors import DataError, JournalError, RetryableError
from connector.links import Command, Link
from connector.ports import Clock, Shard, Vault
from connector.runtime.lifecycle import Lifecycle
from connector.runtime.memory import AccountMemory, reason_of, shard_subject
from connector.runtime.sealed_state import Subject
from connector.runtime.set_aside import SetAside
from connector.telemetry import RepeatedFailures, logger

T = TypeVar("T")

MAXIMUM_AT_ONCE: Final = 1_000
"""Accounts whose commands are applied side by side; the others follow."""
ROUTE: Final = "app-session"


class CommandRound:
    """Applies the pending commands of one shard."""

    def __init__(
        self,
        shard: Shard,
        *,
        vault: Vault,
        clock: Clock,
        lifecycle: Lifecycle,
        accounts: dict[str, AccountMemory],
        links: dict[str, Link],
        set_aside: SetAside,
        take_charge: Callable[[AccountMemory], None],
    ) -> None:
        self._shard = shard
        self._vault = vault
        self._lifecycle = lifecycle
        self._accounts = accounts
        self._links = links
        self._set_aside = set_aside
        self._take_charge = take_charge
        self._log = logger(__name__).bind(shard=shard.number)
        self._later = RepeatedFailures(self._log, clock.monotonic, interval_seconds=600.0)

    async def run(
        self, before: Callable[[AccountMemory], T], applied: Callable[[AccountMemory, Command, T], None]
    ) -> None:
        """Apply what is pending. `applied` is told of each that was, once it is durable, with what `before` found.

        Raises:
            JournalError: memory must be restored; each command is applied as a whole, or pending as a whole.
        """
        pending = await self._shard.pending_commands()
        self._set_aside.add_damaged(await self._shard.damaged())
        waiting = self._by_account(pending)
        broken: list[JournalError] = []

        async def in_order(commands: list[Command]) -> None:
            for command in commands:
                try:
                    if not await self._one(command, before, applied):
                        return
                except JournalError as error:
                    broken.append(error)
                    return

        while waiting and not broken:
            turn, waiting = waiting[:MAXIMUM_AT_ONCE], waiting[MAXIMUM_AT_ONCE:]
            for commands in turn:
                await self._prepare(commands[0])
            async with anyio.create_task_group() as side_by_side:
                for commands in turn:
                    side_by_side.start_soon(in_order, commands)
        if broken:
            raise broken[0]

    def _by_account(self, pending: Iterable[Command]) -> list[list[Command]]:
        by_account: dict[str, list[Command]] = {}
        for command in pending:
            if command.command_id not in self._set_aside.commands:
                by_account.setdefault(command.account_id, []).append(command)
        return list(by_account.values())

    async def _prepare(self, command: Command) -> None:
        """Have the account's key made before all begin, so that they reach the same commit."""
        try:
            await self._account(command)
        except Exception:  # noqa: BLE001  # it comes up again, and is dealt with, when the command is applied
            return

    async def _one(
        self,
        command: Command,
        before: Callable[[AccountMemory], T],
        applied: Callable[[AccountMemory, Command, T], None],
    ) -> bool:
        """Apply one command; False where it must wait, and those after it with it."""
        try:
            account = await self._account(command)
            if account is None:
                await self._close_unopened(command)
            else:
                found = before(account)
                await self._lifecycle.apply(account, command)
                self._set_aside.accounts.pop(account.account_id, None)
                applied(account, command, found)
        except JournalError:
            raise
        except RetryableError as error:
            self._later.warn(command.command_id, "command_waits", account_id=command.account_id, exc_info=error)
            return False
        except Exception as error:  # noqa: BLE001  # one command that nobody can apply must not keep the others waiting
            self._set_aside.add_command(command.command_id, command.account_id, command.kind, reason_of(error))
            return True
        self._log.info("command_applied", account_id=command.account_id, command=command.kind)
        return True

    async def _account(self, command: Command) -> AccountMemory | None:
        """Whose command it is, made where it is new; None for one that can only be closed."""
        account_id = command.account_id
        account = self._accounts.get(account_id)
        if account is not None:
            if account_id in self._set_aside.accounts and command.kind in {"connect", "remove"}:
                account.link = _as_told(account)
            return account
        reason = self._set_aside.accounts.get(account_id)
        if command.kind == "remove" and (reason is not None or account_id in self._links):
            return None
        if reason is not None:
            raise DataError(f"the account is set aside, and can only be removed: {reason}")
        subject = Subject(account_id, await self._vault.data_key(account_id))
        if account_id not in self._accounts:
            self._accounts[account_id] = AccountMemory(account_id, subject)
            self._take_charge(self._accounts[account_id])
        return self._accounts[account_id]

    async def _close_unopened(self, command: Command) -> None:
        account_id = command.account_id
        prefix = f"{account_id}/"
        keys = tuple([record.key async for record in self._shard.restore() if record.key.startswith(prefix)])
        link = self._links.get(account_id) or _nothing_known(account_id)
        shard = self._accounts[shard_subject(self._shard.number)]
        self._links[account_id] = await self._lifecycle.close_unopened(shard, command, link, keys)


def never_opened(links: Mapping[str, Link], accounts: Mapping[str, AccountMemory]) -> dict[str, str]:
    """Links removed while their account could not be opened: it has no state any more, and must not begin anew.

    Beginning anew would tell its sequences from 1 a second time; whoever connects again gets another account id.
    """
    return {
        account_id: "it was removed while it could not be opened"
        for account_id, link in links.items()
        if link.removed and account_id in accounts and not accounts[account_id].streams
    }


def _as_told(account: AccountMemory) -> Link:
    """In place of a link that cannot be read: what consumers were told of it, without any consent to read."""
    told = account.link_status()
    if told is None:
        return _nothing_known(account.account_id)
    return Link(account.account_id, told.generation, told.route, "", frozenset(told.domains), None, paused=True)


def _nothing_known(account_id: str) -> Link:
    return Link(account_id, 0, ROUTE, "", frozenset(DOMAINS), None, paused=True)
