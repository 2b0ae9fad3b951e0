"""One backend's limits: pace, hold and breaker, on a clock that the test turns."""

from __future__ import annotations

from random import Random

from connector.runtime.backend import Backend, BackendLimits

LIMITS = BackendLimits(
    rate_per_second=10.0, failure_threshold=3, cool_down_seconds=10.0, maximum_cool_down_seconds=35.0
)


def backend() -> Backend:
    return Backend("bank", LIMITS, Random(1))


def opened_for(tried: Backend, now: float) -> float:
    """How long the breaker is open."""
    wait = tried.wait_seconds(now)
    assert tried.state(now) == "open"
    return wait


def test_the_pace_is_kept_and_unused_slots_are_not_saved_up() -> None:
    tried = backend()
    waits = [tried.reserve(0.0) for _ in range(5)]
    assert [round(wait, 6) for wait in waits] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert tried.reserve(1000.0) == 0.0
    assert round(tried.reserve(1000.0), 6) == 0.1


def test_a_retry_after_holds_the_backend_that_long_and_is_no_failure() -> None:
    tried = backend()
    for _ in range(10):
        tried.begin()
        tried.hold(0.0, 7.0)
        tried.ended()
    assert tried.wait_seconds(0.0) == 7.0
    assert tried.wait_seconds(7.0) == 0.0
    assert tried.state(0.0) == "closed"


def test_a_shorter_hold_does_not_shorten_a_longer_one() -> None:
    tried = backend()
    tried.hold(0.0, 60.0)
    tried.hold(1.0, 1.0)
    assert tried.wait_seconds(1.0) == 59.0


def test_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    tried = backend()
    for _ in range(LIMITS.failure_threshold):
        assert tried.wait_seconds(0.0) == 0.0
        tried.begin()
        tried.failed(0.0)
        tried.ended()
    cool_down = opened_for(tried, 0.0)
    assert 8.0 <= cool_down <= 12.0
    assert tried.state(cool_down) == "half_open"
    assert tried.wait_seconds(cool_down) == 0.0
    tried.begin()
    assert tried.wait_seconds(cool_down) > 0, "one probe at a time"
    tried.succeeded()
    tried.ended()
    assert tried.state(cool_down) == "closed"
    assert tried.wait_seconds(cool_down) == 0.0


def test_a_success_in_between_begins_the_count_again() -> None:
    tried = backend()
    for _ in range(5):
        for _ in range(LIMITS.failure_threshold - 1):
            tried.failed(0.0)
        tried.succeeded()
    assert tried.state(0.0) == "closed"


def test_every_failed_probe_doubles_the_cool_down_up_to_its_maximum() -> None:
    tried = backend()
    now, spans = 0.0, []
    for _ in range(LIMITS.failure_threshold):
        tried.failed(now)
    for _ in range(4):
        spans.append(opened_for(tried, now))
        now += spans[-1]
        tried.begin()
        tried.failed(now)
        tried.ended()
    for span, expected in zip(spans, (10, 20, 35, 35), strict=True):
        assert 0.8 * expected <= span <= 1.2 * expected
