"""Keeping sessions alive: tokens from the vault, one refresh for everybody, and silence once the holder must act.

PIN and OTP never come here (`login`). Nothing here starts a login: where the bank wants its holder, the account is
silent until the vault holds another session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from connector.errors import (
    ActionRequiredError,
    ConnectorError,
    DataError,
    ForbiddenError,
    RetryableError,
    TokenError,
    UnavailableError,
)
from connector.ports import Clock, Session, Vault
from connector.sources.zindigi.grant import read_grant
from connector.sources.zindigi.http import BankHttp, Credentials
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.refusals import refusal
from connector.sources.zindigi.surface import Call

T = TypeVar("T")


@dataclass(slots=True)
class _Account:
    """What the keeper remembers of one account. `blocked_generation` is that of the session which came to its end."""

    session: Session | None = field(default=None, repr=False)
    refresh: asyncio.Task[Session] | None = None
    unsaved: Session | None = field(default=None, repr=False)
    blocked: ActionRequiredError | None = None
    blocked_generation: int = 0
    refresh_paused_until: float = 0.0

    def adopt(self, session: Session) -> Session:
        """Go on with `session`, unless a newer one is in use; the one in use."""
        if self.session is None or session.generation > self.session.generation:
            self.session = session
        return self.session

    def block(self, error: ActionRequiredError, generation: int) -> None:
        """Silence the account, unless a session newer than the one that failed is in use."""
        if self.session is None or self.session.generation <= generation:
            self.blocked, self.blocked_generation = error, generation
            self.session = None


class SessionKeeper:
    """Runs calls with a session that is good, for any number of accounts and concurrent calls.

    A refresh goes on when the call that wanted it is cancelled: a rotated token must reach the vault. Close it before
    the event loop ends.
    """

    def __init__(self, bank: BankHttp, vault: Vault, clock: Clock, options: ZindigiOptions) -> None:
        self._bank = bank
        self._vault = vault
        self._clock = clock
        self._options = options
        self._margin = timedelta(seconds=options.refresh_margin_seconds)
        self._accounts: dict[str, _Account] = {}

    async def authorised(self, account_id: str, send: Callable[[Credentials], Awaitable[T]]) -> T:
        """What `send` returns, with a good token; after a `TokenError` one refresh and one more `send`.

        Raises:
            ActionRequiredError: the holder must act; no call was or will be made until the vault holds a new session.
            UnavailableError: the bank refused a token that it had only just issued; or as `send` raises.
            ConnectorError: as `send` raises.
        """
        session = await self._usable(account_id)
        try:
            return await send(_credentials(session))
        except TokenError:
            session = await self._renewed(account_id, session)
        except ActionRequiredError as error:
            session = await self._newer_or_block(account_id, session, error)
        try:
            return await send(_credentials(session))
        except TokenError:
            raise UnavailableError("the bank refused a token that it had only just issued") from None
        except ActionRequiredError as error:
            self._account(account_id).block(error, session.generation)
            raise

    async def access_token(self, account_id: str) -> str:
        """A token with life left in it.

        Raises:
            ActionRequiredError: the holder must act.
            RetryableError: it had to be refreshed, and the bank or the vault is away.
        """
        return (await self._usable(account_id)).access_token

    async def log_out(self, account_id: str) -> None:
        """End the session upstream as far as it will go, and never use it again. The vault is the caller's."""
        account = self._account(account_id)
        if account.refresh is not None:
            with contextlib.suppress(ConnectorError):
                await asyncio.shield(account.refresh)
        with contextlib.suppress(ConnectorError):
            await self.authorised(account_id, self._end)
        generation = account.session.generation if account.session else account.blocked_generation
        account.block(ActionRequiredError("otp", "logged out"), generation)

    async def close(self) -> None:
        """Let refreshes in flight come to their end, so that no rotated token is lost. Bounded by their deadline."""
        tasks = [account.refresh for account in self._accounts.values() if account.refresh is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._options.refresh_deadline_seconds)

    def _account(self, account_id: str) -> _Account:
        return self._accounts.setdefault(account_id, _Account())

    async def _end(self, credentials: Credentials) -> None:
        answer = await self._bank.exchange(Call("DELETE", "/auth/session"), credentials)
        if not answer.succeeded:
            raise refusal(answer)

    async def _usable(self, account_id: str) -> Session:
        """The session to send with: not blocked, and refreshed ahead of its expiry by our own clock."""
        account = self._account(account_id)
        if account.blocked is not None:
            await self._unblock(account_id, account, account.blocked)
        session = account.session
        if session is None:
            session = await self._first(account_id, account)
        now = self._clock.now()
        if now < session.access_expires_at - self._margin:
            return session
        try:
            return await self._renewed(account_id, session)
        except RetryableError:
            if now >= session.access_expires_at:
                raise
            return session

    async def _first(self, account_id: str, account: _Account) -> Session:
        stored = await self._vault.load_session(account_id)
        if stored is not None:
            return account.adopt(stored)
        error = ActionRequiredError("otp", "there is no session in the vault: a login is needed")
        account.block(error, 0)
        raise error

    async def _unblock(self, account_id: str, account: _Account, blocked: ActionRequiredError) -> None:
        """Return if the vault holds another session than the one that came to its end.

        The vault is a file at hand and whoever calls stops at this error: there is no need to look less often, and
        a holder who logged in a moment ago must not be told to do it again.
        """
        stored = await self._vault.load_session(account_id)
        if stored is not None and stored.generation > account.blocked_generation:
            account.blocked = None
            account.adopt(stored)
            return
        # A fresh instance: one that is raised over and over would gather tracebacks.
        raise ActionRequiredError(blocked.reason, str(blocked))

    async def _newer_or_block(self, account_id: str, failed: Session, error: ActionRequiredError) -> Session:
        """The session that took over from `failed` (a refresh, or a login by another process); otherwise silence."""
        account = self._account(account_id)
        stored = await self._vault.load_session(account_id)
        if stored is not None and stored.generation > failed.generation:
            return account.adopt(stored)
        account.block(error, failed.generation)
        raise error

    async def _renewed(self, account_id: str, refused: Session) -> Session:
        """A session newer than `refused`; all who ask at the same time wait for one and the same refresh."""
        account = self._account(account_id)
        if account.blocked is not None:
            raise ActionRequiredError(account.blocked.reason, str(account.blocked))
        if account.session is not None and account.session.generation > refused.generation:
            return account.session
        if account.refresh is None:
            paused = account.refresh_paused_until - self._clock.monotonic()
            if paused > 0:
                raise UnavailableError("a refresh has just failed", retry_after_seconds=paused)
            account.refresh = asyncio.create_task(self._refresh(account_id, account, refused))
            account.refresh.add_done_callback(_retrieve)
        return await asyncio.shield(account.refresh)

    async def _refresh(self, account_id: str, account: _Account, held: Session) -> Session:
        try:
            return account.adopt(await self._rotate(account_id, account, held))
        except RetryableError as error:
            pause = error.retry_after_seconds or self._options.refresh_pause_seconds
            account.refresh_paused_until = self._clock.monotonic() + pause
            raise
        except ActionRequiredError as error:
            return await self._newer_or_block(account_id, held, error)
        finally:
            account.refresh = None

    async def _rotate(self, account_id: str, account: _Account, held: Session) -> Session:
        """The vault's newer session, or one that the bank rotates; in the vault before anybody uses it."""
        if account.unsaved is None:
            stored = await self._vault.load_session(account_id)
            if stored is None:
                raise ActionRequiredError("otp", "there is no session in the vault: a login is needed")
            if stored.generation > held.generation:
                return stored
            account.unsaved = await self._ask_refresh(held)
        await self._vault.store_session(account.unsaved)
        rotated, account.unsaved = account.unsaved, None
        # A login by another process may have come in between: the vault has the last word.
        return await self._vault.load_session(account_id) or rotated

    async def _ask_refresh(self, held: Session) -> Session:
        asked_at = self._clock.now()
        call = Call("POST", "/auth/refresh", payload={"refresh_token": held.refresh_token, "device_id": held.device_id})
        try:
            async with asyncio.timeout(self._options.refresh_deadline_seconds):
                answer = await self._bank.exchange(call)
            if not answer.succeeded:
                raise refusal(answer)
            return read_grant(answer).session(
                account_id=held.account_id,
                generation=held.generation + 1,
                msisdn=held.msisdn,
                device_id=held.device_id,
                asked_at=asked_at,
            )
        except TimeoutError:
            raise UnavailableError("the refresh took longer than its deadline") from None
        except (TokenError, ForbiddenError):
            raise ActionRequiredError("otp", "the bank refused the refresh: a new login is needed") from None
        except DataError as error:
            # Not the fault of the resource that happened to be read: it must not be quarantined for this.
            raise UnavailableError(f"the answer to a refresh was not understood: {error}") from None


def _credentials(session: Session) -> Credentials:
    return Credentials(access_token=session.access_token, device_id=session.device_id)


def _retrieve(task: asyncio.Task[Session]) -> None:
    """Take note of a refresh's error also when everybody who waited for it was cancelled."""
    if not task.cancelled():
        task.exception()
