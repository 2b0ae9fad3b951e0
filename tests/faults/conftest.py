"""Every fault test logs as production does, and fails when the connector met a defect of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.feeds import FEEDS, Feed
from tests.support.log_watch import Log, logged


@pytest.fixture(autouse=True)
def log() -> Iterator[Log]:
    with logged() as log:
        yield log
    print(log.getvalue())
    assert log.defects() == []


@pytest.fixture(params=FEEDS, ids=lambda feed: feed.domain)
def feed(request: pytest.FixtureRequest) -> Feed:
    """One of the bank's newest-first feeds: the test runs once for each."""
    found: Feed = request.param
    return found
