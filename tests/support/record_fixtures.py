"""Record the answers under `tests/fixtures/` from the sandbox, and what the client makes of each of them.

Run with: python -m tests.support.record_fixtures

The client itself asks, so that what is recorded is what it reads. Scenario, seed, clocks and commands are fixed: the
same files come out every time, until the bank or the client changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx

from connector.domains.model import BookingKey
from connector.errors import ConnectorError
from connector.ports import PageRequest, RawPage, Resource
from connector.sandbox import report
from connector.sandbox.app import app_of
from connector.sandbox.clock import ManualClock
from connector.sandbox.core import Bank
from connector.sandbox.faults import FaultParams, FaultSpec, Kind
from connector.sandbox.gateway import BASE_PATH
from connector.sandbox.mutations import Mutation
from connector.sandbox.scenario import load_scenario
from connector.sources.zindigi.http import BankHttp, Call
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from tests.support.contract import Contract
from tests.support.fixture_check import outcome_of
from tests.support.recorded import FIXTURES, FREELANCER_CARD, FUND, IBAN, MINOR_CARD, parse, pretty
from tests.support.scripted_bank import ACCOUNT, BASE_URL, MemoryVault, resource
from tests.support.virtual_clock import VirtualClock

SEED = 7
HISTORY_DAYS = 6
PAGE_LIMIT = 6
ORDERS_PAGE_SIZE = 8
SINCE = date(2026, 2, 25)
SECRETS = ("access_token", "refresh_token", "challenge_id")
COMMANDS: tuple[dict[str, Any], ...] = (
    # The first page: an entry that waits, one that was posted under another id, one that was reversed.
    {"holder": "adult", "domain": "transactions", "op": "reverse"},
    {"holder": "adult", "domain": "transactions", "op": "add", "pending": True, "amount": -1250, "rail": "IBFT"},
    {"holder": "adult", "domain": "transactions", "op": "post", "way": "replaces"},
    {"holder": "adult", "domain": "transactions", "op": "add", "pending": True, "amount": 800},
    # Bills in every state: paid in time and late, cancelled, overdue, and one that was put right.
    {"holder": "adult", "domain": "bills", "op": "add", "count": 8},
    {"holder": "adult", "domain": "bills", "op": "amend"},
    {"holder": "adult", "domain": "bills", "op": "overdue", "count": 2},
    {"holder": "adult", "domain": "bills", "op": "pay"},
    {"holder": "adult", "domain": "bills", "op": "cancel"},
    {"holder": "adult", "domain": "bills", "op": "overdue"},
    {"holder": "adult", "domain": "bills", "op": "add"},
    {"holder": "adult", "domain": "bills", "op": "pay"},
    {"holder": "adult", "domain": "bills", "op": "add"},
    # Orders of every category and in every state: one moved, one put right, and one called off with a refund.
    {"holder": "adult", "domain": "bookings", "op": "add", "count": 9},
    {"holder": "adult", "domain": "bookings", "op": "confirm", "count": 7},
    {"holder": "adult", "domain": "bookings", "op": "change", "count": 2},
    {"holder": "adult", "domain": "bookings", "op": "complete", "count": 2},
    {"holder": "adult", "domain": "bookings", "op": "cancel"},
    {"holder": "adult", "domain": "bookings", "op": "amend"},
    {"holder": "adult", "domain": "bookings", "op": "add"},
    {"holder": "borrower", "domain": "lending", "op": "disburse", "amount": 12000},
    {"holder": "borrower", "domain": "lending", "op": "overdue"},
    {"holder": "borrower", "domain": "lending", "op": "close"},
    {"holder": "borrower", "domain": "lending", "op": "overdue"},
    {"holder": "adult", "domain": "loyalty", "op": "earn", "amount": 600},
    {"holder": "adult", "domain": "loyalty", "op": "redeem", "amount": 150},
    {"holder": "adult", "domain": "loyalty", "op": "expire", "amount": 20},
    {"holder": "adult", "domain": "loyalty", "op": "adjust", "amount": 35},
    {"holder": "adult", "domain": "loyalty", "op": "expire_voucher"},
    {"holder": "adult", "domain": "loyalty", "op": "redeem", "amount": 90},
    # A card that was lost, one that is blocked, and uses of it in every state.
    {"holder": "freelancer", "domain": "cards", "op": "replace"},
    {"holder": "freelancer", "domain": "cards", "op": "authorize", "amount": 450},
    {"holder": "freelancer", "domain": "cards", "op": "expire"},
    {"holder": "freelancer", "domain": "cards", "op": "authorize", "amount": 1275},
    {"holder": "freelancer", "domain": "cards", "op": "reverse"},
    {"holder": "freelancer", "domain": "cards", "op": "authorize_abroad", "amount": 5040},
    {"holder": "freelancer", "domain": "cards", "op": "clear", "way": "replaces"},
    {"holder": "freelancer", "domain": "cards", "op": "authorize", "amount": 5000},
    {"holder": "freelancer", "domain": "cards", "op": "adjust", "amount": 3210},
    {"holder": "freelancer", "domain": "cards", "op": "decline", "amount": 99},
    {"holder": "freelancer", "domain": "cards", "op": "authorize", "amount": 820},
    {"holder": "freelancer", "domain": "cards", "op": "clear"},
    {"holder": "freelancer", "domain": "cards", "op": "authorize", "amount": 640},
    {"holder": "freelancer", "domain": "cards", "op": "block"},
    *(
        {"holder": "freelancer", "domain": "investments", **command}
        for command in (
            # Shares and funds, and an order of every kind in every state.
            {"op": "subscribe", "entity": f"holding/fund/{FUND}", "amount": 5000},
            {"op": "fill"},
            {"op": "settle"},
            {"op": "restate_nav", "entity": f"holding/fund/{FUND}"},
            {"op": "redeem", "entity": f"holding/fund/{FUND}", "amount": 10},
            {"op": "reject"},
            {"op": "buy", "amount": 20},
            {"op": "fill"},
            {"op": "sell", "amount": 5},
            {"op": "expire"},
            {"op": "buy", "amount": 8},
            {"op": "cancel"},
            {"op": "buy", "amount": 30},
            {"op": "fill_part"},
            {"op": "buy", "amount": 15},
        )
    ),
)
CORE_CODES = {
    "no-facility": "01",
    "session-not-valid": "14",
    "upstream-timeout": "68",
    "unavailable": "91",
    "malfunction": "96",
}


@dataclass(slots=True)
class Tape(httpx.AsyncBaseTransport):
    """Passes calls on, holds every answer against the contract, and remembers it."""

    inner: httpx.AsyncBaseTransport
    answers: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    contract: Contract = field(default_factory=Contract)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        body = await response.aread()
        path = request.url.path.removeprefix(BASE_PATH)
        self.contract.check(request.method, path, response.status_code, response.headers, body)
        self.answers.append((request.method, path, response.status_code, body))
        return httpx.Response(response.status_code, headers=response.headers, content=body)


class Recorder:
    """One holder's client at the bank; `pages` gathers what it is told."""

    def __init__(self, bank: Bank, tape: Tape, label: str, pages: dict[str, bytes]) -> None:
        self.bank = bank
        self.label = label
        self._tape = tape
        self._pages = pages
        self._clock = VirtualClock()
        self._spec = bank.life(label).spec
        options = ZindigiOptions(
            base_url=BASE_URL,
            transactions_page_limit=PAGE_LIMIT,
            points_page_limit=3,
            orders_page_size=ORDERS_PAGE_SIZE,
            refresh_pause_seconds=0.0,
        )
        self.http = BankHttp(options, self._clock, transport=tape)
        self.source = ZindigiSource(self.http, MemoryVault(), self._clock, options)

    def keep(self, name: str, *, back: int = 1) -> Any:
        """Keep the last answer, or the one before, under the name of a fixture."""
        fixture = FIXTURES[name]
        *call, body = self._tape.answers[-back]
        if tuple(call) != (fixture.method, fixture.path, fixture.status):
            raise ValueError(f"{name} should be {fixture.method} {fixture.path} {fixture.status}, and is {call}")
        page = parse(body)
        self._pages[name] = pretty(_without_secrets(page))
        return page

    def fault(self, kind: Kind, **params: Any) -> None:
        """Let the next call of this holder go wrong."""
        self.bank.faults.add(FaultSpec(kind=kind, holder=self.label, params=FaultParams(**params)))

    async def log_in(self, *, pin: str | None = None) -> None:
        """As the holder would; a refusal is an answer like any other."""
        # Beyond the time for which a session that came to its end is not asked about.
        self._clock.jump(10)

        async def ask_pin() -> str:
            return pin or self._spec.pin

        async def ask_otp(_: object) -> str:
            inbox: Any = report.inbox(self.bank, self._spec.msisdn)
            return str(inbox["otp"])

        with suppress(ConnectorError):
            await self.source.log_in(self._spec.msisdn, ask_pin, ask_otp)

    async def ask_resend(self, clock: ManualClock) -> None:
        """Let a device that the bank does not know be asked for a password, and have it sent again."""
        login = {"msisdn": self._spec.msisdn, "device_id": "invented-device", "pin": self._spec.pin}
        challenge = await self.http.exchange(Call("POST", "/auth/session", payload=login))
        clock.advance(31)
        again = {"challenge_id": challenge.fields()["challenge_id"], "channel": "EMAIL"}
        await self.http.exchange(Call("POST", "/auth/otp/resend", payload=again))

    async def me(self) -> None:
        """Ask who the holder is."""
        with suppress(ConnectorError):
            await self.source.fetch_profile(ACCOUNT)

    async def read(self, kind: str, part: str = IBAN, **request: Any) -> str | None:
        """Ask for a page; the cursor of the next one."""
        wanted = resource(kind)
        if wanted.part is not None:
            wanted = Resource(ACCOUNT, wanted.domain, wanted.kind, wanted.name, part)
        with suppress(ConnectorError):
            raw: RawPage = await self.source.fetch_page(wanted, PageRequest(**request))
            return self.source.normalise(wanted, raw.body or b"").next_cursor
        return None


