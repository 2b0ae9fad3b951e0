"""HTTP to the bank: the one place that knows the HTTP library. One client for the process.

Every trouble of the wire comes out as the error taxonomy, without the library's exception behind it: its texts hold
addresses, and addresses hold IBANs. A body is believed only when it arrived whole.

Requests go to the transport as they are: no redirect is followed, no cookie kept (one holder's must never travel with
another's call), and merging addresses and headers anew for every call is a third of what an idle poll would cost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import aiohttp
import anyio.to_thread
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from connector import __version__
from connector.errors import DataError, UnavailableError
from connector.limits import LARGE_BODY_BYTES, MAXIMUM_ETAG_CHARACTERS
from connector.ports import Clock
from connector.sources.zindigi.exact_json import digest_page
from connector.sources.zindigi.gzip_stream import unpacked
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.refusals import Answer, Operation, http_date, operation_of, refusal, retry_after_seconds
from connector.sources.zindigi.surface import Call, examine_json

API_PATH: Final = "/zindigi/v2"
_NOT_MODIFIED: Final = 304
_GZIP: Final = frozenset({"gzip", "x-gzip"})
"""Two names of one coding (RFC 9110, 8.4.1.3)."""
_ENCODINGS: Final = frozenset({"", "identity", *_GZIP})
_HTML: Final = "text/html"
_EXAMINED_LIMIT: Final = 32_768
_KEEPALIVE_SECONDS: Final = 75.0

_url = lru_cache(maxsize=4_096)(httpx.URL)
"""Parsing an address anew for every poll of it is a tenth of what an idle poll costs."""

# Both write whole addresses at INFO or DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What identifies a call: secret in every field."""

    access_token: str = field(repr=False)
    device_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A body that arrived whole, with its digest; `content` is None where nothing changed since the call's etag.

    `served_at` is the bank's own clock, where it says (Date header, RFC 9110).
    """

    content: bytes | None = field(repr=False)
    digest: bytes
    etag: str | None = field(repr=False)
    served_at: datetime | None = None


class BankHttp:
    """The bank's API as calls and answers.

    `transport` replaces the network in tests. Must be closed.
    """

    def __init__(
        self, options: ZindigiOptions, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock
        self._deadline_seconds = options.request_deadline_seconds
        self._maximum_body_bytes = options.maximum_body_bytes
        self._examined: dict[tuple[Callable[[bytes], None], bytes], None] = {}
        self._transport = transport or _network(options)
        self._base_url = options.base_url.rstrip("/") + API_PATH
        self._headers = {
            "User-Agent": f"zindigi-connector/{__version__}",
            "X-App-Version": options.app_version,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        self._timeouts = httpx.Timeout(
            options.read_timeout_seconds,
            connect=options.connect_timeout_seconds,
            pool=options.request_deadline_seconds,
        ).as_dict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def exchange(self, call: Call, credentials: Credentials | None = None) -> Answer:
        """The answer, whatever its status.

        Raises:
            UnavailableError: no connection, time-out, or the body broke off.
            DataError: the body is larger than allowed or of an encoding that was not asked for.
        """
        headers = dict(self._headers)
        if credentials is not None:
            headers["Authorization"] = f"Bearer {credentials.access_token}"
            headers["X-Device-Id"] = credentials.device_id
        if call.etag is not None:
            headers["If-None-Match"] = call.etag
        content = None
        if call.payload is not None:
            content = orjson.dumps(call.payload)
            headers["Content-Type"] = "application/json"
        query = f"?{urlencode(call.parameters)}" if call.parameters else ""
        try:
            request = httpx.Request(
                call.method,
                _url(f"{self._base_url}{call.path}{query}"),
                content=content,
                headers=headers,
                extensions={"timeout": self._timeouts},
            )
            async with asyncio.timeout(self._deadline_seconds):
                return await self._send(request, operation_of(call.method, call.path))
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            # TimeoutError is an OSError.
            # httpx's name for a refused connection is that of a time-out; the transport's own is right.
            told = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
            raise UnavailableError(f"the bank could not be reached or broke off ({type(told).__name__})") from None

    async def read(
        self, call: Call, credentials: Credentials, *, examine: Callable[[bytes], None] = examine_json
    ) -> Body:
        """The body of a 200 that passed `examine`, or none at a 304 to the call's own entity tag.

        No other status is proof of anything. A body that passed before is known by its digest and not examined again; a
        large one is examined by a worker thread.

        Raises:
            ConnectorError: as the refusal means, as `exchange` says, or what `examine` raises.
        """
        answer = await self.exchange(call, credentials)
        if answer.status == _NOT_MODIFIED and call.etag is not None:
            return Body(None, b"", answer.etag or call.etag, answer.served_at)
        if not answer.shows:
            raise refusal(answer)
        if answer.for_people:
            raise UnavailableError("the bank's answer is a page for people")
        digest = digest_page(answer.body)
        passed = (examine, digest)
        if passed not in self._examined:
            if len(answer.body) > LARGE_BODY_BYTES:
                await anyio.to_thread.run_sync(examine, answer.body)
            else:
                examine(answer.body)
            if len(self._examined) >= _EXAMINED_LIMIT:
                del self._examined[next(iter(self._examined))]
            self._examined[passed] = None
        return Body(answer.body, digest, answer.etag, answer.served_at)

    async def _send(self, request: httpx.Request, operation: Operation) -> Answer:
        response = await self._transport.handle_async_request(request)
        try:
            encoding = response.headers.get("content-encoding", "").strip().lower()
            if encoding not in _ENCODINGS:
                raise DataError("the bank's answer is of a content encoding that was not asked for")
            # As it comes from the transport, which unpacks nothing.
            parts: AsyncIterable[bytes] = response.stream  # type: ignore[assignment]  # an asynchronous transport's
            body = await self._receive(unpacked(parts) if encoding in _GZIP else parts)
        finally:
            await response.aclose()
        return self._answer(response, body, operation)

    def _answer(self, response: httpx.Response, body: bytes, operation: Operation) -> Answer:
        """The answer with what its headers say: none of them can fail, whatever stands in it."""
        etag = response.headers.get("etag")
        usable = etag and len(etag) <= MAXIMUM_ETAG_CHARACTERS and etag.isascii() and etag.isprintable()
        return Answer(
            status=response.status_code,
            body=body,
            etag=etag if usable else None,
            retry_after_seconds=retry_after_seconds(response.headers.get("retry-after"), self._clock.now()),
            served_at=http_date(response.headers.get("date")),
            operation=operation,
            for_people=response.headers.get("content-type", "").lstrip().lower().startswith(_HTML),
        )

    async def _receive(self, parts: AsyncIterable[bytes]) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in parts:
            size += len(chunk)
            if size > self._maximum_body_bytes:
                raise DataError(f"the bank's answer is larger than {self._maximum_body_bytes} bytes")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _network(options: ZindigiOptions) -> httpx.AsyncBaseTransport:
    context = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=options.maximum_connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=context
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    return AiohttpTransport(verify=context, trust_env=False, client=session)
