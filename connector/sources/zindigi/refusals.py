"""What a refusal of the bank means for the runtime: (status, code) to the error taxonomy, in one table.

The bank's own `message` is never repeated: it may name the holder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

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
from connector.sources.zindigi.exact_json import JsonObject, parse_object

_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500
_REQUEST_TIMEOUT: Final = 408
_TOO_EARLY: Final = 425
_TOO_MANY_REQUESTS: Final = 429
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_LOCKED: Final = 423
_UPGRADE_REQUIRED: Final = 426

_CODE_FIELDS: Final = ("code", "errorCode")
"""Where an error body has its code: at the front door and the bank ledger, and at the brokerage (`BRK-429`)."""
_CODE_FORM: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,39}")
_SECONDS_FORM: Final = re.compile(r"[0-9]{1,9}")
_INSTANT_FORM: Final = re.compile(r"[0-9T:.Z+-]{1,40}")
_VERSION_FORM: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")

_NEEDS_HOLDER: Final[dict[tuple[int, str], tuple[ActionReason, str]]] = {
    (401, "SESSION_ENDED"): ("otp", "the bank ended the session: a new login is needed"),
    (401, "REFRESH_EXPIRED"): ("otp", "the refresh token has expired: a new login is needed"),
    (401, "REFRESH_REUSED"): ("otp", "the refresh token had been used before and the session is ended: log in again"),
    (401, "OTP_REQUIRED"): ("otp", "the bank wants a one-time password"),
    (401, "OTP_INVALID"): ("otp", "the one-time password was wrong"),
    (401, "OTP_EXPIRED"): ("otp", "the one-time password has expired"),
    (401, "PIN_INVALID"): ("pin", "the PIN was wrong"),
    (403, "DEVICE_UNBOUND"): ("device", "the bank no longer knows this device: it must be bound again"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, whole. `retry_after_seconds`, `etag` and `served_at` (Date) are the headers' own, where read."""

    status: int
    body: bytes = field(repr=False)
    etag: str | None = field(default=None, repr=False)
    retry_after_seconds: float | None = None
    served_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        """2xx."""
        return self.status in _SUCCESS

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
    """The error that an answer other than 2xx and 304 means."""
    status, code = answer.status, answer.code
    described = f"HTTP {status} {code}" if code else f"HTTP {status}"
    if status == _TOO_MANY_REQUESTS:
        return RateLimitedError(
            f"the bank asks to slow down ({described})", retry_after_seconds=answer.retry_after_seconds
        )
    if status >= _SERVER_ERROR or status in {_REQUEST_TIMEOUT, _TOO_EARLY}:
        return UnavailableError(
            f"the bank cannot answer for the moment ({described})", retry_after_seconds=answer.retry_after_seconds
        )
    if (status, code) == (400, "CURSOR_INVALID"):
        return CursorError("the bank does not accept the cursor (any more)")
    return _refused_holder(answer, status, code) or DataError(f"the bank refused the call ({described})")


def _refused_holder(answer: Answer, status: int, code: str | None) -> ConnectorError | None:
    if code is not None and (status, code) in _NEEDS_HOLDER:
        return ActionRequiredError(*_NEEDS_HOLDER[status, code])
    if status == _UNAUTHORIZED:
        return TokenError("the access token is not accepted")
    if status == _LOCKED:
        until = _matching(answer.fields().get("until"), _INSTANT_FORM)
        return ActionRequiredError("locked", f"the login is locked until {until}" if until else "the login is locked")
    if status == _UPGRADE_REQUIRED:
        minimum = _matching(answer.fields().get("minimum"), _VERSION_FORM)
        wanted = f"version {minimum} or newer" if minimum else "a newer version"
        return ActionRequiredError("app_upgrade", f"the bank wants {wanted} of the app (setting: app_version)")
    if status == _FORBIDDEN:
        return ForbiddenError(f"the bank refuses this surface to this holder ({code or 'no code'})")
    return None


def _matching(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds from `now`: whole seconds or an HTTP date (RFC 9110, 10.2.3); None where it is neither.

    A date that has passed is 0.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and _SECONDS_FORM.fullmatch(text):
        return float(text)
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def http_date(header: str | None) -> datetime | None:
    """The UTC instant of an HTTP date (RFC 9110, 5.6.7); None where it is none."""
    if header is None:
        return None
    try:
        moment = parsedate_to_datetime(header.strip())
    except ValueError:
        return None
    # A date without a zone is in GMT, which is the only zone that an HTTP date has.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
