"""The app-session route as a `Source`: which call reads which resource, and what understands the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from connector.domains.model import Profile
from connector.ports import Clock, Page, PageRequest, RawPage, Resource, Session, Vault
from connector.sources.zindigi.http import BankHttp, Body, Call, Credentials, examine_json
from connector.sources.zindigi.lending import examine_inquiry, read_inquiry
from connector.sources.zindigi.login import AskOtp, AskPin, Login
from connector.sources.zindigi.loyalty import read_ledger, read_summary
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.profile import read_profile
from connector.sources.zindigi.session import SessionKeeper
from connector.sources.zindigi.transactions import read_transactions


@dataclass(frozen=True, slots=True)
class _Surface:
    """How one kind of resource is read: the call, what makes an answer believable, what it means."""

    call: Callable[[ZindigiOptions, Resource, PageRequest], Call]
    read: Callable[[Resource, bytes], Page]
    examine: Callable[[bytes], None] = examine_json


def _call_transactions(options: ZindigiOptions, resource: Resource, request: PageRequest) -> Call:
    if resource.iban is None:
        raise ValueError("a transaction feed belongs to an IBAN")
    parameters = {"limit": str(options.transactions_page_limit)}
    if request.since is not None:
        parameters["from"] = request.since.isoformat()
    if request.cursor is not None:
        parameters["cursor"] = request.cursor
    path = f"/accounts/{quote(resource.iban, safe='')}/transactions"
    return Call("GET", path, parameters=parameters, etag=request.etag)


def _call_inquiry(_options: ZindigiOptions, _resource: Resource, _request: PageRequest) -> Call:
    # A POST has no conditional form.
    return Call("POST", "/advance-cash/inquiry", payload={"CHANNEL": "APP"})


def _call_ledger(options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    parameters = {"limit": str(options.points_page_limit)}
    if request.cursor is not None:
        parameters["after_id"] = request.cursor
    elif request.after is not None:
        parameters["after_id"] = str(request.after.order)
    return Call("GET", "/z-miles/ledger", parameters=parameters, etag=request.etag)


def _call_summary(_options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return Call("GET", "/z-miles/summary", etag=request.etag)


_SURFACES: Final = {
    "transactions": _Surface(_call_transactions, read_transactions),
    "loan": _Surface(_call_inquiry, read_inquiry, examine_inquiry),
    "points": _Surface(_call_ledger, read_ledger),
    "vouchers": _Surface(_call_summary, read_summary),
}


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

    async def fetch_profile(self, account_id: str) -> Profile:
        async def send(credentials: Credentials) -> Body:
            return await self._bank.read(Call("GET", "/me"), credentials)

        body = await self._keeper.authorised(account_id, send)
        return read_profile(body.content or b"")

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        surface = _SURFACES[resource.kind.name]
        call = surface.call(self._options, resource, request)
        asked_at = self._clock.now()

        async def send(credentials: Credentials) -> Body:
            return await self._bank.read(call, credentials, examine=surface.examine)

        body = await self._keeper.authorised(resource.account_id, send)
        return RawPage(body.content, body.digest, body.etag, asked_at, self._clock.now(), body.served_at)

    def normalise(self, resource: Resource, body: bytes) -> Page:
        return _SURFACES[resource.kind.name].read(resource, body)

    async def log_out(self, account_id: str) -> None:
        await self._keeper.log_out(account_id)

    async def close(self) -> None:
        """Let refreshes in flight reach the vault, then close the connections."""
        await self._keeper.close()
        await self._bank.close()
