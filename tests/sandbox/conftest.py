"""A bank behind its ASGI application, and a client that logs in and reads as a real one would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from connector.sandbox.app import app_of
from connector.sandbox.clock import ManualClock
from connector.sandbox.core import Bank
from connector.sandbox.scenario import Scenario, load_scenario

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BASE = "/zindigi/v2"


class Visitor:
    """One holder's app. `http` talks to the bank and its control surface."""

    def __init__(self, bank: Bank, http: httpx.AsyncClient, label: str, device: str = "device-1") -> None:
        self.bank = bank
        self.http = http
        self.spec = bank.life(label).spec
        self.ibans = bank.life(label).ibans
        self.device = device
        self.tokens: dict[str, Any] = {}

    @property
    def headers(self) -> dict[str, str]:
        headers = {"X-Device-Id": self.device, "X-App-Version": "4.2.0"}
        if self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        return headers

    async def ask_session(self, **extra: str | None) -> httpx.Response:
        body = {"msisdn": self.spec.msisdn, "device_id": self.device, "pin": self.spec.pin, **extra}
        return await self.http.post(f"{BASE}/auth/session", json=body, headers=self.headers)

    async def log_in(self) -> Visitor:
        asked = await self.ask_session()
        if asked.status_code == 401:
            inbox = (await self.http.get("/sandbox/otp", params={"msisdn": self.spec.msisdn})).json()
            asked = await self.ask_session(otp=inbox["otp"], challenge_id=asked.json()["challenge_id"])
        assert asked.status_code == 200, asked.text
        self.tokens = asked.json()
        return self

    async def refresh(self, token: str | None = None) -> httpx.Response:
        body = {"refresh_token": token or self.tokens["refresh_token"], "device_id": self.device}
        answer = await self.http.post(f"{BASE}/auth/refresh", json=body, headers=self.headers)
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    async def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        return await self.http.get(BASE + path, params=params, headers={**self.headers, **(headers or {})})

    async def inquire(self) -> httpx.Response:
        return await self.http.post(f"{BASE}/advance-cash/inquiry", json={"CHANNEL": "APP"}, headers=self.headers)

    async def feed_page(self, account: int = 0, *, of: str = "transactions", **params: Any) -> httpx.Response:
        return await self.get(f"/accounts/{self.ibans[account]}/{of}" if of == "transactions" else f"/{of}", **params)

    async def feed(self, account: int = 0, *, of: str = "transactions", **params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.feed_page(account, of=of, **params)
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            if answer.json()["next_cursor"] is None:
                return items
            params["cursor"] = answer.json()["next_cursor"]

    async def points(self, limit: int = 100) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            after = entries[-1]["id"] if entries else 0
            answer = (await self.get("/z-miles/ledger", after_id=after, limit=limit)).json()
            entries += answer["entries"]
            if not answer["has_more"]:
                return entries

    @property
    def card_ids(self) -> list[str]:
        return list(self.bank.life(self.spec.label).cards.cards)

    async def activity(self, card_id: str, **params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.get(f"/cards/{card_id}/authorizations", **params)
            assert answer.status_code == 200, answer.text
            items += answer.json()["items"]
            if answer.json()["next_cursor"] is None:
                return items
            params["cursor"] = answer.json()["next_cursor"]

    async def read_everything(self) -> None:
        for account in range(len(self.ibans)):
            await self.feed(account, limit=100)
        for of in ("bills", "bookings"):
            await self.feed(of=of, limit=100)
        if self.bank.life(self.spec.label).account.tier != "L0":
            await self.get("/cards")
        for card_id in [] if self.spec.minor else self.card_ids:
            await self.activity(card_id, limit=100)
        await self.points()
        await self.get("/z-miles/summary")
        await self.get("/me")
        for iban in self.ibans:
            await self.get(f"/accounts/{iban}")
        if self.bank.life(self.spec.label).account.is_verified_adult:
            await self.inquire()
            await self.invest()

    async def invest(self) -> list[dict[str, Any]]:
        """Every order, the portfolio and the values of its funds having been read, too."""
        portfolio = (await self.get("/invest/v1/portfolio")).json()
        for fund in portfolio["funds"]:
            await self.get(f"/invest/v1/funds/{fund['fundId']}/nav")
        orders: list[dict[str, Any]] = []
        number = 0
        while True:
            page = (await self.get("/invest/v1/orders", page=number, size=10)).json()
            orders += page["content"]
            number += 1
            if number >= page["totalPages"]:
                return orders

    async def fault(self, kind: str, **spec: Any) -> int:
        answer = await self.http.post("/sandbox/faults", json={"kind": kind, **spec})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])

    async def mutate(self, domain: str, op: str, **command: Any) -> list[dict[str, Any]]:
        body = {"holder": self.spec.label, "domain": domain, "op": op, **command}
        answer = await self.http.post("/sandbox/mutate", json=body)
        assert answer.status_code == 200, answer.text
        changes: list[dict[str, Any]] = answer.json()["changes"]
        return changes

    async def fill(self, domain: str, entries: int) -> None:
        """Let a feed have so many entries more, spread over the last 25 days."""
        for number in range(entries):
            await self.mutate(domain, "back_date", age_days=25 * (number + 1) / entries)

    async def truth(self, domain: str = "transactions") -> dict[str, Any]:
        answer = await self.http.get("/sandbox/truth", params={"holder": self.spec.label, "domains": domain})
        truth: dict[str, Any] = answer.json()["holders"][0]["domains"][domain]
        return truth

    async def standing(self, change: dict[str, Any], domain: str = "transactions") -> str:
        changes = (await self.truth(domain))["changes"]
        return str(changes[change["n"] - 1]["standing"])


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lockstep() -> Scenario:
    return load_scenario("lockstep").model_copy(update={"history_days": 25})


@pytest.fixture
def bank(lockstep: Scenario, clock: ManualClock) -> Bank:
    return Bank(lockstep, 7, clock)


@pytest.fixture
async def http(bank: Bank) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(bank))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client


@pytest.fixture
def visitor(bank: Bank, http: httpx.AsyncClient) -> Callable[..., Visitor]:
    def make(label: str, device: str = "device-1") -> Visitor:
        return Visitor(bank, http, label, device)

    return make
