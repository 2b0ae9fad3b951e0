"""What the bank grants for a login or a refresh, as a `Session`.

Both tokens are all that it takes: a rotated refresh token exists only once, and an odd field beside it is no reason to
send a holder to log in again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from connector.limits import (
    ASSUMED_ACCESS_SECONDS,
    MAXIMUM_ACCESS_SECONDS,
    MAXIMUM_REFRESH_SECONDS,
    MAXIMUM_TOKEN_CHARACTERS,
)
from connector.ports import Session
from connector.sources.zindigi.exact_json import parse_object, require_json
from connector.sources.zindigi.refusals import Answer
from connector.sources.zindigi.wire import Wire, understand, whole


def _access_seconds(value: object) -> int:
    seconds = _seconds(value, MAXIMUM_ACCESS_SECONDS)
    return ASSUMED_ACCESS_SECONDS if seconds is None else seconds


def _refresh_seconds(value: object) -> int | None:
    return _seconds(value, MAXIMUM_REFRESH_SECONDS)


def _seconds(value: object, maximum: int) -> int | None:
    """A life as it was stated; None where nothing can be made of it."""
    seconds = whole(value)
    return seconds if type(seconds) is int and 0 < seconds <= maximum else None


# Visible ASCII only: it goes into a header.
Token = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_TOKEN_CHARACTERS, pattern=r"^[\x21-\x7e]+$")]


class Grant(Wire):
    """Both tokens and how long they live, as far as it was stated: an access token of unknown life is renewed early."""

    access_token: Token = Field(repr=False)
    refresh_token: Token = Field(repr=False)
    expires_in: Annotated[int, BeforeValidator(_access_seconds)] = ASSUMED_ACCESS_SECONDS
    refresh_expires_in: Annotated[int | None, BeforeValidator(_refresh_seconds)] = None

    def session(self, *, account_id: str, generation: int, msisdn: str, device_id: str, asked_at: datetime) -> Session:
        """The session, its expiries counted from when it was asked for: never later than the bank's own."""
        life = self.refresh_expires_in
        return Session(
            account_id=account_id,
            generation=generation,
            msisdn=msisdn,
            device_id=device_id,
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            access_expires_at=asked_at + timedelta(seconds=self.expires_in),
            refresh_expires_at=None if life is None else asked_at + timedelta(seconds=life),
        )


def read_grant(answer: Answer) -> Grant:
    """The grant in a 2xx answer.

    Raises:
        UnavailableError: the body broke off or is not JSON.
        DataError: a token is missing, or is none that could be sent back.
    """
    require_json(answer.body, "the answer with the tokens")
    return understand(Grant, parse_object(answer.body))
