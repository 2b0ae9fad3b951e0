"""No logs: lines about planted trouble help nobody, and their tracebacks take longer than the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def silence() -> Iterator[None]:
    """Whatever is logged within is dropped."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent
