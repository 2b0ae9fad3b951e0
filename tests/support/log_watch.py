"""What the connector logs during a test, as it would in production; and the defects of ours that it admits to."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from connector.settings import LogSettings
from connector.telemetry import configure_logging


class Log(io.StringIO):
    """A log of JSON lines."""

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """Every line, or those of one event."""
        said = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in said if event in {None, line["event"]}]

    def defects(self) -> list[dict[str, Any]]:
        """Lines that tell of an exception which is none of our taxonomy."""
        return [line for line in self.lines() if "error" in line and "problem" not in line]


@contextmanager
def logged() -> Iterator[Log]:
    """Logs go to a text of their own until the block ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log = Log()
    configure_logging(LogSettings(format="json", level="debug"), log)
    try:
        yield log
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
