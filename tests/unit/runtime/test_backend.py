"""One backend's limits: pace, hold and breaker, on a clock that the test turns."""

from __future__ import annotations

from random import Random

import pytest

from connector.runtime.backend import (
    LONGEST_ACCOUNT_HOLD_SECONDS,
    LONGEST_BACKEND_HOLD_SECONDS,
    SEVERAL_WITHIN_SECONDS,
    Backend,
    BackendLimits,
)
from tests.support.log_watch import logged

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


def begun(tried: Backend, now: float, account: str = "a") -> None:
    tried.begin(account, (account, now), now)


def test_a_refusal_holds_the_account_on_that_surface_that_long_and_nobody_else() -> None:
    tried = backend()
    begun(tried, 0.0)
    assert tried.refused("a", "wallet", 0.0, 7.0) == 7.0
    assert tried.account_wait_seconds("a", "wallet", 0.0) == 7.0
    assert tried.account_wait_seconds("a", "wallet", 7.0) == 0.0
    assert tried.account_wait_seconds("a", "bills", 0.0) == 0.0
    assert tried.account_wait_seconds("b", "wallet", 0.0) == 0.0
    assert tried.wait_seconds(0.0) == 0.0
    assert tried.state(0.0) == "closed"


@pytest.mark.parametrize("asked", [85_092.0, 999_999_999.0, float("inf")])
def test_however_long_the_bank_asks_for_an_account_is_asked_again_within_the_cap(asked: float) -> None:
    tried = backend()
    with logged() as log:
        for now in (0.0, 1.0, 2.0):
            assert tried.refused("a", "wallet", now, asked) == LONGEST_ACCOUNT_HOLD_SECONDS
    assert tried.account_wait_seconds("a", "wallet", 0.0) <= LONGEST_ACCOUNT_HOLD_SECONDS + 2.0
    [said] = log.lines("account_held")
    assert (said["account_id"], said["surface"], said["retry_after_seconds"]) == ("a", "wallet", 900)


@pytest.mark.parametrize("asked", [-3.0, float("nan")])
def test_a_wish_that_is_no_time_holds_nobody(asked: float) -> None:
    assert backend().refused("a", "wallet", 0.0, asked) == 0.0


def test_once_served_again_a_new_refusal_is_said_anew() -> None:
    tried = backend()
    with logged() as log:
        tried.refused("a", "wallet", 0.0, 5.0)
        tried.succeeded("a", "wallet")
        tried.refused("a", "wallet", 9.0, 5.0)
    assert len(log.lines("account_held")) == 2
    assert len(log.lines("account_released")) == 1


def test_only_several_accounts_hold_the_backend_and_that_is_capped_and_said_once() -> None:
    tried = backend()
    with logged() as log:
        for account in ("a", "a", "b", "b"):
            tried.refused(account, "wallet", 0.0, 85_092.0)
        assert tried.wait_seconds(0.0) == 0.0
        tried.refused("c", "cards", 1.0, 85_092.0)
        tried.refused("d", "cards", 1.0, 85_092.0)
    assert tried.wait_seconds(1.0) == LONGEST_BACKEND_HOLD_SECONDS
    assert tried.held(1.0)
    [said] = log.lines("backend_held")
    assert (said["backend"], said["accounts_count"], said["retry_after_seconds"]) == ("bank", 3, 300)


def test_refusals_far_apart_are_no_common_one() -> None:
    tried = backend()
    for place, account in enumerate("abcdef"):
        tried.refused(account, "wallet", place * (SEVERAL_WITHIN_SECONDS / 2 + 1), 5.0)
    assert tried.wait_seconds(400.0) == 0.0


def test_after_a_hold_one_call_asks_and_its_answer_decides_for_all() -> None:
    tried = backend()
    for account in "abc":
        tried.refused(account, "wallet", 0.0, 100.0)
    assert tried.wait_seconds(100.0) == 0.0
    begun(tried, 100.0, "d")
    assert tried.wait_seconds(100.0) > 0, "one probe at a time"
    tried.refused("d", "wallet", 100.0, 50.0)
    assert tried.wait_seconds(100.0) == 50.0, "a refused probe is enough"
    begun(tried, 150.0, "d")
    tried.succeeded("d", "wallet")
    assert tried.wait_seconds(150.0) == 0.0
    assert not tried.held(150.0)


def test_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    tried = backend()
    for _ in range(LIMITS.failure_threshold):
        assert tried.wait_seconds(0.0) == 0.0
        begun(tried, 0.0)
        tried.failed("a", 0.0)
        tried.ended(("a", 0.0))
    cool_down = opened_for(tried, 0.0)
    assert 8.0 <= cool_down <= 12.0
    assert tried.state(cool_down) == "half_open"
    assert tried.wait_seconds(cool_down) == 0.0
    begun(tried, cool_down)
    assert tried.wait_seconds(cool_down) > 0, "one probe at a time"
    tried.succeeded("a", "wallet")
    tried.ended(("a", cool_down))
    assert tried.state(cool_down) == "closed"
    assert tried.wait_seconds(cool_down) == 0.0


def test_one_account_alone_opens_no_breaker_where_others_ask_too() -> None:
    tried = backend()
    for account in "abcd":
        begun(tried, 0.0, account)
    for _ in range(50):
        tried.failed("a", 0.0)
    assert tried.state(0.0) == "closed"
    tried.failed("b", 0.0)
    assert tried.state(0.0) == "closed"
    tried.failed("c", 0.0)
    assert tried.state(0.0) == "open"


def test_two_that_are_all_there_are_open_it() -> None:
    tried = backend()
    begun(tried, 0.0, "a")
    begun(tried, 0.0, "b")
    for _ in range(LIMITS.failure_threshold):
        tried.failed("a", 0.0)
    assert tried.state(0.0) == "closed"
    tried.failed("b", 0.0)
    assert tried.state(0.0) == "open"


def test_an_older_read_that_ends_leaves_the_probe_alone() -> None:
    tried = backend()
    begun(tried, 0.0)
    for _ in range(LIMITS.failure_threshold):
        tried.failed("a", 0.0)
    begun(tried, 50.0)
    tried.ended(("a", 0.0))
    assert tried.wait_seconds(50.0) > 0


def test_a_success_in_between_begins_the_count_again() -> None:
    tried = backend()
    for _ in range(5):
        for _ in range(LIMITS.failure_threshold - 1):
            tried.failed("a", 0.0)
        tried.succeeded("a", "wallet")
    assert tried.state(0.0) == "closed"


def test_every_failed_probe_doubles_the_cool_down_up_to_its_maximum() -> None:
    tried = backend()
    now, spans = 0.0, []
    for _ in range(LIMITS.failure_threshold):
        tried.failed("a", now)
    for _ in range(4):
        spans.append(opened_for(tried, now))
        now += spans[-1]
        begun(tried, now)
        tried.failed("a", now)
        tried.ended(("a", now))
    for span, expected in zip(spans, (10, 20, 35, 35), strict=True):
        assert 0.8 * expected <= span <= 1.2 * expected


def test_one_account_leaves_slots_for_the_others() -> None:
    assert [BackendLimits(slots).maximum_account_concurrency for slots in (1, 2, 4, 8, 16)] == [1, 1, 3, 6, 12]
