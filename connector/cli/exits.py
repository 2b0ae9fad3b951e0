"""Exit codes of the command line, and which error ends in which (sysexits.h, where it has one)."""

from __future__ import annotations

from typing import Final

from connector.errors import (
    ActionRequiredError,
    ConfigurationError,
    ConnectorError,
    ConsentError,
    FencedError,
    JournalError,
    RetryableError,
)

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
TEMPORARY: Final = 75
FENCED: Final = 76
"""Another connector took over: whoever starts this one again takes the shards back, and so on for ever."""
HOLDER: Final = 77
CONFIGURATION: Final = 78
INTERRUPTED: Final = 130

EXPLAINED: Final = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 75 try again later; 76 another\n"
    "connector took over: do not restart; 77 the holder must act; 78 wrong\n"
    "configuration; 130 interrupted."
)


class UsageError(ConnectorError):
    """The command cannot be understood, or not like this."""


class DamagedError(ConnectorError):
    """What was looked at is not as it was written."""


class DeclinedError(ConnectorError):
    """The person at the keyboard said no, or left."""


_CODES: Final[tuple[tuple[type[ConnectorError], int], ...]] = (
    (UsageError, USAGE),
    (ActionRequiredError, HOLDER),
    (ConsentError, HOLDER),
    (ConfigurationError, CONFIGURATION),
    (FencedError, FENCED),
    (RetryableError, TEMPORARY),
    (JournalError, TEMPORARY),
)


def exit_code(error: ConnectorError) -> int:
    """The exit code that an error ends the process with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE)
