"""What a refusal of the bank means for the runtime: (status, code) to the error taxonomy, in one table.

A status is not its meaning. A firewall, a proxy and a page of maintenance answer with any status that they like; only
a code that the contract lists for a status, and for the kind of call, says that the bank itself has answered. Without
one an answer is the network's: away, tried again, and never the holder's matter.

The bank's own `message` is never repeated: it may name the holder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, Literal

from connector.errors import (
    ActionReason,
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
from connector.sources.zindigi.exact_json import JsonObject, parse_object

_OK: Final = 200
_SUCCESS: Final = range(200, 300)
_TOO_MANY_REQUESTS: Final = 429

_CODE_FIELDS: Final = ("code", "errorCode")
"""Where an error body has its code: at the front door and the bank ledger, and at the brokerage (`BRK-429`)."""
_CODE_FORM: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,39}")
_SECONDS_FORM: Final = re.compile(r"[0-9]+")
_INSTANT_FORM: Final = re.compile(r"[0-9T:.Z+-]{1,40}")
_VERSION_FORM: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")
_DATE_CHARACTERS: Final = 64
_EARLY_YEAR_FORM: Final = re.compile(r"(?<![0-9+:-])0[0-9]{3}(?![0-9])")
"""A year before 1000, which `email` would take for one of two digits."""
_CALENDAR: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
"""The instants that a bank's clock can show."""

Operation = Literal["login", "resend", "refresh", "read"]
"""Kinds of call, by what they may be answered. Ending a session is refused as a read is."""
_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/auth/session"): "login",
    ("POST", "/auth/otp/resend"): "resend",
    ("POST", "/auth/refresh"): "refresh",
}

_OTP_EXPIRED: Final = ("otp", "the one-time password has expired")
_SESSION_ENDED: Final = ("otp", "the bank ended the session: a new login is needed")
_NEEDS_HOLDER: Final[dict[Operation, dict[tuple[int, str], tuple[ActionReason, str]]]] = {
    "login": {
        (401, "OTP_REQUIRED"): ("otp", "the bank wants a one-time password"),
        (401, "OTP_INVALID"): ("otp", "the one-time password was wrong"),
        (401, "OTP_EXPIRED"): _OTP_EXPIRED,
        (401, "PIN_INVALID"): ("pin", "the PIN was wrong"),
    },
    "resend": {(401, "OTP_EXPIRED"): _OTP_EXPIRED},
    "refresh": {
        (401, "SESSION_ENDED"): _SESSION_ENDED,
        (401, "REFRESH_EXPIRED"): ("otp", "the refresh token has expired: a new login is needed"),
        (401, "REFRESH_REUSED"): (
            "otp",
            "the refresh token had been used before and the session is ended: log in again",
        ),
    },
    "read": {(401, "SESSION_ENDED"): _SESSION_ENDED},
}
_DEVICE_UNBOUND: Final[tuple[ActionReason, str]] = (
    "device",
    "the bank no longer knows this device: it must be bound again",
)
_TOKEN_REFUSED: Final = frozenset({(401, "TOKEN_EXPIRED"), (401, "BRK-401")})
_FORBIDDEN: Final = frozenset({(403, "SURFACE_FORBIDDEN"), (403, "BRK-403")})
_BAD_REQUEST: Final = (400, "BAD_REQUEST")
_READ_NOT_UNDERSTOOD: Final = frozenset({(400, "BRK-400"), (404, "NOT_FOUND"), (404, "BRK-404")})


def operation_of(method: str, path: str) -> Operation:
    """What kind of call it is."""
    return _OPERATIONS.get((method, path), "read")


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, whole. `retry_after_seconds`, `etag` and `served_at` (Date) are the headers' own, where read.

    `for_people`: its media type is that of a web page, which no answer of the contract has.
    """

    status: int
    body: bytes = field(repr=False)
    etag: str | None = field(default=None, repr=False)
    retry_after_seconds: float | None = None
    served_at: datetime | None = None
    operation: Operation = "read"
    for_people: bool = False

    @property
    def succeeded(self) -> bool:
        """2xx: enough for a call that does something, and whose body or absence of one is looked at."""
        return self.status in _SUCCESS

    @property
    def shows(self) -> bool:
        """200: the only status that is proof of what is there.

        A proxy changed what has 203, 206 is a part, and 204 and 205 are nothing at all (RFC 9110, 15.3).
        """
        return self.status == _OK

    def fields(self) -> JsonObject:
        """The body's fields; empty where the body is no JSON object."""
        try:
            return parse_object(self.body)
        except DataError:
            return {}

    @property
    def code(self) -> str | None:
        """The bank's error code, if the body has one of the form of a code, in the dialect of whichever backend."""
        fields = self.fields()
        stated = (fields.get(name) for name in _CODE_FIELDS)
        return next((code for code in stated if isinstance(code, str) and _CODE_FORM.fullmatch(code)), None)


