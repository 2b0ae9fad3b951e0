from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import httpx
import pytest

from connector.domains.model import micros
from connector.errors import (
    ActionRequiredError,
    ConfigurationError,
    ConnectorError,
    DataError,
    RateLimitedError,
    RetryableError,
)
from connector.ports import PageRequest, Session
from connector.sources.zindigi.login import OtpRequest
from tests.support.scripted_bank import (
    ACCOUNT,
    MSISDN,
    OTP,
    PIN,
    Bench,
    assert_nothing_planted,
    refused,
    reply,
    resource,
)

pytestmark = pytest.mark.anyio

PATH = "/auth/session"
WANTED = refused(401, "OTP_REQUIRED", challenge_id="planted-challenge", channel="SMS", expires_in=120)
RESENT = reply(200, {"challenge_id": "planted-challenge-2", "channel": "EMAIL", "expires_in": 120})


class Holder:
    """Answers as a person would, and remembers what was asked."""

    def __init__(self) -> None:
        self.pins = 0
        self.requests: list[OtpRequest] = []

    async def pin(self) -> str:
        self.pins += 1
        return PIN

    async def otp(self, request: OtpRequest) -> str:
        self.requests.append(request)
        return f"{OTP}-{len(self.requests)}"


async def log_in(bench: Bench, holder: Holder) -> Session:
    return await bench.source.log_in(MSISDN, holder.pin, holder.otp)


def sent(bench: Bench) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in bench.bank.requests]


async def test_a_first_login_binds_the_device_with_an_otp() -> None:
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, bench.bank.grant())
    session = await log_in(bench, holder)
    first, second = sent(bench)
    assert first == {"msisdn": MSISDN, "device_id": session.device_id, "pin": PIN}
    assert second == {**first, "challenge_id": "planted-challenge", "otp": f"{OTP}-1"}
    assert holder.requests == [OtpRequest("SMS", 120)]
    assert bench.vault.sessions[ACCOUNT] == session
    assert session.generation == micros(bench.clock.now())
    assert "authorization" not in bench.bank.requests[0].headers
    assert bench.bank.requests[0].headers["x-app-version"] == "4.2.0"


async def test_a_known_device_is_kept_and_may_need_no_otp() -> None:
    bench, holder = Bench(), Holder()
    held = bench.hold_session(generation=2**60)
    bench.bank.add("POST", PATH, bench.bank.grant())
    session = await log_in(bench, holder)
    assert session.device_id == held.device_id
    assert session.generation == 2**60 + 1
    assert holder.requests == []


async def test_a_wrong_otp_is_asked_for_again_while_attempts_are_left() -> None:
    bench, holder = Bench(), Holder()
    invalid = [refused(401, "OTP_INVALID", attempts_left=left) for left in (2, 1)]
    bench.bank.add("POST", PATH, WANTED, *invalid, bench.bank.grant())
    await log_in(bench, holder)
    assert [request.attempts_left for request in holder.requests] == [None, 2, 1]
    assert [body.get("otp") for body in sent(bench)] == [None, f"{OTP}-1", f"{OTP}-2", f"{OTP}-3"]
    assert holder.pins == 1


@pytest.mark.parametrize("extras", [{"attempts_left": 0}, {}])
async def test_a_wrong_otp_without_attempts_left_ends_it(extras: dict[str, int]) -> None:
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, refused(401, "OTP_INVALID", **extras))
    with pytest.raises(ActionRequiredError) as caught:
        await log_in(bench, holder)
    assert caught.value.reason == "otp"
    assert ACCOUNT not in bench.vault.sessions


async def test_an_expired_otp_is_sent_again_once() -> None:
    bench, holder = Bench(), Holder()
    expired = refused(401, "OTP_EXPIRED")
    bench.bank.add("POST", PATH, WANTED, expired, bench.bank.grant())
    bench.bank.add("POST", "/auth/otp/resend", RESENT)
    await log_in(bench, holder)
    assert holder.requests == [OtpRequest("SMS", 120), OtpRequest("EMAIL", 120, renewed=True)]
    assert sent(bench)[2] == {"challenge_id": "planted-challenge", "channel": "SMS"}
    assert sent(bench)[3]["challenge_id"] == "planted-challenge-2"

    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, expired, expired)
    bench.bank.add("POST", "/auth/otp/resend", RESENT)
    with pytest.raises(ActionRequiredError):
        await log_in(bench, holder)
    assert bench.bank.count("/auth/otp/resend") == 1


async def test_a_challenge_that_died_with_its_otp_is_begun_again_once() -> None:
    bench, holder = Bench(), Holder()
    expired = refused(401, "OTP_EXPIRED")
    bench.bank.add("POST", PATH, WANTED, expired, WANTED, bench.bank.grant())
    bench.bank.add("POST", "/auth/otp/resend", expired)
    await log_in(bench, holder)
    assert holder.requests == [OtpRequest("SMS", 120), OtpRequest("SMS", 120, renewed=True)]
    assert "otp" not in sent(bench)[3]
    assert holder.pins == 1

    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, expired, WANTED, expired)
    bench.bank.add("POST", "/auth/otp/resend", expired)
    with pytest.raises(ActionRequiredError):
        await log_in(bench, holder)


