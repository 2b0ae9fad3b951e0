"""Clients of the raw loops: plain requests with the connector's own HTTP stack, and with aiohttp alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from tests.bench.canned_bank import API, TOKEN
from tests.bench.feed import iban_of
from tests.bench.linked import CONCURRENCY

PAGE_LIMIT = 100


class Ask(Protocol):
    """One request: a POST where there is `content`, else a GET."""

    async def __call__(
        self, path: str, parameters: dict[str, str], headers: dict[str, str], content: bytes | None = None
    ) -> tuple[bytes, str | None]:
        """Body and entity tag."""


def headers_of(number: int) -> dict[str, str]:
    """What identifies a holder's call."""
    return {"Authorization": f"Bearer {TOKEN}{number}", "X-Device-Id": f"device-{number}"}


def feed_path(number: int) -> str:
    """The path of a holder's transaction feed."""
    return f"{API}/accounts/{iban_of(number)}/transactions"


_COMMON = {"X-App-Version": "4.2.0", "Accept": "application/json", "Accept-Encoding": "gzip"}


@asynccontextmanager
async def httpx_get(base_url: str) -> AsyncIterator[Ask]:
    """httpx over httpx-aiohttp: what the connector's source is made of."""

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY), cookie_jar=aiohttp.DummyCookieJar()
        )

    transport = AiohttpTransport(trust_env=False, client=session)
    async with httpx.AsyncClient(base_url=base_url, transport=transport, headers=_COMMON, trust_env=False) as client:

        async def ask(
            path: str, parameters: dict[str, str], headers: dict[str, str], content: bytes | None = None
        ) -> tuple[bytes, str | None]:
            method = "GET" if content is None else "POST"
            response = await client.request(method, path, params=parameters, headers=headers, content=content)
            return response.content, response.headers.get("etag")

        yield ask


@asynccontextmanager
async def aiohttp_get(base_url: str) -> AsyncIterator[Ask]:
    """aiohttp alone."""
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(
        base_url, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_COMMON
    ) as client:

        async def ask(
            path: str, parameters: dict[str, str], headers: dict[str, str], content: bytes | None = None
        ) -> tuple[bytes, str | None]:
            method = "GET" if content is None else "POST"
            async with client.request(method, path, params=parameters, headers=headers, data=content) as response:
                return await response.read(), response.headers.get("ETag")

        yield ask


CLIENTS = {"httpx": httpx_get, "aiohttp": aiohttp_get}
