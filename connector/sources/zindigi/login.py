"""The login that only a person can make: PIN, one-time password, device binding.

Only command lines use it. PIN and OTP live in locals of these functions, go to the bank and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio

from connector.domains.model import micros
from connector.errors import ActionRequiredError, ConfigurationError, ConnectorError, DataError
from connector.ports import Clock, Session, Vault
from connector.sources.zindigi.grant import Grant, read_grant
from connector.sources.zindigi.http import BankHttp, Credentials
from connector.sources.zindigi.refusals import Answer, refusal
from connector.sources.zindigi.surface import Call
from connector.sources.zindigi.wire import identifier_of, whole

_E164_FORM: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_CHANNEL_FORM: Final = re.compile(r"[A-Z_]{1,16}")
_ROUNDS_LIMIT: Final = 10
_DEVICE_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class OtpRequest:
    """Why a one-time password is wanted.

    `channel` is SMS or EMAIL; `attempts_left` is given after a wrong one; `renewed` says that the one before expired.
    """

    channel: str
    expires_in_seconds: int | None
    attempts_left: int | None = None
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class _Challenge:
    challenge_id: str
    request: OtpRequest


AskPin = Callable[[], Awaitable[str]]
AskOtp = Callable[[OtpRequest], Awaitable[str]]


class Login:
    """Logs a holder in and leaves the session in the vault."""

    def __init__(self, bank: BankHttp, vault: Vault, clock: Clock) -> None:
        self._bank = bank
        self._vault = vault
        self._clock = clock

    async def log_in(self, msisdn: str, ask_pin: AskPin, ask_otp: AskOtp) -> Session:
        """The stored session of the holder of `msisdn` (E.164), asking for what the bank wants.

        A wrong OTP is asked for again while the bank leaves attempts; an expired one is renewed once. A wrong PIN is
        never tried twice. A device that the bank forgot is bound anew once.

        Raises:
            ConfigurationError: `msisdn` is not E.164.
            ActionRequiredError: the bank refused: pin, otp, locked, device, app_upgrade.
            RetryableError: the bank or the vault is away.
            DataError: the bank's answer was not understood.

        A session that was granted and could not be kept is ended again.
        """
        if not _E164_FORM.fullmatch(msisdn):
            raise ConfigurationError("the mobile number must be in E.164 form: + and 8 to 15 digits")
        known = await self._vault.find_account(msisdn)
        stored = await self._vault.load_session(known) if known is not None else None
        pin = await ask_pin()
        device_id = stored.device_id if stored else _new_device_id()
        try:
            grant, asked_at = await self._authenticate(msisdn, device_id, pin, ask_otp)
        except ActionRequiredError as error:
            if error.reason != "device" or stored is None:
                raise
            device_id = _new_device_id()
            grant, asked_at = await self._authenticate(msisdn, device_id, pin, ask_otp)
        try:
            # Whom the bank does not let in leaves no trace here.
            session = grant.session(
                account_id=await self._vault.account_for(msisdn),
                generation=self._generation(stored),
                msisdn=msisdn,
                device_id=device_id,
                asked_at=asked_at,
            )
            await self._vault.store_session(session)
        except BaseException:
            await self._undo(grant, device_id)
            raise
        return session

    async def _undo(self, grant: Grant, device_id: str) -> None:
        """End the session that the bank has just granted and nobody will know of, as far as it will go."""
        credentials = Credentials(access_token=grant.access_token, device_id=device_id)
        with anyio.CancelScope(shield=True), contextlib.suppress(ConnectorError):
            await self._bank.exchange(Call("DELETE", "/auth/session"), credentials)

    def _generation(self, stored: Session | None) -> int:
        """Above every generation that refreshes could have reached, also of a session deleted since."""
        return max(micros(self._clock.now()), stored.generation + 1 if stored else 1)

    async def _authenticate(self, msisdn: str, device_id: str, pin: str, ask_otp: AskOtp) -> tuple[Grant, datetime]:
        challenge: _Challenge | None = None
        answered: dict[str, str] = {}
        renewed = False
        for _ in range(_ROUNDS_LIMIT):
            asked_at = self._clock.now()
            payload = {"msisdn": msisdn, "device_id": device_id, "pin": pin, **answered}
            answer = await self._bank.exchange(Call("POST", "/auth/session", payload=payload))
            if answer.succeeded:
                return read_grant(answer), asked_at
            code = (answer.status, answer.code)
            if code == (401, "OTP_REQUIRED"):
                challenge = _challenge(answer, renewed=renewed)
            elif code == (401, "OTP_INVALID") and challenge is not None and _attempts_left(answer):
                request = OtpRequest(
                    challenge.request.channel, challenge.request.expires_in_seconds, _attempts_left(answer)
                )
                challenge = _Challenge(challenge.challenge_id, request)
            elif code == (401, "OTP_EXPIRED") and challenge is not None and not renewed:
                challenge, renewed = await self._resend(challenge), True
                if challenge is None:
                    # The challenge died with its password: begin again, for a new one.
                    answered = {}
                    continue
            elif code == (401, "PIN_INVALID"):
                raise ActionRequiredError("pin", _wrong_pin(answer))
            else:
                raise refusal(answer)
            answered = {"challenge_id": challenge.challenge_id, "otp": await ask_otp(challenge.request)}
        raise ActionRequiredError("otp", "the bank kept asking for one-time passwords")

    async def _resend(self, challenge: _Challenge) -> _Challenge | None:
        """The challenge with a new password on its way; None where the challenge itself is over."""
        payload = {"challenge_id": challenge.challenge_id, "channel": challenge.request.channel}
        answer = await self._bank.exchange(Call("POST", "/auth/otp/resend", payload=payload))
        if answer.succeeded:
            return _challenge(answer, renewed=True)
        if (answer.status, answer.code) == (401, "OTP_EXPIRED"):
            return None
        raise refusal(answer)


def _challenge(answer: Answer, *, renewed: bool) -> _Challenge:
    fields = answer.fields()
    challenge_id, channel = identifier_of(fields, "challenge_id"), fields.get("channel")
    if challenge_id is None:
        raise DataError("challenge_id: missing, or none that could be sent back")
    if not isinstance(channel, str) or not _CHANNEL_FORM.fullmatch(channel):
        raise DataError("channel: missing, or not the name of a channel")
    return _Challenge(challenge_id, OtpRequest(channel, _whole(fields.get("expires_in")), renewed=renewed))


def _attempts_left(answer: Answer) -> int | None:
    return _whole(answer.fields().get("attempts_left"))


def _wrong_pin(answer: Answer) -> str:
    left = _attempts_left(answer)
    return "the PIN was wrong" if left is None else f"the PIN was wrong; attempts left: {left}"


def _whole(value: object) -> int | None:
    number = whole(value)
    return number if type(number) is int and number >= 0 else None


def _new_device_id() -> str:
    return secrets.token_hex(_DEVICE_ID_BYTES)
