"""The authentication backend: sessions, one-time passwords, refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.replies import Refusal, Reply, bad_request
from connector.sandbox.sessions import LoginRequest, OtpStrike

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Json

_Body = TypeVar("_Body", bound=BaseModel)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _SessionRequest(_Request):
    msisdn: str = Field(pattern=r"^\+923[0-9]{9}$")
    device_id: str = Field(min_length=1, max_length=128)
    pin: str = Field(pattern=r"^[0-9]{4,6}$")
    otp: str | None = Field(default=None, pattern=r"^[0-9]{4,8}$")
    challenge_id: str | None = Field(default=None, min_length=1, max_length=128)


class _ResendRequest(_Request):
    challenge_id: str = Field(min_length=1, max_length=128)
    channel: Literal["SMS", "EMAIL"]


class _RefreshRequest(_Request):
    refresh_token: str = Field(min_length=1, max_length=8192)
    device_id: str = Field(min_length=1, max_length=128)


def parse_body(model: type[_Body], body: Json) -> _Body:
    """The request body as its model.

    Raises:
        Refusal: BAD_REQUEST, naming the first field that is wrong but never its value.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise bad_request(f"{field}: {first['msg']}") from None


def _log_in(bank: Bank, call: Call) -> Reply:
    request = parse_body(_SessionRequest, call.body)
    strike: OtpStrike | None = None
    if request.otp is not None:
        kinds: tuple[OtpStrike, ...] = ("otp_wrong", "otp_expired")
        strike = next((kind for kind in kinds if bank.faults.fire(kind, call.target)), None)
    return Reply(body=bank.desk.login(LoginRequest(**request.model_dump()), strike))


def _resend(bank: Bank, call: Call) -> Reply:
    request = parse_body(_ResendRequest, call.body)
    return Reply(body=bank.desk.resend(request.challenge_id, request.channel))


def _refresh(bank: Bank, call: Call) -> Reply:
    request = parse_body(_RefreshRequest, call.body)
    if call.msisdn is not None and bank.faults.fire("refresh_expired", call.target):
        bank.desk.expire_refresh(call.msisdn)
    if call.msisdn is not None and bank.faults.fire("refresh_reused", call.target):
        bank.desk.end_sessions(call.msisdn)
        raise Refusal(401, "REFRESH_REUSED", "This refresh token was used before; the session is ended.")
    return Reply(body=bank.desk.refresh(request.refresh_token, request.device_id))


def _log_out(bank: Bank, call: Call) -> Reply:
    bank.desk.authorise(call.access or "", call.device_id).ended = True
    return Reply(204)


def _text(body: Json, key: str) -> str | None:
    value = body.get(key) if isinstance(body, dict) else None
    return value if isinstance(value, str) else None


ENDPOINTS = (
    Endpoint(
        "POST",
        "/auth/session",
        "auth",
        _log_in,
        needs_session=False,
        identify=lambda _, call: _text(call.body, "msisdn"),
    ),
    Endpoint("DELETE", "/auth/session", "auth", _log_out),
    Endpoint(
        "POST",
        "/auth/otp/resend",
        "auth",
        _resend,
        needs_session=False,
        identify=lambda bank, call: bank.desk.holder_of(challenge=_text(call.body, "challenge_id")),
    ),
    Endpoint(
        "POST",
        "/auth/refresh",
        "auth",
        _refresh,
        needs_session=False,
        identify=lambda bank, call: bank.desk.holder_of(refresh=_text(call.body, "refresh_token")),
    ),
)
