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
from math import ceil
from typing import Final, TypeVar

from connector.errors import (
    ActionRequiredError,
    ConnectorError,
    DataError,
    JournalError,
    RetryableError,
    TokenError,
    UnavailableError,
)
from connector.ports import Clock, Intend, OpenRefresh, Session, Vault
from connector.sources.zindigi.grant import read_grant
from connector.sources.zindigi.http import BankHttp, Credentials
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.refusals import Answer, refusal
from connector.sources.zindigi.surface import Call

T = TypeVar("T")

LATE_SECONDS: Final = 15.0
"""For how long after everybody who waited for a refresh gave up its answer is still taken: it may hold the only tokens
that are good."""
MAXIMUM_PAUSE_SECONDS: Final = 900.0
FRESH_REFUSED_SECONDS: Final = 60.0
"""The first pause after the bank refused a token that it had only just issued: another one would be refused, too."""
_LOOK_SECONDS: Final = 0.25
_VAULT_LOOK_SECONDS: Final = 2.0

_ENDINGS: Final = frozenset(
    {
        (401, "REFRESH_EXPIRED"),
        (401, "REFRESH_REUSED"),
        (401, "SESSION_ENDED"),
        (403, "DEVICE_UNBOUND"),
        (423, "LOCKED"),
        (426, "APP_UPGRADE_REQUIRED"),
    }
)
"""The answers to a refresh after which only the holder can go on. Whatever else comes is not about the session."""