def _without_secrets(page: Any) -> Any:
    """Tokens and challenges are random: invented ones take their place, and say so."""
    if not isinstance(page, dict):
        return page
    return {key: f"INVENTED-{key}" if key in SECRETS else value for key, value in page.items()}


async def record() -> dict[str, bytes]:
    """The recorded answers by the names of their fixtures, as they are to be written."""
    pages: dict[str, bytes] = {}
    scenario = load_scenario("lockstep").model_copy(update={"history_days": HISTORY_DAYS})
    clock = ManualClock()
    bank = Bank(scenario, SEED, clock)
    for command in COMMANDS:
        bank.mutate(Mutation(**command))
    tape = Tape(httpx.ASGITransport(app=app_of(bank)))
    async with _client(bank, tape, "adult", pages) as adult:
        await _record_login(adult, clock)
        await _record_bank(adult)
        for kind in ("bills", "bookings"):
            await _record_feed(adult, kind)
        await _record_miles(adult)
        await _record_session_end(adult)
    async with _client(bank, tape, "freelancer", pages) as freelancer:
        await freelancer.log_in()
        await _record_cards(freelancer)
    async with _client(bank, tape, "borrower", pages) as borrower:
        await borrower.log_in()
        await _record_lending(borrower)
    async with _client(bank, tape, "freelancer", pages) as freelancer:
        await freelancer.log_in()
        await _record_brokerage(freelancer)
    async with _client(bank, tape, "basic", pages) as basic:
        await basic.log_in()
        await basic.read("loan")
        basic.keep("advance-cash.not-eligible")
    async with _client(bank, tape, "teen", pages) as teen:
        await teen.log_in()
        await teen.me()
        teen.keep("profile.minor")
        await teen.read("holder")
        teen.keep("holder.minor")
        await teen.read("cards")
        teen.keep("cards.minor")
        await teen.read("authorizations", MINOR_CARD)
        teen.keep("cards.surface-forbidden")
        await teen.read("loan")
        teen.keep("advance-cash.surface-forbidden")
        await teen.read("holdings")
        teen.keep("brokerage.surface-forbidden")
    return {name: pages[name] for name in FIXTURES}


