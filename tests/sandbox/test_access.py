"""Every rule of the front door: PIN, one-time passwords, devices, tokens, versions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connector.sandbox.app import app_of

pytestmark = pytest.mark.anyio
BASE = "/zindigi/v2"


async def test_a_new_device_needs_a_code_and_is_bound_by_it(visitor: Any) -> None:
    adult = visitor("adult")
    asked = await adult.ask_session()
    assert (asked.status_code, asked.json()["code"]) == (401, "OTP_REQUIRED")
    assert asked.json()["expires_in"] == 300
    await adult.log_in()
    assert adult.tokens["expires_in"] == 600
    assert (await adult.ask_session()).status_code == 200
    assert (await visitor("adult", "device-2").ask_session()).json()["code"] == "OTP_REQUIRED"


async def test_a_wrong_code_costs_an_attempt_and_three_spoil_the_challenge(visitor: Any, bank: Any) -> None:
    adult = visitor("adult")
    challenge = (await adult.ask_session()).json()["challenge_id"]
    right = bank.desk.messages[-1].otp
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for left in (2, 1, 0):
        answer = await adult.ask_session(otp=wrong, challenge_id=challenge)
        assert (answer.json()["code"], answer.json()["attempts_left"]) == ("OTP_INVALID", left)
    assert (await adult.ask_session(otp=right, challenge_id=challenge)).json()["code"] == "OTP_EXPIRED"


async def test_a_code_runs_out(visitor: Any, bank: Any, clock: Any) -> None:
    adult = visitor("adult")
    challenge = (await adult.ask_session()).json()["challenge_id"]
    clock.advance(301)
    answer = await adult.ask_session(otp=bank.desk.messages[-1].otp, challenge_id=challenge)
    assert (answer.status_code, answer.json()["code"]) == (401, "OTP_EXPIRED")


async def test_a_code_is_good_for_its_device_only(visitor: Any, bank: Any) -> None:
    challenge = (await visitor("adult").ask_session()).json()["challenge_id"]
    thief = visitor("adult", "device-2")
    answer = await thief.ask_session(otp=bank.desk.messages[-1].otp, challenge_id=challenge)
    assert answer.json()["code"] == "OTP_EXPIRED"


async def test_codes_are_sent_again_but_not_at_once(visitor: Any, http: Any, bank: Any, clock: Any) -> None:
    adult = visitor("adult")
    challenge = (await adult.ask_session()).json()["challenge_id"]

    async def resend(channel: str) -> Any:
        body = {"challenge_id": challenge, "channel": channel}
        return await http.post(f"{BASE}/auth/otp/resend", json=body, headers=adult.headers)

    early = await resend("EMAIL")
    assert (early.status_code, early.json()["code"]) == (429, "OTP_RATE_LIMITED")
    assert early.headers["retry-after"] == "31"
    clock.advance(31)
    sent = await resend("EMAIL")
    assert sent.json() == {"challenge_id": challenge, "channel": "EMAIL", "expires_in": 300}
    assert bank.desk.messages[-1].channel == "EMAIL"
    clock.advance(31)
    assert (await adult.ask_session(otp=bank.desk.messages[-1].otp, challenge_id=challenge)).status_code == 200
    assert (await resend("SMS")).json()["code"] == "OTP_EXPIRED"


async def test_a_holder_without_email_gets_none(visitor: Any, http: Any, clock: Any) -> None:
    basic = visitor("basic")
    challenge = (await basic.ask_session()).json()["challenge_id"]
    clock.advance(31)
    body = {"challenge_id": challenge, "channel": "EMAIL"}
    answer = await http.post(f"{BASE}/auth/otp/resend", json=body, headers=basic.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


async def test_three_wrong_pins_lock_everything_for_a_while(visitor: Any, clock: Any) -> None:
    adult = await visitor("adult").log_in()
    for left in (2, 1):
        answer = await adult.ask_session(pin="0000")
        assert (answer.json()["code"], answer.json()["attempts_left"]) == ("PIN_INVALID", left)
    locked = await adult.ask_session(pin="0000")
    assert (locked.status_code, locked.json()["code"]) == (423, "LOCKED")
    assert locked.json()["until"] == "2026-03-01T04:15:00Z"
    assert (await adult.ask_session()).status_code == 423
    assert (await adult.get("/me")).status_code == 423
    assert (await adult.refresh()).status_code == 423
    clock.advance(901)
    assert (await adult.ask_session()).status_code == 200


async def test_a_right_pin_clears_the_count(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    for _ in range(3):
        await adult.ask_session(pin="0000")
        await adult.ask_session(pin="0000")
        assert (await adult.ask_session()).status_code == 200


async def test_an_unknown_number_looks_like_a_wrong_pin(visitor: Any) -> None:
    answer = await visitor("adult").ask_session(msisdn="+923009999999")
    assert (answer.status_code, answer.json()["code"]) == (401, "PIN_INVALID")


async def test_a_token_runs_out_after_ten_real_minutes(visitor: Any, clock: Any) -> None:
    adult = await visitor("adult").log_in()
    clock.advance(599)
    assert (await adult.get("/me")).status_code == 200
    clock.advance(2)
    answer = await adult.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_EXPIRED")
    assert (await adult.refresh()).status_code == 200
    assert (await adult.get("/me")).status_code == 200


async def test_a_refresh_rotates_both_tokens_and_reuse_ends_the_session(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    first = dict(adult.tokens)
    assert (await adult.refresh()).status_code == 200
    assert {adult.tokens["access_token"], adult.tokens["refresh_token"]}.isdisjoint(map(str, first.values()))
    current = dict(adult.tokens)
    adult.tokens = first
    assert (await adult.get("/me")).json()["code"] == "TOKEN_EXPIRED"
    reused = await adult.refresh()
    assert (reused.status_code, reused.json()["code"]) == (401, "REFRESH_REUSED")
    adult.tokens = current
    assert (await adult.get("/me")).json()["code"] == "SESSION_ENDED"
    assert (await adult.refresh()).json()["code"] == "SESSION_ENDED"


async def test_a_refresh_token_runs_out(visitor: Any, clock: Any) -> None:
    adult = await visitor("adult").log_in()
    clock.advance(2_592_001)
    answer = await adult.refresh()
    assert (answer.status_code, answer.json()["code"]) == (401, "REFRESH_EXPIRED")


async def test_a_token_is_refused_from_another_device(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    adult.device = "device-2"
    answer = await adult.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (403, "DEVICE_UNBOUND")
    assert (await adult.refresh()).json()["code"] == "DEVICE_UNBOUND"


async def test_logging_in_again_ends_the_session_before(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    old = dict(adult.tokens)
    await adult.log_in()
    adult.tokens, new = old, adult.tokens
    assert (await adult.get("/me")).json()["code"] == "SESSION_ENDED"
    adult.tokens = new
    assert (await adult.get("/me")).status_code == 200


async def test_logging_out_ends_the_session(visitor: Any, http: Any) -> None:
    adult = await visitor("adult").log_in()
    gone = await http.delete(f"{BASE}/auth/session", headers=adult.headers)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await adult.get("/me")).json()["code"] == "SESSION_ENDED"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-App-Version": "3.9.9"}, 426, "APP_UPGRADE_REQUIRED"),
        ({"X-App-Version": "new"}, 400, "BAD_REQUEST"),
        ({"X-Device-Id": ""}, 400, "BAD_REQUEST"),
        ({"Authorization": ""}, 401, "SESSION_ENDED"),
        ({"Authorization": "Bearer nobody"}, 401, "SESSION_ENDED"),
        ({"Authorization": "Basic YTpi"}, 401, "SESSION_ENDED"),
    ],
)
async def test_headers_matter(visitor: Any, headers: dict[str, str], status: int, code: str) -> None:
    adult = await visitor("adult").log_in()
    answer = await adult.get("/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_under_18_is_refused_advance_cash(visitor: Any) -> None:
    teen = await visitor("teen").log_in()
    answer = await teen.inquire()
    assert (answer.status_code, answer.json()["code"]) == (403, "SURFACE_FORBIDDEN")


async def test_a_basic_account_is_not_eligible_in_the_cores_own_words(visitor: Any) -> None:
    basic = await visitor("basic").log_in()
    answer = await basic.inquire()
    assert (answer.status_code, answer.json()["RESPONSE_CODE"], answer.json()["DATA"]) == (200, "05", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"msisdn": "+923000000011"}',
        b'{"msisdn": 1, "device_id": "d", "pin": "2741"}',
        b"{}" * 9_000,
    ],
)
async def test_a_body_that_means_nothing_is_refused(http: Any, visitor: Any, body: bytes) -> None:
    answer = await http.post(f"{BASE}/auth/session", content=body, headers=visitor("adult").headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert "2741" not in answer.text


async def test_what_is_not_there_is_said_in_json(http: Any) -> None:
    missing = await http.get(f"{BASE}/no-such-surface")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    for method in ("PUT", "HEAD"):
        wrong = await http.request(method, f"{BASE}/me")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert (await http.get(f"{BASE}/auth/session")).headers["allow"].split(", ") in (
        ["DELETE", "POST"],
        ["POST", "DELETE"],
    )


async def test_another_holders_account_is_not_found(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    answer = await adult.get(f"/accounts/{visitor('teen').ibans[0]}/transactions")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_the_control_surface_is_for_this_machine_only(bank: Any) -> None:
    transport = httpx.ASGITransport(app_of(bank), client=("192.0.2.7", 4))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as stranger:
        assert (await stranger.get("/sandbox/holders")).status_code == 403
