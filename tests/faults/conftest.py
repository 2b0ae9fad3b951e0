"""Every fault test logs as production does, and fails when the connector met a defect of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.log_watch import Log, logged


@pytest.fixture(autouse=True)
def log() -> Iterator[Log]:
    with logged() as log:
        yield log
    print(log.getvalue())
    assert log.defects() == []