def refusal(answer: Answer) -> ConnectorError:
    """The error that an answer means which is not what was asked for."""
    status, code = answer.status, answer.code
    described = f"HTTP {status} {code}" if code else f"HTTP {status}"
    if status == _TOO_MANY_REQUESTS:
        # Whoever says it, bank or proxy, it is about the pace and nothing else (RFC 6585, 4).
        return RateLimitedError(
            f"the bank asks to slow down ({described})", retry_after_seconds=answer.retry_after_seconds
        )
    stated = None if code is None else _stated(answer, code, described)
    return stated or UnavailableError(
        f"the bank cannot answer for the moment ({described})", retry_after_seconds=answer.retry_after_seconds
    )


def _stated(answer: Answer, code: str, described: str) -> ConnectorError | None:
    """What a code of the contract means; None where the contract has no such code there, or it means away."""
    place = (answer.status, code)
    if place in _NEEDS_HOLDER[answer.operation]:
        return ActionRequiredError(*_NEEDS_HOLDER[answer.operation][place])
    if place == (403, "DEVICE_UNBOUND"):
        return ActionRequiredError(*_DEVICE_UNBOUND)
    if place == (423, "LOCKED"):
        until = _matching(answer.fields().get("until"), _INSTANT_FORM)
        return ActionRequiredError("locked", f"the login is locked until {until}" if until else "the login is locked")
    if place == (426, "APP_UPGRADE_REQUIRED"):
        minimum = _matching(answer.fields().get("minimum"), _VERSION_FORM)
        wanted = f"version {minimum} or newer" if minimum else "a newer version"
        return ActionRequiredError("app_upgrade", f"the bank wants {wanted} of the app (setting: app_version)")
    if place == _BAD_REQUEST:
        return DataError(f"the bank refused the call ({described})")
    return _read_refused(place, described) if answer.operation == "read" else None


def _read_refused(place: tuple[int, str], described: str) -> ConnectorError | None:
    if place in _TOKEN_REFUSED:
        return TokenError("the access token is not accepted")
    if place in _FORBIDDEN:
        return ForbiddenError(f"the bank refuses this surface to this holder ({described})")
    if place == (400, "CURSOR_INVALID"):
        return CursorError("the bank does not accept the cursor (any more)")
    return DataError(f"the bank refused the call ({described})") if place in _READ_NOT_UNDERSTOOD else None


def _matching(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds from `now`: whole seconds or an HTTP date (RFC 9110, 10.2.3); None where it is neither.

    A date that has passed is 0; nobody waits longer than `MAXIMUM_RETRY_AFTER_SECONDS` without asking again.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and _SECONDS_FORM.fullmatch(text):
        digits = text.lstrip("0")
        if len(digits) > len(str(MAXIMUM_RETRY_AFTER_SECONDS)):
            return float(MAXIMUM_RETRY_AFTER_SECONDS)
        return float(min(int(digits or "0"), MAXIMUM_RETRY_AFTER_SECONDS))
    moment = _instant(text)
    if moment is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), float(MAXIMUM_RETRY_AFTER_SECONDS))


@lru_cache(maxsize=16)
def http_date(header: str | None) -> datetime | None:
    """The UTC instant of an HTTP date (RFC 9110, 5.6.7); None where it is none, or of no year that a clock shows."""
    moment = None if header is None else _instant(header.strip())
    return moment if moment is not None and _CALENDAR[0] <= moment < _CALENDAR[1] else None


def _instant(text: str) -> datetime | None:
    """The instant of a date in a header, whatever stands there: what follows a grant must not lose it."""
    if len(text) > _DATE_CHARACTERS or _EARLY_YEAR_FORM.search(text):
        return None
    try:
        moment = parsedate_to_datetime(text)
        # A date without a zone is in GMT, which is the only zone that an HTTP date has.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
