from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.lowlevel
import httpx
import pytest

from connector.errors import (
    ActionRequiredError,
    ConfigurationError,
    ConnectorError,
    DataError,
    ForbiddenError,
    RateLimitedError,
    UnavailableError,
)
from connector.limits import LARGE_BODY_BYTES, MAXIMUM_ENTRIES_A_WHOLE, MAXIMUM_ETAG_CHARACTERS
from connector.ports import PageRequest
from connector.sources.zindigi.http import BankHttp, Call, Credentials
from connector.sources.zindigi.options import ZindigiOptions
from tests.support.scripted_bank import BASE_URL, IBAN, Bench, assert_nothing_planted, reply, resource
from tests.support.virtual_clock import VirtualClock
from tests.support.wire_samples import VOUCHER, encode, summary

pytestmark = pytest.mark.anyio

FEED = f"/accounts/{IBAN}/transactions"
EMPTY_FEED: dict[str, Any] = {"items": [], "next_cursor": None}
WHO = Credentials(access_token="planted-access-1", device_id="planted-device")


def client(answer: Callable[[httpx.Request], Any], **options: Any) -> BankHttp:
    settings = ZindigiOptions(base_url=BASE_URL, **options)
    return BankHttp(settings, VirtualClock(), transport=httpx.MockTransport(answer))


async def failure(http: BankHttp) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await http.read(Call("GET", FEED), WHO)
    assert_nothing_planted("".join(traceback.format_exception(caught.value)))
    return caught.value


async def test_a_call_carries_what_the_contract_asks() -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always("GET", FEED, reply(200, EMPTY_FEED, ETag='"v1"'))
    page = await bench.source.fetch_page(resource("transactions"), PageRequest(cursor="c/1", etag='"v0"'))
    (request,) = bench.bank.requests
    assert request.headers["authorization"] == "Bearer planted-access-1"
    assert request.headers["x-device-id"] == "planted-device"
    assert request.headers["x-app-version"] == "4.2.0"
    assert request.headers["if-none-match"] == '"v0"'
    assert request.headers["accept-encoding"] == "gzip"
    assert dict(request.url.params) == {"limit": "100", "cursor": "c/1"}
    assert (page.etag, page.body) == ('"v1"', json.dumps(EMPTY_FEED).encode())
    assert len(page.digest) == 16


async def test_nothing_changed_is_an_answer_without_body() -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always("GET", FEED, reply(304))
    page = await bench.source.fetch_page(resource("transactions"), PageRequest(etag='"v0"'))
    assert (page.body, page.etag) == (None, '"v0"')