@asynccontextmanager
async def _client(bank: Bank, tape: Tape, label: str, pages: dict[str, bytes]) -> AsyncIterator[Recorder]:
    client = Recorder(bank, tape, label, pages)
    try:
        yield client
    finally:
        await client.source.close()


async def _record_login(adult: Recorder, clock: ManualClock) -> None:
    await adult.log_in(pin="0000")
    adult.keep("auth.pin-invalid")
    adult.fault("otp_wrong")
    await adult.log_in()
    adult.keep("auth.otp-required", back=3)
    adult.keep("auth.otp-invalid", back=2)
    adult.keep("auth.session")
    adult.fault("app_upgrade")
    await adult.log_in()
    adult.keep("auth.app-upgrade-required")
    adult.fault("pin_lock", seconds=600)
    await adult.log_in()
    adult.keep("auth.locked")
    clock.advance(601)
    await adult.ask_resend(clock)
    adult.keep("auth.resend")
    adult.fault("expire_token")
    await adult.me()
    adult.keep("auth.token-expired", back=3)
    adult.keep("auth.refresh", back=2)
    adult.keep("profile.adult")
    await adult.read("holder")
    adult.keep("holder.adult")


async def _record_bank(adult: Recorder) -> None:
    await adult.read("bank_account")
    adult.keep("bank-account.active")
    second = await adult.read("transactions", since=SINCE)
    adult.keep("transactions.first")
    last = await adult.read("transactions", since=SINCE, cursor=second)
    adult.keep("transactions.second")
    await adult.read("transactions", since=SINCE, cursor=last)
    adult.keep("transactions.last")
    adult.fault("invalid_cursor")
    await adult.read("transactions", since=SINCE, cursor=second)
    adult.keep("transactions.cursor-invalid")


