"""Access rules: PIN, one-time passwords, bound devices, tokens that rotate. All in real time.

A device is bound by its first session with a one-time password. A refresh rotates both tokens; a refresh token that was
used before ends its session, because one of the two who hold it must be a thief.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from connector.sandbox.replies import Refusal, bad_request
from connector.sandbox.wire import utc_instant

if TYPE_CHECKING:
    from connector.sandbox.clock import Clock
    from connector.sandbox.scenario import FrontDoor, HolderSpec
    from connector.sandbox.wire import Json

Channel = Literal["SMS", "EMAIL"]
OtpStrike = Literal["otp_wrong", "otp_expired"]


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A login as it was asked for."""

    msisdn: str
    device_id: str
    pin: str
    otp: str | None = None
    challenge_id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A text that reached the holder's telephone or mailbox."""

    msisdn: str
    channel: Channel
    challenge_id: str
    otp: str
    sent_at: datetime


@dataclass(slots=True)
class Session:
    """A holder on a device; times are on the monotonic clock."""

    msisdn: str
    device_id: str
    access: str
    access_until: float
    refresh: str
    refresh_until: float
    ended: bool = False


@dataclass(slots=True)
class _Challenge:
    id: str
    msisdn: str
    device_id: str
    otp: str
    until: float
    attempts_left: int
    resend_after: float


@dataclass(slots=True)
class _Customer:
    spec: HolderSpec
    devices: set[str] = field(default_factory=set)
    wrong_pins: int = 0
    locked_until: float = 0.0