async def test_a_resend_that_is_limited_is_told_with_its_wish() -> None:
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, refused(401, "OTP_EXPIRED"))
    bench.bank.add("POST", "/auth/otp/resend", reply(429, {"code": "OTP_RATE_LIMITED"}, Retry_After="45"))
    with pytest.raises(RateLimitedError) as caught:
        await log_in(bench, holder)
    assert caught.value.retry_after_seconds == 45


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refused(401, "PIN_INVALID", attempts_left=2), "pin"),
        (refused(423, "LOCKED", until="2026-03-01T05:00:00Z"), "locked"),
        (refused(403, "DEVICE_UNBOUND"), "device"),
        (refused(426, "APP_UPGRADE_REQUIRED", minimum="5.0.0"), "app_upgrade"),
    ],
)
async def test_a_refusal_is_told_and_the_pin_never_sent_twice(answer: httpx.Response, reason: str) -> None:
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, answer)
    with pytest.raises(ActionRequiredError) as caught:
        await log_in(bench, holder)
    assert caught.value.reason == reason
    assert len(bench.bank.requests) == 1
    assert_nothing_planted("".join(traceback.format_exception(caught.value)))


async def test_a_forgotten_device_is_bound_anew_once() -> None:
    bench, holder = Bench(), Holder()
    held = bench.hold_session()
    bench.bank.add("POST", PATH, refused(403, "DEVICE_UNBOUND"), WANTED, bench.bank.grant())
    session = await log_in(bench, holder)
    assert session.device_id != held.device_id
    assert holder.pins == 1
    assert [body["device_id"] for body in sent(bench)] == [held.device_id, session.device_id, session.device_id]


@pytest.mark.parametrize("msisdn", ["03000000001", "", "+92 300 0000001", "+0923000000001", "planted", "+" + "9" * 16])
async def test_a_number_of_another_form_is_refused_without_repeating_it(msisdn: str) -> None:
    bench, holder = Bench(), Holder()
    with pytest.raises(ConfigurationError) as caught:
        await bench.source.log_in(msisdn, holder.pin, holder.otp)
    assert not msisdn or msisdn not in str(caught.value)
    assert (holder.pins, bench.bank.requests) == (0, [])


@pytest.mark.parametrize(
    "extras",
    [
        {},
        {"challenge_id": 1, "channel": "SMS"},
        {"challenge_id": "c", "channel": "planted"},
        {"challenge_id": "\ud83d", "channel": "SMS"},
    ],
)
async def test_a_challenge_that_is_not_understood_is_told(extras: dict[str, Any]) -> None:
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, refused(401, "OTP_REQUIRED", **extras))
    with pytest.raises(DataError) as caught:
        await log_in(bench, holder)
    assert_nothing_planted(str(caught.value))


async def test_a_bank_that_keeps_asking_is_left() -> None:
    bench, holder = Bench(), Holder()
    bench.bank.always("POST", PATH, WANTED)
    with pytest.raises(ActionRequiredError, match="kept asking"):
        await log_in(bench, holder)
    assert len(bench.bank.requests) == 10


async def test_no_secret_of_a_login_stays_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench, holder = Bench(), Holder()
    bench.bank.add("POST", PATH, WANTED, httpx.Response(200, content=b'{"access_token": "planted'))
    with pytest.raises(ConnectorError) as caught:
        await log_in(bench, holder)
    assert_nothing_planted("".join(traceback.format_exception(caught.value)))
    bench.bank.add("POST", PATH, WANTED, bench.bank.grant())
    session = await log_in(bench, holder)
    assert_nothing_planted(repr(session))
    assert_nothing_planted(caplog.text)
    kept = f"{vars(bench.source._login)} {bench.keeper._accounts} {vars(bench.http)}"
    assert PIN not in kept
    assert OTP not in kept


async def test_a_login_wakes_a_silent_account() -> None:
    bench, holder = Bench(), Holder()
    bench.bank.always("GET", "/z-miles/summary", reply(200, {"member_id": "M", "balance": 0, "vouchers": []}))
    bench.hold_session(expires_in_seconds=0)
    bench.bank.add("POST", "/auth/refresh", refused(401, "REFRESH_EXPIRED"))
    with pytest.raises(ActionRequiredError):
        await bench.source.fetch_page(resource("vouchers"), PageRequest())
    bench.bank.add("POST", PATH, WANTED, bench.bank.grant())
    await log_in(bench, holder)
    bench.clock.jump(3)
    assert (await bench.source.fetch_page(resource("vouchers"), PageRequest())).body


async def test_whom_the_bank_does_not_let_in_leaves_no_trace() -> None:
    bench, holder = Bench(), Holder()
    bench.vault.known = False
    bench.bank.add("POST", PATH, refused(401, "PIN_INVALID", attempts_left=2))
    with pytest.raises(ActionRequiredError):
        await log_in(bench, holder)
    assert (bench.vault.made, bench.vault.sessions) == (0, {})
    bench.bank.add("POST", PATH, bench.bank.grant())
    await log_in(bench, holder)
    assert bench.vault.made == 1


@pytest.mark.parametrize("answer", [httpx.Response(204), refused(503, "UNAVAILABLE")])
async def test_a_granted_session_that_cannot_be_kept_is_ended(answer: httpx.Response) -> None:
    bench, holder = Bench(), Holder()
    bench.vault.store_trouble.append(RetryableError("disk full"))
    bench.bank.add("POST", PATH, bench.bank.grant())
    bench.bank.add("DELETE", PATH, answer)
    with pytest.raises(RetryableError, match="disk full"):
        await log_in(bench, holder)
    last = bench.bank.requests[-1]
    assert (last.method, last.headers["authorization"]) == ("DELETE", "Bearer planted-access-1")
    assert "x-device-id" in last.headers