@dataclass(slots=True)
class _Account:
    """What the keeper remembers of one account.

    `blocked_generation` is that of the session which came to its end. `patience_until` (seconds of the event loop) is
    how long anybody waits for the `refresh` under way, `setbacks` how many in a row came to nothing, the last for the
    session of `setback_generation`; `rotated_generation` is what the last good one brought. `intend` is asked
    before each; the session of generation `open_generation` must be left alone until `open_until`, `waiting` meanwhile.
    """

    session: Session | None = field(default=None, repr=False)
    refresh: asyncio.Task[Session] | None = None
    patience_until: float = 0.0
    unsaved: Session | None = field(default=None, repr=False)
    blocked: ActionRequiredError | None = None
    blocked_generation: int = 0
    refresh_paused_until: float = 0.0
    setbacks: int = 0
    setback_generation: int = 0
    rotated_generation: int = 0
    rotated_at: float = 0.0
    intend: Intend | None = None
    open_generation: int | None = None
    open_until: float = 0.0
    waiting: bool = False

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

    A refresh goes on when the call that wanted it is cancelled or gives up: a rotated token must reach the vault. Close
    it before the event loop ends.

    Where several owners may follow each other (`take_charge`), each refresh is an intent first, then one call that is
    over by its deadline, then the tokens in the vault, whoever owns the shard by then. The next owner waits for that
    deadline, looks into the vault, and only then tries itself.
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
        account = self._account(account_id)
        try:
            return await self._accepted(account, send, session)
        except TokenError:
            self._require_not_fresh(account, session)
            session = await self._renewed(account_id, session)
        except ActionRequiredError as error:
            session = await self._newer_or_block(account_id, session, error)
        try:
            return await self._accepted(account, send, session)
        except TokenError:
            self._require_not_fresh(account, session)
            raise UnavailableError("the bank refused one token after the other") from None
        except ActionRequiredError as error:
            account.block(error, session.generation)
            raise

    def take_charge(self, account_id: str, intend: Intend, left_open: OpenRefresh | None = None) -> None:
        """As the port says. A refresh of this keeper's own that is under way is no other owner's."""
        account = self._account(account_id)
        account.intend = intend
        if left_open is not None and account.refresh is None:
            account.open_generation = left_open.generation
            account.open_until = self._clock.monotonic() + left_open.deadline_seconds

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
            with contextlib.suppress(ConnectorError, TimeoutError):
                async with asyncio.timeout_at(account.patience_until):
                    await asyncio.shield(account.refresh)
        with contextlib.suppress(ConnectorError):
            await self.authorised(account_id, self._end)
        generation = account.session.generation if account.session else account.blocked_generation
        account.block(ActionRequiredError("otp", "logged out"), generation)

    async def close(self) -> None:
        """Let refreshes in flight come to their end, so that no rotated token is lost. Bounded by their deadline."""
        tasks = []
        for account in self._accounts.values():
            if account.refresh is not None:
                tasks.append(account.refresh)
                if account.waiting:
                    account.refresh.cancel()
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
        # A session that was deleted and made anew while clocks differed may have a lower generation.
        if stored is not None and stored.generation != account.blocked_generation:
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
            loop = asyncio.get_running_loop()
            account.patience_until = loop.time() + self._options.refresh_deadline_seconds
            account.refresh = loop.create_task(self._refresh(account_id, account, refused))
            account.refresh.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout_at(account.patience_until):
                return await asyncio.shield(account.refresh)
        except TimeoutError:
            raise UnavailableError("the refresh took longer than its deadline") from None

    async def _accepted(self, account: _Account, send: Callable[[Credentials], Awaitable[T]], session: Session) -> T:
        """What `send` returns: then the bank takes the token, and what went wrong with refreshes before is over."""
        answer = await send(_credentials(session))
        if session.generation > account.setback_generation:
            account.setbacks = 0
        return answer

    def _require_not_fresh(self, account: _Account, refused: Session) -> None:
        """Raises UnavailableError, and pauses refreshes, where `refused` is what a refresh has only just brought."""
        age = self._clock.monotonic() - account.rotated_at
        if refused.generation == account.rotated_generation and age < FRESH_REFUSED_SECONDS:
            if account.setback_generation != refused.generation:
                self._pause_refreshes(account, refused.generation, FRESH_REFUSED_SECONDS)
            raise UnavailableError("the bank refused a token that it had only just issued")

    def _pause_refreshes(
        self, account: _Account, generation: int, first_seconds: float, wished_seconds: float | None = None
    ) -> None:
        """No refresh for a while: as long as the bank wishes, else longer each time."""
        account.setback_generation = generation
        longer = first_seconds * 2 ** min(account.setbacks, 16)
        account.setbacks += 1
        pause = min(longer if wished_seconds is None else wished_seconds, MAXIMUM_PAUSE_SECONDS)
        account.refresh_paused_until = self._clock.monotonic() + pause

    async def _refresh(self, account_id: str, account: _Account, held: Session) -> Session:
        try:
            return account.adopt(await self._rotate(account_id, account, held))
        except RetryableError as error:
            first_seconds = self._options.refresh_pause_seconds
            self._pause_refreshes(account, held.generation, first_seconds, error.retry_after_seconds)
            raise
        except ActionRequiredError as error:
            return await self._newer_or_block(account_id, held, error)
        finally:
            account.refresh = None

    async def _rotate(self, account_id: str, account: _Account, held: Session) -> Session:
        """The vault's newer session, or one that the bank rotates; in the vault before anybody uses it."""
        if account.unsaved is None:
            stored = await self._stored(account_id)
            if account.open_generation == stored.generation:
                stored = await self._after_others(account_id, account, stored)
            if stored.generation > held.generation:
                return stored
            account.unsaved = await self._ask_refresh(account, held)
        await self._vault.store_session(account.unsaved)
        rotated, account.unsaved = account.unsaved, None
        account.rotated_generation, account.rotated_at = rotated.generation, self._clock.monotonic()
        # A login by another process may have come in between: the vault has the last word.
        return await self._vault.load_session(account_id) or rotated

    async def _stored(self, account_id: str) -> Session:
        stored = await self._vault.load_session(account_id)
        if stored is None:
            raise ActionRequiredError("otp", "there is no session in the vault: a login is needed")
        return stored

    async def _after_others(self, account_id: str, account: _Account, stored: Session) -> Session:
        """The vault's session once whoever owned the account before can no longer be replacing `stored`."""
        account.waiting = True
        try:
            while stored.generation == account.open_generation:
                left = account.open_until - self._clock.monotonic()
                if left <= 0:
                    break
                await self._clock.sleep(min(left, _VAULT_LOOK_SECONDS))
                stored = await self._stored(account_id)
        finally:
            account.waiting = False
        account.open_generation = None
        return stored

    async def _ask_refresh(self, account: _Account, held: Session) -> Session:
        """The session that the bank gives for `held`, asked once, within a deadline that others know."""
        deadline_seconds = ceil(self._options.refresh_deadline_seconds + LATE_SECONDS)
        until = self._clock.monotonic() + deadline_seconds
        if account.intend is not None:
            try:
                await account.intend(held.account_id, held.generation, deadline_seconds)
            except (JournalError, DataError) as error:
                raise UnavailableError("the refresh could not be announced, and was not made") from error
        asked_at = self._clock.now()
        answer = await self._exchange(held, until)
        if not answer.succeeded:
            raise _refused(answer)
        try:
            grant = read_grant(answer)
        except DataError as error:
            # Not the fault of the resource that happened to be read: it must not be quarantined for this.
            raise UnavailableError(f"the answer to a refresh was not understood: {error}") from None
        return grant.session(
            account_id=held.account_id,
            generation=held.generation + 1,
            msisdn=held.msisdn,
            device_id=held.device_id,
            asked_at=asked_at,
        )

    async def _exchange(self, held: Session, until: float) -> Answer:
        """The bank's answer, if it comes before the moment `until`.

        The moment is one of elapsed time: whoever was stopped or suspended meanwhile must not ask any more.
        """
        call = Call("POST", "/auth/refresh", payload={"refresh_token": held.refresh_token, "device_id": held.device_id})
        if self._clock.monotonic() >= until:
            raise UnavailableError("the refresh took longer than its deadline")
        exchange = asyncio.ensure_future(self._bank.exchange(call))
        try:
            while not exchange.done() and self._clock.monotonic() < until:
                await asyncio.wait({exchange}, timeout=_LOOK_SECONDS)
            if not exchange.done():
                raise UnavailableError("the refresh took longer than its deadline")
            return exchange.result()
        except DataError as error:
            raise UnavailableError(f"the answer to a refresh was not understood: {error}") from None
        finally:
            exchange.cancel()


def _refused(answer: Answer) -> ConnectorError:
    """What a refusal of a refresh means: only the contract's own words about the session make it the holder's matter.

    A firewall's page, an unknown code, a status alone: the session may be as good as ever, and is tried again.
    """
    error = refusal(answer)
    if isinstance(error, RetryableError) or (answer.status, answer.code) in _ENDINGS:
        return error
    return UnavailableError(
        f"the bank did not answer a refresh in a way that the contract knows (HTTP {answer.status})"
    )


def _credentials(session: Session) -> Credentials:
    return Credentials(access_token=session.access_token, device_id=session.device_id)


def _retrieve(task: asyncio.Task[Session]) -> None:
    """Take note of a refresh's error also when everybody who waited for it was cancelled."""
    if not task.cancelled():
        task.exception()