async def _record_feed(adult: Recorder, kind: str) -> None:
    last = await adult.read(kind, since=SINCE)
    adult.keep(f"{kind}.first")
    await adult.read(kind, since=SINCE, cursor=last)
    adult.keep(f"{kind}.last")


async def _record_cards(freelancer: Recorder) -> None:
    await freelancer.read("cards")
    freelancer.keep("cards.list")
    second = await freelancer.read("authorizations", FREELANCER_CARD, since=SINCE)
    freelancer.keep("cards.authorizations.first")
    await freelancer.read("authorizations", FREELANCER_CARD, since=SINCE, cursor=second)
    freelancer.keep("cards.authorizations.last")


async def _record_miles(adult: Recorder) -> None:
    newest = max(adult.bank.life(adult.label).loyalty.entries)
    last = await adult.read("points", after=BookingKey(newest - 6, ""))
    adult.keep("z-miles.ledger.first")
    await adult.read("points", cursor=last)
    adult.keep("z-miles.ledger.last")
    await adult.read("vouchers")
    adult.keep("z-miles.summary")


async def _record_session_end(adult: Recorder) -> None:
    adult.fault("session_ended")
    await adult.me()
    adult.keep("auth.session-ended")
    await adult.log_in()
    adult.fault("expire_token")
    adult.fault("refresh_reused")
    await adult.me()
    adult.keep("auth.refresh-reused")
    await adult.log_in()
    adult.fault("device_unbound")
    await adult.me()
    adult.keep("auth.device-unbound")


async def _record_lending(borrower: Recorder) -> None:
    await borrower.read("loan")
    borrower.keep("advance-cash.loans")
    for name, code in CORE_CODES.items():
        borrower.fault("advance_cash_code", response_code=code)
        await borrower.read("loan")
        # After a session that is not valid the client asks again.
        borrower.keep(f"advance-cash.{name}", back=3 if name == "session-not-valid" else 1)


async def _record_brokerage(investor: Recorder) -> None:
    await investor.read("holdings")
    investor.keep("brokerage.portfolio")
    following = await investor.read("orders")
    investor.keep("brokerage.orders.first")
    while following is not None:
        following = await investor.read("orders", cursor=following)
    investor.keep("brokerage.orders.last")
    await investor.read("nav", FUND)
    investor.keep("brokerage.nav")
    investor.fault("expire_token")
    await investor.read("holdings")
    investor.keep("brokerage.session-refused", back=3)
    investor.fault("rate_limit", retry_after=3)
    await investor.read("orders")
    investor.keep("brokerage.rate-limited")
    investor.fault("server_error", status=503)
    await investor.read("orders")
    investor.keep("brokerage.unavailable")


async def write() -> None:
    """Write every answer, and what the client makes of it."""
    pages = await record()
    for name, page in pages.items():
        FIXTURES[name].page_path.write_bytes(page)
    for name, page in pages.items():
        fixture = FIXTURES[name]
        fixture.outcome_path.write_bytes(pretty(await outcome_of(fixture, page)))


if __name__ == "__main__":
    asyncio.run(write())
