"""The app-session route as a `Source`. Which call reads which resource is each surface's own (`surfaces`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

import anyio.to_thread

from connector.domains.model import Profile
from connector.limits import LARGE_BODY_BYTES
from connector.ports import Clock, Intend, OpenRefresh, Page, PageRequest, RawPage, Resource, Session, Vault
from connector.sources.zindigi.duplicates import told_apart
from connector.sources.zindigi.http import BankHttp, Body, Credentials
from connector.sources.zindigi.login import AskOtp, AskPin, Login
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.profile import read_profile
from connector.sources.zindigi.session import SessionKeeper
from connector.sources.zindigi.surface import Call
from connector.sources.zindigi.surfaces import surfaces


class ZindigiSource:
    """`Source` over the app session. Reads only: it has no call that pays, transfers, orders, blocks or applies.

    Close it before the event loop ends.
    """

    route: str = "app-session"
    api_version: str = "v2"
    parser_version: str = "1"

    def __init__(self, bank: BankHttp, vault: Vault, clock: Clock, options: ZindigiOptions) -> None:
        self._bank = bank
        self._clock = clock
        self._options = options
        self._keeper = SessionKeeper(bank, vault, clock, options)
        self._login = Login(bank, vault, clock)

    @classmethod
    def over_network(cls, options: ZindigiOptions, vault: Vault, clock: Clock) -> ZindigiSource:
        """A source with an HTTP client of its own."""
        return cls(BankHttp(options, clock), vault, clock, options)

    async def log_in(self, msisdn: str, ask_pin: AskPin, ask_otp: AskOtp) -> Session:
        """The interactive login, for command lines; see `Login.log_in`."""
        return await self._login.log_in(msisdn, ask_pin, ask_otp)

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Profile | None:
        async def send(credentials: Credentials) -> Body:
            return await self._bank.read(Call("GET", "/me", etag=etag), credentials)

        body = await self._keeper.authorised(account_id, send)
        if body.content is None:
            return None
        return replace(read_profile(body.content), etag=body.etag, served_at=body.served_at)

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        surface = surfaces()[resource.kind.name]
        call = surface.call(self._options, resource, request)
        asked_at = self._clock.now()

        async def send(credentials: Credentials) -> Body:
            return await self._bank.read(call, credentials, examine=surface.examine)

        body = await self._keeper.authorised(resource.account_id, send)
        return RawPage(body.content, body.digest, body.etag, asked_at, self._clock.now(), body.served_at)

    def normalise(self, resource: Resource, body: bytes) -> Page:
        page = surfaces()[resource.kind.name].read(resource, body)
        return replace(page, entries=told_apart(page.entries))

    async def understand(self, resource: Resource, body: bytes) -> Page:
        if len(body) <= LARGE_BODY_BYTES:
            return self.normalise(resource, body)
        return await anyio.to_thread.run_sync(partial(self.normalise, resource, body))

    async def tell_time(self) -> datetime | None:
        # Whatever it says to that, it says when.
        return (await self._bank.exchange(Call("HEAD", "/auth/session"))).served_at

    def take_charge(self, account_id: str, intend: Intend, left_open: OpenRefresh | None = None) -> None:
        self._keeper.take_charge(account_id, intend, left_open)

    async def log_out(self, account_id: str) -> None:
        await self._keeper.log_out(account_id)

    async def close(self) -> None:
        """Let refreshes in flight reach the vault, then close the connections."""
        await self._keeper.close()
        await self._bank.close()
