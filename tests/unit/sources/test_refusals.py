"""A refusal means what its code says, where the contract has that code; without one it is the network's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
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
from connector.limits import MAXIMUM_RETRY_AFTER_SECONDS
from connector.sources.zindigi.refusals import (
    Answer,
    Operation,
    http_date,
    operation_of,
    refusal,
    retry_after_seconds,
)

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
CONTRACT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "schemas" / "openapi" / "zindigi.yaml").read_text(encoding="utf-8")
)
OPERATIONS: tuple[Operation, ...] = ("login", "resend", "refresh", "read")

MEANINGS: dict[tuple[int, str], tuple[type[ConnectorError], str | None]] = {
    (401, "TOKEN_EXPIRED"): (TokenError, None),
    (401, "BRK-401"): (TokenError, None),
    (401, "SESSION_ENDED"): (ActionRequiredError, "otp"),
    (401, "REFRESH_EXPIRED"): (ActionRequiredError, "otp"),
    (401, "REFRESH_REUSED"): (ActionRequiredError, "otp"),
    (401, "OTP_REQUIRED"): (ActionRequiredError, "otp"),
    (401, "OTP_INVALID"): (ActionRequiredError, "otp"),
    (401, "OTP_EXPIRED"): (ActionRequiredError, "otp"),
    (401, "PIN_INVALID"): (ActionRequiredError, "pin"),
    (403, "DEVICE_UNBOUND"): (ActionRequiredError, "device"),
    (403, "SURFACE_FORBIDDEN"): (ForbiddenError, None),
    (403, "BRK-403"): (ForbiddenError, None),
    (423, "LOCKED"): (ActionRequiredError, "locked"),
    (426, "APP_UPGRADE_REQUIRED"): (ActionRequiredError, "app_upgrade"),
    (429, "RATE_LIMITED"): (RateLimitedError, None),
    (429, "OTP_RATE_LIMITED"): (RateLimitedError, None),
    (429, "BRK-429"): (RateLimitedError, None),
    (400, "CURSOR_INVALID"): (CursorError, None),
    (400, "BAD_REQUEST"): (DataError, None),
    (400, "BRK-400"): (DataError, None),
    (404, "NOT_FOUND"): (DataError, None),
    (404, "BRK-404"): (DataError, None),
    (500, "INTERNAL"): (UnavailableError, None),
    (502, "BAD_GATEWAY"): (UnavailableError, None),
    (503, "UNAVAILABLE"): (UnavailableError, None),
    (500, "BRK-500"): (UnavailableError, None),
    (502, "BRK-502"): (UnavailableError, None),
    (503, "BRK-503"): (UnavailableError, None),
}
"""Every code that the contract has, and what it means where the contract has it."""
CODES = sorted({code for _, code in MEANINGS})
DIALECTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "front door": lambda code: {"code": code, "message": "planted +923000000001"},
    "brokerage": lambda code: {"errorCode": code, "errorMessage": "planted +923000000001", "timestamp": 1772199900000},
}
STATUSES = (
    *range(200, 209), 226, *range(300, 309), *range(400, 419), *range(421, 427), 428, 429, 431, 451,
    *range(500, 509), 511, 520, 521, 522, 525, 530, 599,
)  # fmt: skip


def answer(status: int, body: Any, retry_after: float | None = None, operation: Operation = "read") -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, body=content, retry_after_seconds=retry_after, operation=operation)


def _resolved(node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        found: Any = CONTRACT
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def _codes(node: Any) -> Iterator[str]:
    node = _resolved(node)
    if isinstance(node, dict):
        for name, inner in node.items():
            if name in {"code", "errorCode"} and isinstance(inner, dict):
                yield from inner.get("enum", ())
            yield from _codes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _codes(inner)


def stated() -> set[tuple[Operation, int, str]]:
    """Every code of the contract, by the kind of call and the status that it stands under."""
    found: set[tuple[Operation, int, str]] = set()
    for path, operations in CONTRACT["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            for status, described in operation["responses"].items():
                content = _resolved(described).get("content", {})
                if int(status) >= 400:
                    kind = operation_of(method.upper(), path)
                    found |= {(kind, int(status), code) for code in _codes(content)}
    return found


STATED = stated()


def test_the_table_has_every_code_of_the_contract_and_no_other() -> None:
    assert {(status, code) for _, status, code in STATED} == set(MEANINGS)
    assert {kind for kind, _, _ in STATED} == set(OPERATIONS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("operation", "status", "code"), sorted(STATED))
def test_a_code_means_what_the_contract_says_in_every_dialect(
    operation: Operation, status: int, code: str, dialect: str
) -> None:
    refused = answer(status, DIALECTS[dialect](code), operation=operation)
    error = refusal(refused)
    kind, reason = MEANINGS[status, code]
    assert refused.code == code
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert "planted" not in str(error)
    assert "+92" not in str(error)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", STATUSES)
def test_whatever_the_contract_does_not_state_is_the_networks(status: int, operation: Operation) -> None:
    wanted = RateLimitedError if status == 429 else UnavailableError
    bodies: list[Any] = [
        b"<html>gateway</html>", b"", b"[1]", b"null", b'{"code": "LOCKED', b"\xff\xfe", {}, {"code": 7},
        {"code": None}, {"errorCode": "planted text"}, {"code": "SOMETHING_NEW"}, {"code": "x" * 5000},
    ]  # fmt: skip
    bodies += [DIALECTS["front door"](code) for code in CODES if (operation, status, code) not in STATED]
    for body in bodies:
        error = refusal(answer(status, body, 17.0, operation))
        assert type(error) is wanted, body
        assert isinstance(error, UnavailableError | RateLimitedError)
        assert error.retry_after_seconds == 17.0
        assert "planted" not in str(error)


def test_until_when_and_which_version_are_told() -> None:
    assert "2026-03-01T05:00:00Z" in str(refusal(answer(423, {"code": "LOCKED", "until": "2026-03-01T05:00:00Z"})))
    assert "4.3.0" in str(refusal(answer(426, {"code": "APP_UPGRADE_REQUIRED", "minimum": "4.3.0"})))
    assert "planted" not in str(refusal(answer(423, {"code": "LOCKED", "until": "planted"})))
    assert "planted" not in str(refusal(answer(426, {"code": "APP_UPGRADE_REQUIRED", "minimum": "planted"})))


CAP = float(MAXIMUM_RETRY_AFTER_SECONDS)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("000000000000120", 120.0),
        (" 7 ", 7.0),
        ("3600", CAP),
        ("3601", CAP),
        ("85092", CAP),
        ("999999999", CAP),
        ("9" * 400, CAP),
        ("9" * 5000, CAP),
        ("Sun, 01 Mar 2026 04:31:30 GMT", 90.0),
        ("Sun, 01 Mar 2026 04:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 09:31:30 +0500", 90.0),
        ("Sun, 01 Mar 2026 04:31:30", 90.0),
        ("Mon, 01 Mar 2027 04:31:30 GMT", CAP),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CAP),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("Sat, 01 Jan 0001 00:00:00 +1400", None),
        ("Sat, 01 Jan 0000 00:00:00 GMT", None),
        ("Sat, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("\u0661\u0662", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_more_than_the_cap(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@pytest.mark.parametrize(
    ("header", "instant"),
    [
        (None, None),
        ("Sun, 01 Mar 2026 04:30:00 GMT", NOW),
        ("Sunday, 01-Mar-26 04:30:00 GMT", NOW),
        ("Sun Mar  1 04:30:00 2026", NOW),
        ("Sun, 01 Mar 2026 09:30:00 +0500", NOW),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("Sat, 01 Jan 2000 00:00:00 GMT", datetime(2000, 1, 1, tzinfo=UTC)),
        ("Fri, 01 Jan 2100 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("Sat, 01 Jan 0000 00:00:00 GMT", None),
        ("Sat, 01 Jan 0001 00:00:00 +2359", None),
        ("Sun, 01 Mar 2026 04:30:00 +9999999999999999", None),
        ("Sun, 32 Mar 2026 25:61:61 GMT", None),
        ("x" * 100_000, None),
    ],
)
def test_a_date_is_one_that_a_clock_can_show(header: str | None, instant: datetime | None) -> None:
    assert http_date(header) == instant


@given(st.text())
def test_no_header_can_break_us(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or 0 <= seconds <= CAP
    http_date(header)


@given(
    st.sampled_from(("Sat, ", "")),
    st.integers(-5, 400).map(str) | st.just("01"),
    st.sampled_from(("Jan", "Feb", "Dec", "Foo")),
    st.integers(-1, 10**25).map(str),
    st.integers(-1, 30),
    st.sampled_from(("GMT", "-0000", "+1400", "-1400", "+2400", "-9999", "+999999999999", "EST", "")),
)
def test_nothing_that_looks_like_a_date_can_break_us(
    week: str, day: str, month: str, year: str, hour: int, zone: str
) -> None:
    text = f"{week}{day} {month} {year} {hour:02}:00:00 {zone}"
    instant = http_date(text)
    assert instant is None or instant.utcoffset() == timedelta()
    seconds = retry_after_seconds(text, NOW)
    assert seconds is None or 0 <= seconds <= CAP
