"""Logs on standard error: structured, from an allow-list of fields, and never a value of a record.

An event name is a fixed text; everything that varies is a field, and a field that is not on the list is dropped and
counted. Of an exception only our own text is said, which carries no personal data by the rule of `connector.errors`;
of any other only its type and place. Libraries say their message's template, without what was filled in.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from connector.errors import ConnectorError
from connector.log_output import LogOutput
from connector.settings import LogSettings

FIELDS: Final = frozenset(
    {
        # Set by this module.
        "event", "level", "timestamp", "module", "error", "problem", "where", "dropped_fields", "suppressed_count",
        # What it is about. `account_id` and `resource` are opaque by design; `topic`, `domain`, `backend`, `route` are
        # names of ours; `key` is none of them on purpose: keys of state hold hashes only, but nobody needs them here.
        "account_id", "shard", "domain", "resource", "topic", "backend", "surface", "route", "depth",
        "command", "command_id",
        # What happened.
        "action", "kind", "next_step", "reason", "status", "state", "generation", "commit_number", "pid", "port",
        "version", "path", "epoch", "parent_epoch",
        # Where it works: names from the settings.
        "bank", "journal",
        # How much and how long, units last.
        "count", "accounts_count", "behind_count", "bytes_count", "commands_count", "committed_count", "commits_count",
        "entries_count", "events_count",
        "failures_count", "links_count", "pages_count", "polls_count", "quarantined_count", "records_count",
        "resources_count", "unchanged_count", "retries_count", "set_aside_count",
        "shards_count", "streams_count", "unknown_fields_count",
        "asked_seconds", "delay_seconds", "duration_seconds", "interval_seconds", "lag_seconds", "retry_after_seconds",
        "bank_ahead_seconds", "reading",
    }
)  # fmt: skip
"""Every field that a log line may have."""

LIBRARY_LEVEL: Final = logging.WARNING
"""Libraries speak from here on, whatever our own level: their INFO lines hold whole addresses, and those hold IBANs."""

LIBRARY_INTERVAL_SECONDS: Final = 60.0
"""For how long a library is not heard again with the same words."""

_PLACEHOLDER: Final = re.compile(r"%(\(\w+\))?[-#0 +]*[\d.]*[a-zA-Z]")

dropped_fields: Counter[str] = Counter()
"""How often a field that is not on the list was dropped, by name."""


def configure_logging(settings: LogSettings, stream: TextIO | None = None, *, colours: bool = False) -> None:
    """Set up logging for the process; `stream` is standard error unless given."""
    processors = _processors(settings, colours=colours)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(max(LIBRARY_LEVEL, level))


def unhindered(settings: LogSettings, descriptor: int, *, colours: bool = False) -> LogOutput:
    """Log to a descriptor without ever waiting for it or failing with it, from here on."""

    def notice(count: int) -> str:
        event: EventDict = {"event": "log_lines_dropped", "module": __name__, "count": count}
        for processor in _processors(settings, colours=colours):
            event = cast("EventDict", processor(None, "warning", event))
        return f"{event}\n"

    output = LogOutput(descriptor, notice)
    configure_logging(settings, cast("TextIO", output), colours=colours)
    return output


def _processors(settings: LogSettings, *, colours: bool) -> list[Processor]:
    renderer: Processor
    if settings.format == "json":
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_error,
        keep_listed_fields,
        renderer,
    ]


def logger(name: str) -> FilteringBoundLogger:
    """A logger of ours; `name` is the module's."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=name))


def describe_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` (an exception, or True for the one at hand) into `error`, `problem` and `where`."""
    given = event.pop("exc_info", None)
    error = sys.exception() if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        if isinstance(error, ConnectorError):
            event["problem"] = str(error)
        event["where"] = _place(error.__traceback__)
    return event


def keep_listed_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop and count every field that is not on the list."""
    unlisted = [name for name in event if name not in FIELDS]
    for name in unlisted:
        dropped_fields[name] += 1
        del event[name]
    if unlisted:
        event["dropped_fields"] = len(unlisted)
    return event


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "unknown"


@dataclass(slots=True)
class _Silence:
    until: float
    suppressed: int = 0


class _LibraryHandler(logging.Handler):
    """Passes what libraries log on to ours: their template, never what they filled in, and once in a while only.

    A client whose server is away reports that a hundred times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._silences: dict[tuple[str, str, type[BaseException] | None], _Silence] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        # Without arguments the text was put together beforehand, and may hold anything.
        template = "a library reports trouble"
        if isinstance(record.msg, str) and record.args:
            template = _PLACEHOLDER.sub("…", record.msg)
        silence = self._silences.setdefault(
            (record.name, template, record.exc_info[0] if record.exc_info else None), _Silence(0.0)
        )
        if record.created < silence.until:
            silence.suppressed += 1
            return
        if silence.suppressed:
            fields["suppressed_count"] = silence.suppressed
        silence.until, silence.suppressed = record.created + LIBRARY_INTERVAL_SECONDS, 0
        logger(record.name).log(record.levelno, template, **fields)


class RepeatedFailures:
    """Says a failure once an interval for each key, with how often it came meanwhile.

    `monotonic` is the injected clock's: seconds that never go back.
    """

    def __init__(
        self, log: FilteringBoundLogger, monotonic: Callable[[], float], *, interval_seconds: float = 60.0
    ) -> None:
        self._log = log
        self._monotonic = monotonic
        self._interval_seconds = interval_seconds
        self._silences: dict[str, _Silence] = {}

    def warn(self, key: str, event: str, **fields: Any) -> bool:  # noqa: ANN401  structlog's own fields
        """Say it, unless `key` spoke within the interval; whether it was said."""
        now = self._monotonic()
        silence = self._silences.get(key)
        if silence is not None and now < silence.until:
            silence.suppressed += 1
            return False
        suppressed = silence.suppressed if silence else 0
        self._silences[key] = _Silence(now + self._interval_seconds)
        self._log.warning(event, **fields, **({"suppressed_count": suppressed} if suppressed else {}))
        return True

    def unforeseen(self, event: str, error: BaseException, **fields: Any) -> bool:  # noqa: ANN401  structlog's own fields
        """Say an error, once an interval for each kind: what it is and where it came from."""
        kind = f"{event} {type(error).__name__} {_place(error.__traceback__)}"
        return self.warn(kind, event, exc_info=error, **fields)

    def settle(self, key: str) -> None:
        """The trouble of `key` is over: the next one is said at once."""
        self._silences.pop(key, None)