class FrontDesk:
    """Everyone's sessions, devices and attempts."""

    def __init__(self, holders: tuple[HolderSpec, ...], rules: FrontDoor, clock: Clock) -> None:
        self.messages: list[Message] = []
        self._rules = rules
        self._clock = clock
        self._customers = {spec.msisdn: _Customer(spec) for spec in holders}
        self._challenges: dict[str, _Challenge] = {}
        self._by_access: dict[str, Session] = {}
        self._by_refresh: dict[str, Session] = {}

    def login(self, request: LoginRequest, strike: OtpStrike | None = None) -> Json:
        """Tokens for a holder who proved who they are; `strike` makes the one-time password fail.

        Raises:
            Refusal: LOCKED, PIN_INVALID, OTP_REQUIRED, OTP_INVALID or OTP_EXPIRED.
        """
        customer = self._check_pin(request)
        if request.otp is not None:
            self._check_otp(request, strike)
            customer.devices.add(request.device_id)
        elif request.device_id not in customer.devices:
            raise self._challenge(customer, request.device_id)
        for session in self._by_access.values():
            if session.msisdn == request.msisdn and session.device_id == request.device_id:
                session.ended = True
        session = Session(request.msisdn, request.device_id, "", 0.0, "", 0.0)
        return self._issue_tokens(session)

    def resend(self, challenge_id: str, channel: Channel) -> Json:
        """Send a new one-time password for a challenge.

        Raises:
            Refusal: OTP_EXPIRED, OTP_RATE_LIMITED, or BAD_REQUEST for a channel that the holder does not have.
        """
        now = self._clock.monotonic()
        challenge = self._challenges.get(challenge_id)
        if challenge is None or challenge.until <= now or not challenge.attempts_left:
            raise Refusal(401, "OTP_EXPIRED", "The code is no longer valid. Please log in again.")
        if channel == "EMAIL" and self._customers[challenge.msisdn].spec.email is None:
            raise bad_request("There is no e-mail address on record.")
        if now < challenge.resend_after:
            wait = str(int(challenge.resend_after - now) + 1)
            headers = {"Retry-After": wait}
            raise Refusal(429, "OTP_RATE_LIMITED", "Please wait before asking for another code.", headers=headers)
        challenge.otp = _new_otp()
        challenge.until = now + self._rules.otp_seconds
        challenge.resend_after = now + self._rules.otp_resend_seconds
        return self._send(challenge, channel)

    def refresh(self, refresh_token: str, device_id: str) -> Json:
        """New tokens for old.

        Raises:
            Refusal: SESSION_ENDED, REFRESH_REUSED, DEVICE_UNBOUND, LOCKED or REFRESH_EXPIRED.
        """
        session = self._by_refresh.get(refresh_token)
        if session is None:
            raise _session_ended()
        if refresh_token != session.refresh:
            session.ended = True
            raise Refusal(401, "REFRESH_REUSED", "This refresh token was used before; the session is ended.")
        self._check_standing(session, device_id)
        if session.refresh_until <= self._clock.monotonic():
            raise Refusal(401, "REFRESH_EXPIRED", "The session has expired. Please log in again.")
        return self._issue_tokens(session)

    def authorise(self, access_token: str, device_id: str) -> Session:
        """The session of a data call.

        Raises:
            Refusal: SESSION_ENDED, DEVICE_UNBOUND, LOCKED or TOKEN_EXPIRED.
        """
        session = self._by_access.get(access_token)
        if session is None:
            raise _session_ended()
        self._check_standing(session, device_id)
        if access_token != session.access or session.access_until <= self._clock.monotonic():
            raise Refusal(401, "TOKEN_EXPIRED", "The access token has expired.")
        return session

    def holder_of(
        self, *, access: str | None = None, refresh: str | None = None, challenge: str | None = None
    ) -> str | None:
        """Whose token or challenge this is, valid or not."""
        if access is not None and access in self._by_access:
            return self._by_access[access].msisdn
        if refresh is not None and refresh in self._by_refresh:
            return self._by_refresh[refresh].msisdn
        if challenge is not None and challenge in self._challenges:
            return self._challenges[challenge].msisdn
        return None

    def live_holders(self) -> set[str]:
        """Holders with a session that can still be refreshed."""
        now = self._clock.monotonic()
        return {s.msisdn for s in self._by_refresh.values() if not s.ended and s.refresh_until > now}

    def end_sessions(self, msisdn: str) -> None:
        """Log the holder out everywhere."""
        for session in self._sessions(msisdn):
            session.ended = True

    def expire_access(self, msisdn: str) -> None:
        """Let the holder's access tokens run out now."""
        for session in self._sessions(msisdn):
            session.access_until = self._clock.monotonic()

    def expire_refresh(self, msisdn: str) -> None:
        """Let the holder's refresh tokens run out now."""
        for session in self._sessions(msisdn):
            session.refresh_until = self._clock.monotonic()

    def unbind_devices(self, msisdn: str) -> None:
        """Forget the holder's devices."""
        self._customers[msisdn].devices.clear()

    def lock(self, msisdn: str, seconds: float) -> None:
        """Lock the holder out for a while."""
        self._customers[msisdn].locked_until = self._clock.monotonic() + seconds

    def _sessions(self, msisdn: str) -> list[Session]:
        return [session for session in self._by_refresh.values() if session.msisdn == msisdn]

    def _check_pin(self, request: LoginRequest) -> _Customer:
        customer = self._customers.get(request.msisdn)
        if customer is None:
            raise Refusal(401, "PIN_INVALID", "The PIN is not right.", {"attempts_left": self._rules.pin_attempts - 1})
        self._check_lock(customer)
        if secrets.compare_digest(customer.spec.pin.encode(), request.pin.encode()):
            customer.wrong_pins = 0
            return customer
        customer.wrong_pins += 1
        if customer.wrong_pins >= self._rules.pin_attempts:
            customer.wrong_pins = 0
            self.lock(request.msisdn, self._rules.lock_seconds)
            self._check_lock(customer)
        left = self._rules.pin_attempts - customer.wrong_pins
        raise Refusal(401, "PIN_INVALID", "The PIN is not right.", {"attempts_left": left})

    def _check_lock(self, customer: _Customer) -> None:
        left = customer.locked_until - self._clock.monotonic()
        if left > 0:
            until = (self._clock.wall() + timedelta(seconds=left)).replace(microsecond=0)
            raise Refusal(423, "LOCKED", "The account is locked for now.", {"until": utc_instant(until)})

    def _check_standing(self, session: Session, device_id: str) -> None:
        if session.ended:
            raise _session_ended()
        customer = self._customers[session.msisdn]
        if device_id != session.device_id or device_id not in customer.devices:
            raise Refusal(403, "DEVICE_UNBOUND", "This device is not bound to the account.")
        self._check_lock(customer)

    def _check_otp(self, request: LoginRequest, strike: OtpStrike | None) -> None:
        challenge = self._challenges.get(request.challenge_id or "")
        asked_by = (request.msisdn, request.device_id)
        if (
            challenge is None
            or strike == "otp_expired"
            or (challenge.msisdn, challenge.device_id) != asked_by
            or challenge.until <= self._clock.monotonic()
            or not challenge.attempts_left
        ):
            self._challenges.pop(request.challenge_id or "", None)
            raise Refusal(401, "OTP_EXPIRED", "The code is no longer valid. Please log in again.")
        if strike == "otp_wrong" or not secrets.compare_digest(challenge.otp, request.otp or ""):
            challenge.attempts_left -= 1
            left = {"attempts_left": challenge.attempts_left}
            raise Refusal(401, "OTP_INVALID", "The code is not right.", left)
        del self._challenges[challenge.id]

    def _challenge(self, customer: _Customer, device_id: str) -> Refusal:
        now = self._clock.monotonic()
        challenge = _Challenge(
            id=secrets.token_urlsafe(12),
            msisdn=customer.spec.msisdn,
            device_id=device_id,
            otp=_new_otp(),
            until=now + self._rules.otp_seconds,
            attempts_left=self._rules.otp_attempts,
            resend_after=now + self._rules.otp_resend_seconds,
        )
        self._challenges[challenge.id] = challenge
        return Refusal(401, "OTP_REQUIRED", "A code was sent to you.", self._send(challenge, "SMS"))

    def _send(self, challenge: _Challenge, channel: Channel) -> dict[str, Json]:
        self.messages.append(Message(challenge.msisdn, channel, challenge.id, challenge.otp, self._clock.wall()))
        return {"challenge_id": challenge.id, "channel": channel, "expires_in": int(self._rules.otp_seconds)}

    def _issue_tokens(self, session: Session) -> Json:
        now = self._clock.monotonic()
        session.access = secrets.token_urlsafe(24)
        session.access_until = now + self._rules.token_seconds
        session.refresh = secrets.token_urlsafe(32)
        session.refresh_until = now + self._rules.refresh_seconds
        self._by_access[session.access] = session
        self._by_refresh[session.refresh] = session
        return {
            "access_token": session.access,
            "refresh_token": session.refresh,
            "expires_in": int(self._rules.token_seconds),
            "refresh_expires_in": int(self._rules.refresh_seconds),
        }


def _session_ended() -> Refusal:
    return Refusal(401, "SESSION_ENDED", "The session is over. Please log in again.")


def _new_otp() -> str:
    return f"{secrets.randbelow(1_000_000):06d}"
