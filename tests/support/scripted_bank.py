"""A bank of a few lines for the client's unit tests: real token rotation, scripted answers for the rest.

All people, numbers and tokens here are invented.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from connector.domains.registry import DOMAINS
from connector.errors import ConsentError
from connector.ports import Resource, Session
from connector.sources.zindigi.http import BankHttp
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.source import ZindigiSource
from tests.support.virtual_clock import VirtualClock

ACCOUNT = "acc_test"
IBAN = "PK36JSBL0000001123456702"
PART = "planted-part"
"""A card or fund, where a resource is of one."""
FUND = "F-INC-02"
MSISDN = "+923000000001"
PIN = "planted-pin-4821"
OTP = "planted-otp-736102"
BASE_URL = "http://127.0.0.1:1"
API = "/zindigi/v2"
PARTS = {"nav": FUND}
"""What the resources are of that are read once for every part of another one."""

Reply = httpx.Response | Callable[[httpx.Request], "httpx.Response | Awaitable[httpx.Response]"]


def reply(status: int, body: Any = None, **headers: str) -> httpx.Response:
    """A JSON answer; underscores in header names become dashes."""
    content = b"" if body is None else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()})


def refused(status: int, code: str, **extras: Any) -> httpx.Response:
    """An error body of the contract's form, with a message that must never be repeated."""
    return reply(status, {"code": code, "message": f"planted-message for {MSISDN}", **extras})


class ScriptedBank:
    """Answers by (method, path): scripted replies first, in order; then a default; tokens rotate for real."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.script: dict[tuple[str, str], deque[Reply]] = defaultdict(deque)
        self.defaults: dict[tuple[str, str], Reply] = {}
        self.rotation = 1
        self.refresh_gate: anyio.Event | None = None
        self.on_refresh: Callable[[], Awaitable[None]] | None = None

    @property
    def access_token(self) -> str:
        return f"planted-access-{self.rotation}"

    @property
    def refresh_token(self) -> str:
        return f"planted-refresh-{self.rotation}"

    def add(self, method: str, path: str, *replies: Reply) -> None:
        self.script[method, path].extend(replies)

    def always(self, method: str, path: str, answer: Reply) -> None:
        self.defaults[method, path] = answer

    def count(self, path: str) -> int:
        return sum(request.url.path == API + path for request in self.requests)

    def grant(self) -> httpx.Response:
        return reply(
            200,
            {
                "access_token": self.access_token,
                "refresh_token": self.refresh_token,
                "expires_in": 600,
                "refresh_expires_in": 2_592_000,
            },
        )

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        self.requests.append(request)
        path = request.url.path.removeprefix(API)
        place = (request.method, path)
        if self.script[place]:
            return await self._said(self.script[place].popleft(), request)
        if path == "/auth/refresh":
            return await self._refresh(request)
        if path != "/auth/session" and request.headers["authorization"] != f"Bearer {self.access_token}":
            return refused(401, "TOKEN_EXPIRED")
        if place in self.defaults:
            return await self._said(self.defaults[place], request)
        return refused(404, "NOT_FOUND")

    async def _said(self, answer: Reply, request: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.Response):
            # A response can be read once: hand out a copy.
            return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        said = answer(request)
        return said if isinstance(said, httpx.Response) else await said

    async def _refresh(self, request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        if sent["refresh_token"] != self.refresh_token:
            return refused(401, "REFRESH_REUSED")
        self.rotation += 1
        if self.on_refresh is not None:
            await self.on_refresh()
        if self.refresh_gate is not None:
            await self.refresh_gate.wait()
        return self.grant()


class MemoryVault:
    """`Vault` in memory, with a record of what happened and room for trouble."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.loads = 0
        self.stored: list[int] = []
        self.store_trouble: deque[Exception] = deque()
        self.destroyed: set[str] = set()
        self.known = True
        self.made = 0

    async def find_account(self, holder_identifier: str) -> str | None:
        return await self.account_for(holder_identifier) if self.known else None

    async def account_for(self, holder_identifier: str) -> str:
        assert holder_identifier.startswith("+")
        self.made += not self.known
        self.known = True
        return ACCOUNT

    async def data_key(self, account_id: str) -> bytes:
        return account_id.encode().ljust(32)[:32]

    async def data_keys(self) -> dict[str, bytes]:
        return {}

    async def shard_key(self, shard: int) -> bytes:
        return shard.to_bytes(32, "big")

    async def load_session(self, account_id: str) -> Session | None:
        self.loads += 1
        await anyio.lowlevel.checkpoint()
        return self.sessions.get(account_id)

    async def store_session(self, session: Session) -> None:
        await anyio.lowlevel.checkpoint()
        if self.store_trouble:
            raise self.store_trouble.popleft()
        if session.account_id in self.destroyed:
            raise ConsentError("erased")
        held = self.sessions.get(session.account_id)
        if held is None or held.generation < session.generation:
            self.sessions[session.account_id] = session
            self.stored.append(session.generation)

    async def delete_session(self, account_id: str) -> None:
        self.sessions.pop(account_id, None)

    async def destroy(self, account_id: str) -> None:
        self.sessions.pop(account_id, None)
        self.destroyed.add(account_id)

    async def close(self) -> None:
        pass


class Bench:
    """A source, its scripted bank, vault and clock."""

    def __init__(self, **options: Any) -> None:
        self.bank = ScriptedBank()
        self.vault = MemoryVault()
        self.clock = VirtualClock()
        self.options = ZindigiOptions(base_url=BASE_URL, **options)
        self.http = BankHttp(self.options, self.clock, transport=httpx.MockTransport(self.bank))
        self.source = ZindigiSource(self.http, self.vault, self.clock, self.options)

    @property
    def keeper(self) -> Any:
        return self.source._keeper

    def hold_session(self, generation: int = 1, *, expires_in_seconds: float = 600) -> Session:
        """Put a session with the bank's present tokens into the vault, as a login would."""
        now = self.clock.now()
        session = Session(
            account_id=ACCOUNT,
            generation=generation,
            msisdn=MSISDN,
            device_id="planted-device",
            access_token=self.bank.access_token,
            refresh_token=self.bank.refresh_token,
            access_expires_at=now + timedelta(seconds=expires_in_seconds),
            refresh_expires_at=now + timedelta(days=30),
        )
        self.vault.sessions[ACCOUNT] = session
        return session


def resource(name: str) -> Resource:
    """The resource of `ACCOUNT` by the name of its kind."""
    for domain in DOMAINS.values():
        for kind in domain.resources:
            if kind.name == name:
                part = IBAN if kind.per_bank_account else PARTS.get(kind.name, PART) if kind.parts_of else None
                return Resource(account_id=ACCOUNT, domain=domain.name, kind=kind, name=name, part=part)
    raise KeyError(name)


def assert_nothing_planted(text: str) -> None:
    """`text` holds none of the secrets and personal data that are planted here."""
    for secret in ("planted", MSISDN, MSISDN[1:], IBAN):
        assert secret not in text
