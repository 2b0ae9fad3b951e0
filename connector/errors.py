"""What went wrong, grouped by what the runtime does about it.

    ConnectorError
    ├── RetryableError         back off with jitter and try again; honours Retry-After
    │   ├── RateLimitedError       the backend said 429: not an outage and not "no data"
    │   └── UnavailableError       connection, time-out, 5xx, a body that broke off
    ├── AuthorizationError     the link waits
    │   ├── TokenError             the access token is not accepted: one refresh, one retry
    │   └── ActionRequiredError    only the holder can mend it: OTP, PIN, device, lock, upgrade
    │       └── HolderMismatchError    the data is somebody else's: the account is halted
    ├── ConsentError           the gate is shut: stop reading, commit nothing
    ├── DataError              the bank said something we cannot understand: quarantine, never drop
    │   └── CursorError            a cursor was repeated or refused: restart the read from the top
    ├── ForbiddenError         the bank refuses this surface to this holder
    ├── ConfigurationError     refuse to start, and say where every value was looked for
    └── JournalError           the outcome of a commit is unknown: drop the shard, restore
        └── FencedError            another owner has taken over: drop the shard

No message carries a PIN, an OTP, a token or personal data.
"""

from __future__ import annotations

from typing import Literal

ActionReason = Literal["otp", "pin", "device", "locked", "terms", "app_upgrade", "holder_mismatch"]


class ConnectorError(Exception):
    """Base of everything this package raises on purpose."""


class RetryableError(ConnectorError):
    """Trouble that passes. `retry_after_seconds` is the backend's own wish, where it stated one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimitedError(RetryableError):
    """The backend asked us to slow down (HTTP 429)."""


class UnavailableError(RetryableError):
    """The backend could not be reached, timed out, answered 5xx or broke off in mid-body."""


class AuthorizationError(ConnectorError):
    """The session is not good enough for the call."""


class TokenError(AuthorizationError):
    """The access token was refused; a refresh may help."""


class ActionRequiredError(AuthorizationError):
    """Only the account holder can go on from here."""

    def __init__(self, reason: ActionReason, message: str) -> None:
        super().__init__(message)
        self.reason: ActionReason = reason


class HolderMismatchError(ActionRequiredError):
    """The session shows another holder than the one who was linked. Nothing of it may be told."""

    def __init__(self, message: str) -> None:
        super().__init__("holder_mismatch", message)


class ConsentError(ConnectorError):
    """The consent gate is shut for this account, domain and moment."""


class DataError(ConnectorError):
    """An answer, or one entry of it, that cannot be understood."""


class CursorError(DataError):
    """A paging cursor was repeated or refused: the feed moved under the read."""


class ForbiddenError(ConnectorError):
    """The bank refuses this surface to this holder, and a new token would not change it."""


class ConfigurationError(ConnectorError):
    """A setting is wrong or missing; the process must not start."""


class JournalError(ConnectorError):
    """A commit failed or its outcome is unknown; memory must be restored from the journal."""


class FencedError(JournalError):
    """Another owner holds this shard now."""