async def test_nothing_changed_without_having_asked_is_refused() -> None:
    assert type(await failure(client(lambda _: reply(304)))) is UnavailableError


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.ReadError,
        httpx.RemoteProtocolError,
        httpx.PoolTimeout,
        httpx.DecodingError,
    ],
)
async def test_trouble_of_the_wire_passes_and_names_no_address(trouble: type[httpx.RequestError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise trouble(f"planted {request.url}", request=request)

    error = await failure(client(answer))
    assert type(error) is UnavailableError
    assert trouble.__name__ in str(error)


class BrokenStream(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"items": [{"id": "planted"'
        raise httpx.ReadError("planted: the peer closed the connection")


async def test_a_connection_cut_in_mid_body_passes() -> None:
    error = await failure(client(lambda _: httpx.Response(200, stream=BrokenStream())))
    assert type(error) is UnavailableError


@pytest.mark.parametrize(
    "body", [b"", b"<html>planted</html>", b'{"items": [{"id": "planted', b'{"items": []} x', b"\xff"]
)
@pytest.mark.parametrize("name", ["transactions", "points", "vouchers", "loan"])
async def test_a_body_that_is_not_whole_json_is_never_half_believed(name: str, body: bytes) -> None:
    bench = Bench()
    bench.hold_session()
    for method, path in (
        ("GET", FEED),
        ("GET", "/z-miles/ledger"),
        ("GET", "/z-miles/summary"),
        ("POST", "/advance-cash/inquiry"),
    ):
        bench.bank.always(method, path, httpx.Response(200, content=body))
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            await bench.source.fetch_page(resource(name), PageRequest())
        assert_nothing_planted("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("cut", [1, 9, 100, 2000, None])
async def test_a_gzip_body_that_broke_off_is_never_half_believed(cut: int | None) -> None:
    whole = json.dumps({"items": list(range(5000))}).encode()
    sent = gzip.compress(whole, mtime=0)[: -cut if cut else None]
    http = client(lambda _: httpx.Response(200, content=sent, headers={"Content-Encoding": "gzip"}))
    try:
        body = await http.read(Call("GET", FEED), WHO)
    except UnavailableError:
        assert cut
    else:
        # Only the checksum at the end may be lost without losing content.
        assert body.content == whole


@pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip", " X-GZip "])
@pytest.mark.parametrize("size", [1, 7, 4096, 10**9])
async def test_gzip_of_several_members_is_one_body(name: str, size: int) -> None:
    whole = json.dumps({"items": list(range(5000)), "next_cursor": None}).encode()
    members = [whole[place : place + 1000] for place in range(0, len(whole), 1000)]
    sent = b"".join(gzip.compress(member, mtime=0) for member in [b"", *members]) + b"\0" * 100
    http = client(lambda _: httpx.Response(200, stream=Parts(sent, size), headers={"Content-Encoding": name}))
    assert (await http.read(Call("GET", FEED), WHO)).content == whole


@pytest.mark.parametrize("bombs", [1, 40])
async def test_a_gzip_bomb_ends_at_the_bound_of_a_body_however_many_members_it_has(bombs: int) -> None:
    bound = 1_000_000
    bomb = gzip.compress(b" " * (50 * bound // bombs)) * bombs
    parts = Parts(bomb, 512)
    http = client(
        lambda _: httpx.Response(200, stream=parts, headers={"Content-Encoding": "gzip"}), maximum_body_bytes=bound
    )
    tracemalloc.start()
    try:
        error = await failure(http)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(error) is DataError
    assert parts.taken < len(bomb)
    assert peak < 5 * bound


WHOLE = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"planted", WHOLE + b"planted", WHOLE[:-1], b"\x1f\x8b"])
async def test_what_is_not_whole_gzip_is_not_believed(sent: bytes) -> None:
    http = client(lambda _: httpx.Response(200, stream=Parts(sent, 5), headers={"Content-Encoding": "gzip"}))
    assert type(await failure(http)) is UnavailableError


class Parts(httpx.AsyncByteStream):
    """A body that comes in parts of `size` bytes; `taken` counts them."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body = body
        self._size = size
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < len(self._body):
            part = self._body[self.taken : self.taken + self._size]
            self.taken += len(part)
            yield part


async def test_a_large_body_is_looked_at_beside_the_event_loop_and_a_small_one_is_not() -> None:
    seen: list[bool] = []
    loop_thread = threading.get_ident()

    def examine(_body: bytes) -> None:
        seen.append(threading.get_ident() == loop_thread)

    for size in (LARGE_BODY_BYTES, LARGE_BODY_BYTES + 1):
        http = client(lambda _, size=size: httpx.Response(200, content=b" " * size))
        await http.read(Call("GET", FEED), WHO, examine=examine)
    assert seen == [True, False]


async def test_a_large_page_is_understood_beside_the_event_loop() -> None:
    bench = Bench()
    # As many vouchers as one answer may list, and a second's worth of work in it.
    items = [{**VOUCHER, "voucher_id": f"V-{number}"} for number in range(MAXIMUM_ENTRIES_A_WHOLE)]
    body = encode(summary(*items))
    assert len(body) > LARGE_BODY_BYTES
    turns = 0
    done = asyncio.Event()

    async def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await anyio.lowlevel.checkpoint()

    counting = asyncio.create_task(count())
    page = await bench.source.understand(resource("vouchers"), body)
    done.set()
    await counting
    assert len(page.entries) == MAXIMUM_ENTRIES_A_WHOLE
    assert turns > 10
    small = encode(summary(VOUCHER))
    assert await bench.source.understand(resource("vouchers"), small) == bench.source.normalise(
        resource("vouchers"), small
    )


async def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    encoded = {"Content-Encoding": "zstd"}
    error = await failure(client(lambda _: httpx.Response(200, stream=BrokenStream(), headers=encoded)))
    assert type(error) is DataError


async def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    taken = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b" " * 1000

    error = await failure(client(lambda _: httpx.Response(200, stream=Endless()), maximum_body_bytes=10_000))
    assert type(error) is DataError
    assert "10000 bytes" in str(error)
    assert taken == 11


async def test_an_answer_that_never_ends_meets_the_deadline() -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    error = await failure(client(answer, request_deadline_seconds=0.05))
    assert type(error) is UnavailableError


@pytest.mark.parametrize("header", ["30", "Sun, 01 Mar 2026 04:30:30 GMT"])
@pytest.mark.parametrize("status", [429, 503])
async def test_the_wish_to_wait_is_kept(status: int, header: str) -> None:
    error = await failure(client(lambda _: reply(status, {"code": "X"}, Retry_After=header)))
    assert isinstance(error, UnavailableError | RateLimitedError)
    assert error.retry_after_seconds == 30.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("05", ForbiddenError),
        ("68", UnavailableError),
        ("91", UnavailableError),
        ("96", UnavailableError),
        ("77", UnavailableError),
        ("planted", UnavailableError),
    ],
)
async def test_errors_of_the_lending_core_come_as_200(code: str, kind: type[ConnectorError]) -> None:
    bench = Bench()
    bench.hold_session()
    body = {"RESPONSE_CODE": code, "RESPONSE_DESC": "planted", "DATA": None}
    bench.bank.always("POST", "/advance-cash/inquiry", reply(200, body))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            await bench.source.fetch_page(resource("loan"), PageRequest(etag='"never sent"'))
        assert type(caught.value) is kind
        assert_nothing_planted(str(caught.value))
        assert code in str(caught.value) or code in {"05", "planted"}
    assert bench.bank.requests[0].content == b'{"CHANNEL":"APP"}'
    assert "if-none-match" not in bench.bank.requests[0].headers


async def test_no_facility_passes() -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always(
        "POST", "/advance-cash/inquiry", reply(200, {"RESPONSE_CODE": "01", "RESPONSE_DESC": "", "DATA": None})
    )
    page = await bench.source.fetch_page(resource("loan"), PageRequest())
    assert page.body is not None
    assert bench.source.normalise(resource("loan"), page.body).entries == ()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"items": []}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{"items": []}\r\n',
        b"planted nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n{}",
    ],
)
async def test_a_real_connection_that_breaks_off_passes(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, BankHttp(ZindigiOptions(base_url=f"http://127.0.0.1:{port}"), VirtualClock()) as http:
        assert type(await failure(http)) is UnavailableError


async def test_a_real_connection_carries_no_cookie_and_unpacks_gzip() -> None:
    seen: list[bytes] = []
    body = gzip.compress(b'{"items": []}', mtime=0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, BankHttp(ZindigiOptions(base_url=f"http://127.0.0.1:{port}"), VirtualClock()) as http:
        for _ in range(2):
            assert (await http.read(Call("GET", FEED), WHO)).content == b'{"items": []}'
    assert len(seen) == 2
    assert b"ookie" not in b"".join(seen)


async def test_a_port_that_nobody_listens_on_passes() -> None:
    async with BankHttp(ZindigiOptions(base_url="http://127.0.0.1:1"), VirtualClock()) as http:
        assert type(await failure(http)) is UnavailableError


async def test_a_redirect_is_not_followed() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "http://127.0.0.1:1/elsewhere"})

    assert type(await failure(client(answer))) is UnavailableError
    assert len(seen) == 1


async def test_no_cookie_travels_from_one_holder_to_another() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        return reply(200, {}, Set_Cookie="gateway=planted; Path=/")

    http = client(answer)
    for _ in range(3):
        await http.read(Call("GET", "/me"), WHO)
    assert seen == [None, None, None]


@pytest.mark.parametrize("etag", ["x" * (MAXIMUM_ETAG_CHARACTERS + 1), "\u00e9", '"tab\there"'])
async def test_an_odd_etag_is_not_kept(etag: str) -> None:
    http = client(lambda _: httpx.Response(200, content=b"{}", headers=[(b"etag", etag.encode())]))
    assert (await http.read(Call("GET", "/me"), WHO)).etag is None


async def test_nothing_personal_or_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    session = bench.hold_session()
    bench.bank.always("GET", FEED, reply(200, EMPTY_FEED))
    page = await bench.source.fetch_page(resource("transactions"), PageRequest())
    call = Call("GET", FEED, payload={"pin": "planted"}, etag="planted")
    for shown in (session, WHO, call, resource("transactions"), bench.keeper._accounts, bench.source, bench.http):
        assert_nothing_planted(repr(shown))
    assert page.body is not None
    assert_nothing_planted(caplog.text)


async def test_a_body_that_passed_once_is_not_examined_again() -> None:
    examined = 0

    def examine(_body: bytes) -> None:
        nonlocal examined
        examined += 1

    http = client(lambda _: reply(200, EMPTY_FEED))
    for _ in range(3):
        await http.read(Call("GET", FEED), WHO, examine=examine)
    assert examined == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bank",
        "ftp://h",
        "http://bank.example",
        "https://",
        "https://u:p@h",
        "https://h?x=1",
        "https://[",
        "https://h:x",
    ],
)
def test_a_bad_address_of_the_bank_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        ZindigiOptions(base_url=url)


@pytest.mark.parametrize(
    "url", ["https://bank.example", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1/"]
)
def test_a_good_address_of_the_bank_is_accepted(url: str) -> None:
    assert ZindigiOptions(base_url=url).base_url == url


async def test_a_holder_matter_in_the_middle_of_reading_is_told() -> None:
    error = await failure(client(lambda _: reply(423, {"code": "LOCKED", "message": "planted"})))
    assert isinstance(error, ActionRequiredError)
    assert error.reason == "locked"
