"""Clients of the raw loops: plain requests with the connector's own HTTP stack, and with aiohttp alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from tests.bench.canned_bank import API, TOKEN
from tests.bench.feed import iban_of
from tests.bench.linked import CONCURRENCY

PAGE_LIMIT = 100
Get = Callable[[str, dict[str, str], dict[str, str]], Awaitable[tuple[bytes, str | None]]]
"""(path, parameters, headers) → body and entity tag."""


def headers_of(number: int) -> dict[str, str]:
    """What identifies a holder's call."""
    return {"Authorization": f"Bearer {TOKEN}{number}", "X-Device-Id": f"device-{number}"}


def feed_path(number: int) -> str:
    """The path of a holder's transaction feed."""
    return f"{API}/accounts/{iban_of(number)}/transactions"


_COMMON = {"X-App-Version": "4.2.0", "Accept": "application/json", "Accept-Encoding": "gzip"}


@asynccontextmanager
async def httpx_get(base_url: str) -> AsyncIterator[Get]:
    """httpx over httpx-aiohttp: what the connector's source is made of."""

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY), cookie_jar=aiohttp.DummyCookieJar()
        )

    transport = AiohttpTransport(trust_env=False, client=session)
    async with httpx.AsyncClient(base_url=base_url, transport=transport, headers=_COMMON, trust_env=False) as client:

        async def get(path: str, parameters: dict[str, str], headers: dict[str, str]) -> tuple[bytes, str | None]:
            response = await client.get(path, params=parameters, headers=headers)
            return response.content, response.headers.get("etag")

        yield get


@asynccontextmanager
async def aiohttp_get(base_url: str) -> AsyncIterator[Get]:
    """aiohttp alone."""
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(
        base_url, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_COMMON
    ) as client:

        async def get(path: str, parameters: dict[str, str], headers: dict[str, str]) -> tuple[bytes, str | None]:
            async with client.get(path, params=parameters, headers=headers) as response:
                return await response.read(), response.headers.get("ETag")

        yield get


CLIENTS = {"httpx": httpx_get, "aiohttp": aiohttp_get}
