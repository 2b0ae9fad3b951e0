"""What the bank grants for a login or a refresh, as a `Session`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from connector.errors import UnavailableError
from connector.ports import Session
from connector.sources.zindigi.exact_json import is_json, parse_object
from connector.sources.zindigi.refusals import Answer
from connector.sources.zindigi.wire import Wire, understand

# Visible ASCII only: it goes into a header.
Token = Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[\x21-\x7e]+$")]
Seconds = Annotated[int, Field(gt=0, le=10 * 366 * 86_400)]


class Grant(Wire):
    """Both tokens and how long they live."""

    access_token: Token = Field(repr=False)
    refresh_token: Token = Field(repr=False)
    expires_in: Seconds
    refresh_expires_in: Seconds

    def session(self, *, account_id: str, generation: int, msisdn: str, device_id: str, asked_at: datetime) -> Session:
        """The session, its expiries counted from when it was asked for: never later than the bank's own."""
        return Session(
            account_id=account_id,
            generation=generation,
            msisdn=msisdn,
            device_id=device_id,
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            access_expires_at=asked_at + timedelta(seconds=self.expires_in),
            refresh_expires_at=asked_at + timedelta(seconds=self.refresh_expires_in),
        )


def read_grant(answer: Answer) -> Grant:
    """The grant in a 2xx answer.

    Raises:
        UnavailableError: the body broke off or is not JSON.
        DataError: a field is missing or of another type.
    """
    if not is_json(answer.body):
        raise UnavailableError("the answer with the tokens is not JSON, or broke off")
    return understand(Grant, parse_object(answer.body))
