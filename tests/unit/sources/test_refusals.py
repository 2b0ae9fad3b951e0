from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import (
    ActionRequiredError,
    ConnectorError,
    CursorError,
    DataError,
    ForbiddenError,
    RateLimitedError,
    TokenError,
    UnavailableError,
)
from connector.sources.zindigi.refusals import Answer, refusal, retry_after_seconds

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


def answer(status: int, body: Any, retry_after: float | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, body=content, retry_after_seconds=retry_after)


CASES: list[tuple[int, str, type[ConnectorError], str | None]] = [
    (401, "TOKEN_EXPIRED", TokenError, None),
    (401, "SESSION_ENDED", ActionRequiredError, "otp"),
    (401, "REFRESH_EXPIRED", ActionRequiredError, "otp"),
    (401, "REFRESH_REUSED", ActionRequiredError, "otp"),
    (401, "OTP_REQUIRED", ActionRequiredError, "otp"),
    (401, "OTP_INVALID", ActionRequiredError, "otp"),
    (401, "OTP_EXPIRED", ActionRequiredError, "otp"),
    (401, "PIN_INVALID", ActionRequiredError, "pin"),
    (401, "SOMETHING_NEW", TokenError, None),
    (403, "DEVICE_UNBOUND", ActionRequiredError, "device"),
    (403, "SURFACE_FORBIDDEN", ForbiddenError, None),
    (403, "SOMETHING_NEW", ForbiddenError, None),
    (423, "LOCKED", ActionRequiredError, "locked"),
    (426, "APP_UPGRADE_REQUIRED", ActionRequiredError, "app_upgrade"),
    (429, "RATE_LIMITED", RateLimitedError, None),
    (429, "OTP_RATE_LIMITED", RateLimitedError, None),
    (400, "CURSOR_INVALID", CursorError, None),
    (400, "BAD_REQUEST", DataError, None),
    (404, "NOT_FOUND", DataError, None),
    (302, "MOVED", DataError, None),
    (418, "SOMETHING_NEW", DataError, None),
    (408, "TIMEOUT", UnavailableError, None),
    (500, "INTERNAL", UnavailableError, None),
    (502, "BAD_GATEWAY", UnavailableError, None),
    (503, "UNAVAILABLE", UnavailableError, None),
    (504, "SOMETHING_NEW", UnavailableError, None),
    (400, "BRK-400", DataError, None),
    (401, "BRK-401", TokenError, None),
    (403, "BRK-403", ForbiddenError, None),
    (404, "BRK-404", DataError, None),
    (429, "BRK-429", RateLimitedError, None),
    (503, "BRK-503", UnavailableError, None),
]
DIALECTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "front door": lambda code: {"code": code, "message": "planted +923000000001"},
    "brokerage": lambda code: {"errorCode": code, "errorMessage": "planted +923000000001", "timestamp": 1772199900000},
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("status", "code", "kind", "reason"), CASES)
def test_every_refusal_has_one_meaning_in_every_dialect(
    status: int, code: str, kind: type[ConnectorError], reason: str | None, dialect: str
) -> None:
    refused = answer(status, DIALECTS[dialect](code))
    error = refusal(refused)
    assert refused.code == code
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert "planted" not in str(error)
    assert "+92" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, TokenError),
        (403, ForbiddenError),
        (423, ActionRequiredError),
        (429, RateLimitedError),
        (503, UnavailableError),
        (400, DataError),
    ],
)
@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"", b"[1]", {"code": 7}, {"errorCode": "planted text"}])
def test_a_body_without_a_code_falls_back_to_the_status(status: int, kind: type[ConnectorError], body: Any) -> None:
    error = refusal(answer(status, body))
    assert type(error) is kind
    assert "planted" not in str(error)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitedError), (503, UnavailableError)])
def test_the_wish_of_the_bank_is_passed_on(status: int, kind: type[ConnectorError]) -> None:
    error = refusal(answer(status, {}, retry_after=17.0))
    assert isinstance(error, kind)
    assert getattr(error, "retry_after_seconds", None) == 17.0


def test_until_when_and_which_version_are_told() -> None:
    assert "2026-03-01T05:00:00Z" in str(refusal(answer(423, {"code": "LOCKED", "until": "2026-03-01T05:00:00Z"})))
    assert "4.3.0" in str(refusal(answer(426, {"code": "APP_UPGRADE_REQUIRED", "minimum": "4.3.0"})))
    assert "planted" not in str(refusal(answer(423, {"code": "LOCKED", "until": "planted"})))
    assert "planted" not in str(refusal(answer(426, {"code": "APP_UPGRADE_REQUIRED", "minimum": "planted"})))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Sun, 01 Mar 2026 04:31:30 GMT", 90.0),
        ("Sun, 01 Mar 2026 04:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 09:31:30 +0500", 90.0),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("9" * 40, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_can_break_us(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or seconds >= 0
