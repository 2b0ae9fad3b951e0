"""Sessions: one refresh for all, durable before use, silence once the holder must act."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from connector.errors import (
    ActionRequiredError,
    ConsentError,
    DataError,
    ForbiddenError,
    RetryableError,
    UnavailableError,
)
from connector.limits import ASSUMED_ACCESS_SECONDS, MAXIMUM_ACCESS_SECONDS, MAXIMUM_REFRESH_SECONDS
from connector.ports import PageRequest, RawPage
from connector.sources.zindigi.grant import read_grant
from connector.sources.zindigi.http import Credentials
from connector.sources.zindigi.refusals import Answer
from connector.sources.zindigi.session import LATE_SECONDS
from tests.support.scripted_bank import ACCOUNT, Bench, assert_nothing_planted, refused, reply, resource
from tests.support.virtual_clock import settle
from tests.support.wire_samples import encode

pytestmark = pytest.mark.anyio

SUMMARY = {"member_id": "M", "balance": 0, "vouchers": []}
PATH = "/z-miles/summary"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.bank.always("GET", PATH, reply(200, SUMMARY))
    return bench


async def fetch(bench: Bench) -> RawPage:
    return await bench.source.fetch_page(resource("vouchers"), PageRequest())


async def test_a_good_token_is_used_without_a_refresh(bench: Bench) -> None:
    bench.hold_session()
    for _ in range(5):
        await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 0
    assert bench.vault.loads == 1


async def test_a_refused_token_is_refreshed_once_and_the_call_repeated_once(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("GET", PATH, refused(401, "TOKEN_EXPIRED"))
    await fetch(bench)
    assert [request.url.path.removeprefix("/zindigi/v2") for request in bench.bank.requests] == [
        PATH,
        "/auth/refresh",
        PATH,
    ]
    held = bench.vault.sessions[ACCOUNT]
    assert (held.generation, held.access_token, held.refresh_token) == (2, "planted-access-2", "planted-refresh-2")
    assert held.access_expires_at == bench.clock.now() + timedelta(seconds=600)


async def test_a_hundred_refused_calls_share_one_refresh(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.rotation = 2
    bench.vault.sessions[ACCOUNT] = replace(
        bench.vault.sessions[ACCOUNT], access_token="planted-stale", refresh_token="planted-refresh-2"
    )
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(fetch, bench)
    assert bench.bank.count("/auth/refresh") == 1
    assert bench.bank.count(PATH) == 200


async def test_a_late_refusal_of_an_old_token_is_just_repeated_with_the_present_one(bench: Bench) -> None:
    bench.hold_session()
    late = anyio.Event()

    async def slow_refusal(_: httpx.Request) -> httpx.Response:
        await late.wait()
        return refused(401, "TOKEN_EXPIRED")

    bench.bank.add("GET", PATH, slow_refusal, refused(401, "TOKEN_EXPIRED"))
    async with anyio.create_task_group() as group:
        group.start_soon(fetch, bench)
        await settle()
        await fetch(bench)
        late.set()
    assert bench.bank.count("/auth/refresh") == 1


async def test_a_token_refused_twice_is_the_banks_trouble(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.always("GET", PATH, refused(401, "TOKEN_EXPIRED"))
    with pytest.raises(UnavailableError):
        await fetch(bench)
    assert (bench.bank.count("/auth/refresh"), bench.bank.count(PATH)) == (1, 2)


async def test_a_session_not_valid_at_the_lending_core_is_refreshed_once(bench: Bench) -> None:
    bench.hold_session()
    stale = {"RESPONSE_CODE": "14", "RESPONSE_DESC": "", "DATA": None}
    bench.bank.add("POST", "/advance-cash/inquiry", reply(200, stale))
    bench.bank.always("POST", "/advance-cash/inquiry", reply(200, {**stale, "RESPONSE_CODE": "01"}))
    await bench.source.fetch_page(resource("loan"), PageRequest())
    assert bench.bank.count("/auth/refresh") == 1


async def test_a_token_is_refreshed_ahead_of_its_expiry(bench: Bench) -> None:
    bench.hold_session()
    await fetch(bench)
    bench.clock.jump(539)
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 0
    bench.clock.jump(1)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(fetch, bench)
    assert bench.bank.count("/auth/refresh") == 1
    assert await bench.keeper.access_token(ACCOUNT) == "planted-access-2"


async def test_a_refresh_that_fails_ahead_of_time_leaves_a_token_that_still_lives(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("POST", "/auth/refresh", refused(503, "UNAVAILABLE"))
    bench.clock.jump(550)
    for _ in range(3):
        await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 1
    bench.clock.jump(2)
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 2
    assert bench.vault.sessions[ACCOUNT].generation == 2


async def test_a_refresh_that_fails_after_the_expiry_fails_the_call_and_is_not_hammered(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("POST", "/auth/refresh", reply(429, {"code": "RATE_LIMITED"}, Retry_After="30"))
    bench.clock.jump(700)
    for wait in (30.0, 30.0):
        with pytest.raises(RetryableError) as caught:
            await fetch(bench)
        assert caught.value.retry_after_seconds == wait
    assert (bench.bank.count("/auth/refresh"), bench.bank.count(PATH)) == (1, 0)
    bench.clock.jump(30)
    await fetch(bench)


async def test_a_rotated_token_is_in_the_vault_before_its_first_use(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    held_at_use = []

    def answer(request: httpx.Request) -> httpx.Response:
        held_at_use.append((request.headers["authorization"], bench.vault.sessions[ACCOUNT].access_token))
        return reply(200, SUMMARY)

    bench.bank.always("GET", PATH, answer)
    await fetch(bench)
    assert held_at_use == [("Bearer planted-access-2", "planted-access-2")]


async def test_a_rotated_token_that_could_not_be_stored_is_stored_before_anything_else(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.vault.store_trouble.append(RetryableError("disk full"))
    with pytest.raises(RetryableError, match="disk full"):
        await fetch(bench)
    assert bench.bank.count(PATH) == 0
    bench.clock.jump(2)
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 1
    assert bench.vault.sessions[ACCOUNT].access_token == "planted-access-2"


async def test_a_cancelled_wait_does_not_lose_the_rotated_token(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(fetch, bench)
        await settle()
        group.cancel_scope.cancel()
    assert bench.vault.sessions[ACCOUNT].generation == 1
    bench.bank.refresh_gate.set()
    await bench.source.close()
    assert bench.vault.sessions[ACCOUNT].access_token == "planted-access-2"


async def test_one_cancelled_wait_does_not_disturb_the_others(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    first, second = asyncio.create_task(fetch(bench)), asyncio.create_task(fetch(bench))
    await settle()
    first.cancel()
    await settle()
    bench.bank.refresh_gate.set()
    assert (await second).body
    assert first.cancelled()
    assert bench.bank.count("/auth/refresh") == 1


async def test_a_refresh_that_never_ends_meets_its_deadline() -> None:
    bench = Bench(refresh_deadline_seconds=0.05)
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    with pytest.raises(UnavailableError, match="deadline"):
        await fetch(bench)


async def test_an_answer_that_comes_after_everybody_gave_up_is_kept() -> None:
    bench = Bench(refresh_deadline_seconds=0.02)
    bench.bank.always("GET", PATH, reply(200, SUMMARY))
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    for _ in range(3):
        with pytest.raises(UnavailableError, match="deadline"):
            await fetch(bench)
    bench.bank.refresh_gate.set()
    await bench.source.close()
    assert bench.bank.count("/auth/refresh") == 1
    assert bench.vault.sessions[ACCOUNT].access_token == "planted-access-2"
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 1


async def test_an_answer_that_comes_after_others_may_have_tried_is_not_waited_for(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    asked = asyncio.create_task(fetch(bench))
    await settle()
    bench.clock.jump(bench.options.refresh_deadline_seconds + LATE_SECONDS)
    with pytest.raises(UnavailableError, match="deadline"):
        await asked
    assert bench.vault.sessions[ACCOUNT].generation == 1


async def test_a_session_that_another_process_stored_is_used_without_a_refresh(bench: Bench) -> None:
    bench.hold_session(1)
    await fetch(bench)
    bench.bank.rotation = 7
    bench.hold_session(1000)
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 0
    assert bench.bank.count(PATH) == 3


async def test_a_login_during_a_refresh_has_the_last_word(bench: Bench) -> None:
    bench.hold_session(1, expires_in_seconds=0)

    async def somebody_logs_in() -> None:
        bench.bank.rotation = 50
        bench.hold_session(1000)
        bench.bank.rotation = 50

    bench.bank.on_refresh = somebody_logs_in
    await fetch(bench)
    assert bench.vault.sessions[ACCOUNT].generation == 1000
    assert await bench.keeper.access_token(ACCOUNT) == "planted-access-50"


REFRESH_REFUSALS: list[tuple[httpx.Response, str]] = [
    (refused(401, "REFRESH_EXPIRED"), "otp"),
    (refused(401, "REFRESH_REUSED"), "otp"),
    (refused(401, "SESSION_ENDED"), "otp"),
    (refused(403, "DEVICE_UNBOUND"), "device"),
    (refused(423, "LOCKED", until="2026-03-01T05:00:00Z"), "locked"),
    (refused(426, "APP_UPGRADE_REQUIRED", minimum="5.0.0"), "app_upgrade"),
]

FIREWALL_PAGE = b"<html><body>planted: your request was blocked</body></html>"
NOT_ABOUT_THE_SESSION: list[httpx.Response] = [
    *(
        httpx.Response(status, content=FIREWALL_PAGE)
        for status in (302, 400, 401, 403, 404, 423, 426, 451, 500, 503, 520)
    ),
    *(httpx.Response(status) for status in (401, 403)),
    httpx.Response(200, content=FIREWALL_PAGE),
    reply(401, {"error": "unauthorized"}),
    reply(429, {"code": "RATE_LIMITED"}),
    refused(401, "SOMETHING_NEW"),
    refused(403, "SOMETHING_NEW"),
    refused(401, "TOKEN_EXPIRED"),
    refused(401, "PIN_INVALID"),
    refused(403, "SURFACE_FORBIDDEN"),
    refused(503, "UNAVAILABLE"),
]
"""Answers to a refresh that say nothing of the session."""


@pytest.mark.parametrize("answer", NOT_ABOUT_THE_SESSION)
async def test_what_is_not_about_the_session_leaves_it_alive(bench: Bench, answer: httpx.Response) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", answer, answer)
    for _ in range(2):
        with pytest.raises(RetryableError) as caught:
            await fetch(bench)
        assert_nothing_planted(str(caught.value))
        bench.clock.jump(60)
    assert bench.vault.sessions[ACCOUNT].refresh_token == "planted-refresh-1"
    await fetch(bench)
    assert bench.vault.sessions[ACCOUNT].generation == 2


async def test_refreshes_that_fail_come_further_and_further_apart(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", *[httpx.Response(403, content=FIREWALL_PAGE)] * 100)
    for _ in range(3600):
        with pytest.raises(UnavailableError):
            await fetch(bench)
        bench.clock.jump(1)
    # 2, 4, 8 … seconds, and a quarter of an hour at most.
    assert bench.bank.count("/auth/refresh") == 12


async def test_a_bank_that_refuses_every_token_is_not_made_to_rotate_them_at_each_try(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.always("GET", PATH, refused(401, "TOKEN_EXPIRED"))
    for _ in range(59):
        with pytest.raises(UnavailableError):
            await fetch(bench)
        bench.clock.jump(1)
    assert bench.bank.count("/auth/refresh") == 1
    for _ in range(3600):
        with pytest.raises(UnavailableError):
            await fetch(bench)
        bench.clock.jump(1)
    # A minute, two, four … and a quarter of an hour at most.
    assert bench.bank.count("/auth/refresh") == 8
    bench.bank.always("GET", PATH, reply(200, SUMMARY))
    await fetch(bench)


@pytest.mark.parametrize(("answer", "reason"), REFRESH_REFUSALS)
async def test_a_refused_refresh_silences_the_account_until_a_new_login(
    bench: Bench, answer: httpx.Response, reason: str
) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", answer)
    for seconds in (0, 1, 100, 10_000):
        bench.clock.jump(seconds)
        with pytest.raises(ActionRequiredError) as caught:
            await fetch(bench)
        assert caught.value.reason == reason
        assert_nothing_planted(str(caught.value))
    assert len(bench.bank.requests) == 1
    bench.hold_session(2)
    await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 1


@pytest.mark.parametrize(("answer", "reason"), [case for case in REFRESH_REFUSALS if case[1] != "otp"])
async def test_a_holder_matter_on_a_read_silences_the_account_without_a_refresh(
    bench: Bench, answer: httpx.Response, reason: str
) -> None:
    bench.hold_session()
    bench.bank.add("GET", PATH, answer)
    for _ in range(3):
        with pytest.raises(ActionRequiredError) as caught:
            await fetch(bench)
        assert caught.value.reason == reason
    assert len(bench.bank.requests) == 1


async def test_an_ended_session_needs_a_login(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("GET", PATH, refused(401, "SESSION_ENDED"))
    with pytest.raises(ActionRequiredError) as caught:
        await fetch(bench)
    assert caught.value.reason == "otp"
    assert bench.bank.count("/auth/refresh") == 0


async def test_an_old_session_that_ended_does_not_silence_a_newer_one(bench: Bench) -> None:
    bench.hold_session(1)
    await fetch(bench)
    bench.bank.rotation = 2
    bench.hold_session(1000)
    bench.bank.add("GET", PATH, refused(401, "SESSION_ENDED"))
    assert (await fetch(bench)).body


async def test_a_hundred_calls_of_a_silent_account_ask_the_bank_nothing(bench: Bench) -> None:
    for _ in range(100):
        with pytest.raises(ActionRequiredError):
            await fetch(bench)
    assert bench.bank.requests == []


async def test_without_a_session_a_login_is_needed_and_found_at_once_when_it_comes(bench: Bench) -> None:
    with pytest.raises(ActionRequiredError) as caught:
        await fetch(bench)
    assert caught.value.reason == "otp"
    bench.hold_session()
    await fetch(bench)


async def test_one_silent_account_leaves_the_others_alone(bench: Bench) -> None:
    bench.hold_session()
    bench.vault.sessions["acc_other"] = replace(bench.vault.sessions[ACCOUNT], account_id="acc_other")
    bench.bank.add("GET", PATH, refused(423, "LOCKED"))
    with pytest.raises(ActionRequiredError):
        await fetch(bench)
    assert (await bench.source.fetch_page(replace(resource("vouchers"), account_id="acc_other"), PageRequest())).body


async def test_a_forbidden_surface_is_told_and_nothing_else_happens(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("GET", PATH, refused(403, "SURFACE_FORBIDDEN"))
    with pytest.raises(ForbiddenError):
        await fetch(bench)
    await fetch(bench)


FIREWALL = httpx.Response(403, content=b"<html>planted</html>", headers={"Content-Type": "text/html"})
NOT_THE_BANK: list[httpx.Response] = [
    FIREWALL,
    httpx.Response(401, content=b"<html>planted</html>"),
    httpx.Response(423, content=b""),
    httpx.Response(426, content=b"{}"),
    httpx.Response(302, headers={"Location": "https://portal.example.invalid"}),
    httpx.Response(200, content=b"<html>planted</html>"),
    httpx.Response(203, content=b""),
    refused(401, "SOMETHING_NEW"),
    refused(401, "PIN_INVALID"),
    refused(401, "TOKEN_EXPIRED"),
    refused(403, "SURFACE_FORBIDDEN"),
    refused(403, "SOMETHING_NEW"),
]


@pytest.mark.parametrize("answer", NOT_THE_BANK)
async def test_what_is_not_of_the_contract_never_ends_a_session_at_a_refresh(
    bench: Bench, answer: httpx.Response
) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", answer)
    with pytest.raises(UnavailableError) as caught:
        await fetch(bench)
    assert_nothing_planted(str(caught.value))
    assert bench.vault.sessions[ACCOUNT].generation == 1
    bench.clock.jump(60)
    await fetch(bench)
    assert bench.vault.sessions[ACCOUNT].generation == 2


@pytest.mark.parametrize("answer", [FIREWALL, refused(401, "SOMETHING_NEW"), httpx.Response(401, content=b"<html>")])
async def test_what_is_not_of_the_contract_rotates_no_token_on_a_read(bench: Bench, answer: httpx.Response) -> None:
    bench.hold_session()
    for _ in range(5):
        bench.bank.add("GET", PATH, answer)
        with pytest.raises(UnavailableError):
            await fetch(bench)
    assert bench.bank.count("/auth/refresh") == 0
    await fetch(bench)


ODD_LIVES: list[Any] = [
    None, "", [], "planted\n", "600", True, -1, 0, 400_000_000, 10**15, "@600.5", "@1e400", "@1e999999999", "@NaN", {},
    "@" + "9" * 400, "@-1e999999999", "absent",
]  # fmt: skip


@pytest.mark.parametrize("life", ODD_LIVES)
async def test_a_grant_is_used_whatever_its_lives_look_like(bench: Bench, life: Any) -> None:
    bench.hold_session(expires_in_seconds=0)
    grant = {**json.loads(bench.bank.grant().content), "expires_in": life, "refresh_expires_in": life}
    if life == "absent":
        del grant["expires_in"], grant["refresh_expires_in"]
    bench.bank.add("POST", "/auth/refresh", httpx.Response(200, content=encode(grant)))
    asked_at = bench.clock.now()
    await fetch(bench)
    stored = bench.vault.sessions[ACCOUNT]
    assert stored.generation == 2
    assert stored.access_expires_at - asked_at == timedelta(seconds=ASSUMED_ACCESS_SECONDS)
    assert stored.refresh_expires_at is None


@pytest.mark.parametrize(
    ("access", "refresh", "seconds"),
    [
        ("@600.0", "@2592000.0", 600),
        (600, 1, 600),
        (1, MAXIMUM_REFRESH_SECONDS, 1),
        (MAXIMUM_ACCESS_SECONDS, 600, MAXIMUM_ACCESS_SECONDS),
        (MAXIMUM_ACCESS_SECONDS + 1, 600, ASSUMED_ACCESS_SECONDS),
    ],
)
def test_lives_that_can_be_used_are_kept(access: Any, refresh: Any, seconds: int) -> None:
    body = encode({"access_token": "a", "refresh_token": "r", "expires_in": access, "refresh_expires_in": refresh})
    grant = read_grant(Answer(200, body))
    assert grant.expires_in == seconds
    assert grant.refresh_expires_in == int(float(str(refresh).removeprefix("@")))


@pytest.mark.parametrize(
    "headers",
    [
        {"Date": "Fri, 31 Dec 9999 23:59:59 -1400", "Retry-After": "9" * 400},
        {"Date": "Sat, 01 Jan 0000 00:00:00 GMT", "Retry-After": "Fri, 31 Dec 9999 23:59:59 -1400"},
        {"Date": "Sat, 01 Jan 99999999999999999999 00:00:00 GMT", "ETag": "\x00", "Content-Type": "text/html"},
    ],
)
async def test_no_header_loses_a_grant(bench: Bench, headers: dict[str, str]) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", httpx.Response(200, content=bench.bank.grant().content, headers=headers))
    await fetch(bench)
    assert bench.vault.sessions[ACCOUNT].generation == 2


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
@pytest.mark.parametrize("value", [None, "", [], "planted\n", True, -1, "planted" * 2000])
async def test_a_grant_that_is_not_understood_is_no_matter_of_the_resource(
    bench: Bench, field: str, value: Any
) -> None:
    bench.hold_session(expires_in_seconds=0)
    grant = {"access_token": "a", "refresh_token": "r", "expires_in": 600, "refresh_expires_in": 600, field: value}
    bench.bank.add("POST", "/auth/refresh", reply(200, grant))
    with pytest.raises(UnavailableError, match=field) as caught:
        await fetch(bench)
    assert_nothing_planted(str(caught.value))
    assert bench.vault.sessions[ACCOUNT].generation == 1


async def test_an_erased_account_is_not_brought_back_by_a_refresh(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)

    async def erase() -> None:
        await bench.vault.destroy(ACCOUNT)

    bench.bank.on_refresh = erase
    with pytest.raises(ConsentError):
        await fetch(bench)
    assert ACCOUNT not in bench.vault.sessions


async def test_logging_out_ends_the_session_and_nothing_uses_it_again(bench: Bench) -> None:
    bench.hold_session()
    bench.bank.add("DELETE", "/auth/session", httpx.Response(204))
    await bench.source.log_out(ACCOUNT)
    assert bench.bank.requests[0].headers["authorization"] == "Bearer planted-access-1"
    bench.clock.jump(100)
    with pytest.raises(ActionRequiredError):
        await fetch(bench)
    assert len(bench.bank.requests) == 1


@pytest.mark.parametrize("answer", [refused(503, "UNAVAILABLE"), refused(404, "NOT_FOUND"), refused(423, "LOCKED")])
async def test_logging_out_never_raises_for_the_bank(bench: Bench, answer: httpx.Response) -> None:
    bench.hold_session()
    bench.bank.add("DELETE", "/auth/session", answer)
    await bench.source.log_out(ACCOUNT)
    with pytest.raises(ActionRequiredError):
        await fetch(bench)


async def test_logging_out_without_a_session_makes_no_call(bench: Bench) -> None:
    await bench.source.log_out(ACCOUNT)
    assert bench.bank.requests == []


async def test_logging_out_waits_for_a_refresh_in_flight(bench: Bench) -> None:
    bench.hold_session(expires_in_seconds=0)
    bench.bank.refresh_gate = anyio.Event()
    bench.bank.add("DELETE", "/auth/session", httpx.Response(204))
    async with anyio.create_task_group() as group:
        group.start_soon(fetch, bench)
        await settle()
        group.start_soon(bench.source.log_out, ACCOUNT)
        await settle()
        assert bench.bank.count("/auth/session") == 0
        bench.bank.refresh_gate.set()
    assert bench.bank.requests[-1].headers["authorization"] == "Bearer planted-access-2"


async def test_sending_raises_what_it_raises(bench: Bench) -> None:
    bench.hold_session()

    async def send(credentials: Credentials) -> None:
        assert_nothing_planted(repr(credentials))
        raise DataError("odd")

    with pytest.raises(DataError, match="odd"):
        await bench.keeper.authorised(ACCOUNT, send)
