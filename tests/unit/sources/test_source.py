from __future__ import annotations

from datetime import UTC, date, datetime

import anyio
import pytest

from connector.domains.model import BookingKey, midnight_micros
from connector.domains.registry import DOMAINS
from connector.errors import CursorError, DataError
from connector.ports import PageRequest, Source
from tests.support.scripted_bank import ACCOUNT, FUND, IBAN, Bench, refused, reply, resource
from tests.support.virtual_clock import VirtualClock
from tests.support.wire_samples import ME

pytestmark = pytest.mark.anyio

FEED = f"/accounts/{IBAN}/transactions"
PORTFOLIO = "/invest/v1/portfolio"
ORDERS = "/invest/v1/orders"
NAV = f"/invest/v1/funds/{FUND}/nav"
CALLS: list[tuple[str, PageRequest, str]] = [
    ("transactions", PageRequest(), f"GET {FEED}?limit=100"),
    ("transactions", PageRequest(since=date(2026, 1, 2)), f"GET {FEED}?limit=100&from=2026-01-02"),
    (
        "transactions",
        PageRequest(since=date(2026, 1, 2), cursor="a b+/="),
        f"GET {FEED}?limit=100&from=2026-01-02&cursor=a+b%2B%2F%3D",
    ),
    ("points", PageRequest(), "GET /z-miles/ledger?limit=200"),
    ("points", PageRequest(after=BookingKey(41, "")), "GET /z-miles/ledger?limit=200&after_id=41"),
    ("points", PageRequest(after=BookingKey(41, ""), cursor="241"), "GET /z-miles/ledger?limit=200&after_id=241"),
    ("vouchers", PageRequest(), "GET /z-miles/summary"),
    ("loan", PageRequest(), "POST /advance-cash/inquiry"),
    ("holdings", PageRequest(), f"GET {PORTFOLIO}"),
    ("orders", PageRequest(since=date(2026, 1, 2)), f"GET {ORDERS}?page=0&size=100"),
    ("orders", PageRequest(since=date(2026, 1, 2), cursor="3"), f"GET {ORDERS}?page=3&size=100"),
    ("nav", PageRequest(), f"GET {NAV}"),
    # The newest day again: it is the one that is restated most often.
    ("nav", PageRequest(after=BookingKey(midnight_micros(date(2026, 2, 27)), "")), f"GET {NAV}?since=2026-02-27"),
    # A complete read, from its lowest day on, and from the day of the floor, of which nothing is believed.
    ("nav", PageRequest(after=BookingKey(midnight_micros(date(2026, 2, 2)) - 1, "")), f"GET {NAV}?since=2026-02-02"),
    ("nav", PageRequest(after=BookingKey(midnight_micros(date(2026, 2, 2)), "")), f"GET {NAV}?since=2026-02-02"),
]


@pytest.mark.parametrize(("name", "request_", "line"), CALLS)
async def test_every_resource_has_its_call(name: str, request_: PageRequest, line: str) -> None:
    bench = Bench()
    bench.hold_session()
    for path in (FEED, "/z-miles/ledger", "/z-miles/summary", PORTFOLIO, ORDERS, NAV):
        bench.bank.always("GET", path, reply(200, {}))
    bench.bank.always("POST", "/advance-cash/inquiry", reply(200, {"RESPONSE_CODE": "00"}))
    page = await bench.source.fetch_page(resource(name), request_)
    (request,) = bench.bank.requests
    assert f"{request.method} {request.url.raw_path.decode()}" == line.replace(" /", " /zindigi/v2/", 1)
    assert page.fetched_at == bench.clock.now()


async def test_it_is_a_source_for_every_registered_resource() -> None:
    bench = Bench()
    source: Source = bench.source
    assert (source.route, source.api_version, source.parser_version) == ("app-session", "v2", "1")
    for domain in DOMAINS.values():
        for kind in domain.resources:
            with pytest.raises(DataError):
                source.normalise(resource(kind.name), b"{}")


async def test_the_profile_is_fetched() -> None:
    bench = Bench()
    bench.hold_session()
    body = {**ME, "tier": "ULTRA", "minor": True}
    bench.bank.always("GET", "/me", reply(200, body))
    profile = await bench.source.fetch_profile(ACCOUNT)
    assert profile is not None
    assert (profile.tier, profile.minor, profile.bank_accounts[0].iban) == ("ULTRA", True, IBAN)


async def test_a_profile_that_the_bank_calls_unchanged_is_none() -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always("GET", "/me", reply(304, None, etag='"7"'))
    assert await bench.source.fetch_profile(ACCOUNT, '"7"') is None
    assert bench.bank.requests[-1].headers["if-none-match"] == '"7"'


async def test_a_refused_cursor_is_told() -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always("GET", FEED, refused(400, "CURSOR_INVALID"))
    with pytest.raises(CursorError):
        await bench.source.fetch_page(resource("transactions"), PageRequest(cursor="old"))


async def test_the_virtual_clock_wakes_in_order() -> None:
    for clock in (VirtualClock(), VirtualClock(auto_advance=True)):
        woken: list[tuple[int, float]] = []

        async def sleeper(seconds: int, clock: VirtualClock = clock, woken: list[tuple[int, float]] = woken) -> None:
            await clock.sleep(seconds)
            woken.append((seconds, clock.monotonic()))

        async with anyio.create_task_group() as group:
            for seconds in (30, 10, 20, 0):
                group.start_soon(sleeper, seconds)
            if not clock._auto_advance:
                await clock.advance(60)
        assert woken == [(0, 0.0), (10, 10.0), (20, 20.0), (30, 30.0)]


@pytest.mark.parametrize(
    ("header", "instant"),
    [
        ("Sun, 01 Mar 2026 04:30:00 GMT", datetime(2026, 3, 1, 4, 30, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("planted", None),
    ],
)
async def test_the_profile_says_when_the_bank_served_it(header: str, instant: datetime | None) -> None:
    bench = Bench()
    bench.hold_session()
    bench.bank.always("GET", "/me", reply(200, ME, Date=header))
    profile = await bench.source.fetch_profile(ACCOUNT)
    assert profile is not None
    assert profile.served_at == instant
