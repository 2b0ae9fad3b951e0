"""Clock doubt: three clocks held against each other, on clocks that move as they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.runtime.clock_doubt import ClockDoubt, Moment, claim_time, retention_time

START = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
HOUR = 3600.0
DAY = 86_400.0
YEAR = 365 * DAY


class Host:
    """A host with its two clocks, a bank with another one, and what is thought of them."""

    def __init__(self, *, bank: bool = True, wall_ahead: float = 0.0, bank_ahead: float = 0.0) -> None:
        self.elapsed = 1000.0
        self.wall_ahead = wall_ahead
        self.bank_ahead = bank_ahead
        self.doubt = ClockDoubt(bank_tells_time=bank)
        self.look()

    @property
    def world(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    @property
    def wall(self) -> datetime:
        return self.world + timedelta(seconds=self.wall_ahead)

    @property
    def bank(self) -> datetime:
        return self.world + timedelta(seconds=self.bank_ahead)

    @property
    def moment(self) -> Moment:
        return Moment(self.wall, self.elapsed)

    def look(self) -> bool:
        self.doubt.look(self.moment)
        return self.doubt.doubtful

    def goes_on(self, seconds: float, *, step: float = 5.0) -> bool:
        """Time goes by, with a look every few seconds; was there any doubt?"""
        doubted = False
        until = self.elapsed + seconds
        while self.elapsed < until:
            self.elapsed += min(step, until - self.elapsed)
            doubted |= self.look()
        return doubted

    def steps(self, seconds: float) -> bool:
        self.wall_ahead += seconds
        return self.look()

    def reads_a_page(self) -> bool:
        self.doubt.heard(self.bank, self.wall, self.moment)
        return self.doubt.doubtful

    def probes(self, times: int = 1) -> bool:
        for _ in range(times):
            self.goes_on(5)
            self.doubt.probed(self.bank, self.wall, self.moment)
        return self.doubt.doubtful

    def surely_past(self, at: datetime) -> bool:
        return self.doubt.surely_past(at, self.moment)


@pytest.mark.parametrize("seconds", [200 * DAY, 5 * HOUR, 61.0, -61.0, -9 * HOUR])
def test_a_step_is_doubted_until_two_answers_of_the_bank_agree(seconds: float) -> None:
    host = Host(wall_ahead=-seconds)
    assert host.steps(seconds)
    assert host.doubt.wants_answer
    assert host.probes(1)
    assert not host.probes(1)
    assert host.doubt.settlings == 1
    assert host.doubt.confirmed == host.wall
    assert not host.doubt.wants_answer


@pytest.mark.parametrize("seconds", [3.0, 59.0, -59.0])
def test_seconds_are_no_doubt(seconds: float) -> None:
    host = Host()
    assert not host.steps(seconds)
    assert not host.reads_a_page()


def test_small_steps_that_add_up_are_doubted() -> None:
    host = Host()
    assert any(host.steps(20) or host.goes_on(10) for _ in range(6))


@pytest.mark.parametrize("parts_per_million", [500, -500])
def test_a_clock_that_is_slewed_is_not_doubted(parts_per_million: int) -> None:
    host = Host(bank=False)
    for _ in range(1000):
        host.wall_ahead += 300 * parts_per_million / 1e6
        assert not host.goes_on(300, step=300)
    assert abs(host.wall_ahead) > 100


def test_a_suspend_is_not_doubted() -> None:
    host = Host()
    assert not host.goes_on(9 * HOUR, step=9 * HOUR)


def test_a_glitch_of_three_seconds_ends_nothing() -> None:
    host = Host()
    host.reads_a_page()
    assert host.steps(200 * DAY)
    end = START + timedelta(days=90)
    assert not host.surely_past(end)
    host.goes_on(3)
    assert not host.surely_past(end)
    assert not host.steps(-200 * DAY)
    assert host.doubt.confirmed is not None
    assert host.doubt.confirmed < end
    assert host.doubt.settlings == 1


def test_a_glitch_without_a_bank_ends_nothing_either() -> None:
    host = Host(bank=False)
    host.goes_on(300)
    assert host.steps(200 * DAY)
    host.goes_on(3)
    assert not host.surely_past(START + timedelta(days=90))
    assert not host.steps(-200 * DAY)
    assert host.doubt.latest(host.wall) == host.wall


def test_a_start_with_the_clock_far_ahead_ends_nothing_before_the_bank_was_heard() -> None:
    host = Host(wall_ahead=200 * DAY)
    end = START + timedelta(days=90)
    assert not host.surely_past(end)
    assert host.doubt.wants_answer
    assert not host.probes(2)
    # The bank says otherwise: it is not certain, and stays so.
    assert not host.surely_past(end)
    host.goes_on(DAY, step=60)
    assert not host.surely_past(end)
    assert host.steps(-200 * DAY)
    assert not host.probes(2)
    assert host.doubt.bank_ahead_seconds is None
    assert not host.surely_past(end)
    assert host.surely_past(START)


def test_without_a_bank_a_step_is_believed_once_it_has_stood() -> None:
    host = Host(bank=False)
    host.goes_on(HOUR, step=60)
    assert host.steps(5 * HOUR)
    end = host.wall - timedelta(seconds=1)
    assert host.goes_on(59)
    assert not host.surely_past(end)
    host.goes_on(5)
    assert not host.doubt.doubtful
    assert host.surely_past(end)


def test_a_clock_that_never_stands_is_never_believed() -> None:
    host = Host(bank=False)
    for _ in range(100):
        host.steps(5 * HOUR)
        host.goes_on(30)
        assert host.doubt.doubtful


@pytest.mark.parametrize("ahead", [2 * YEAR, -2 * YEAR, 5 * HOUR])
def test_a_bank_that_alone_is_off_does_not_stop_the_reading_for_ever(ahead: float) -> None:
    host = Host(bank_ahead=ahead)
    assert host.reads_a_page()
    assert host.probes(1)
    assert not host.probes(1)
    assert host.doubt.bank_ahead_seconds == ahead
    for _ in range(100):
        assert not host.goes_on(60, step=60)
        assert not host.reads_a_page()
    # It is no arbiter of our own clock: a step is believed as if there were no bank.
    assert host.steps(600)
    assert host.goes_on(59)
    host.goes_on(5)
    assert not host.doubt.doubtful


def test_a_bank_whose_dates_jump_about_settles_nothing() -> None:
    host = Host(bank_ahead=5 * HOUR)
    assert host.reads_a_page()
    for number in range(20):
        host.bank_ahead = (number + 2) * HOUR
        assert host.probes(1)


def test_after_a_step_a_bank_that_stays_apart_keeps_the_doubt_and_its_distance_is_told() -> None:
    host = Host()
    host.reads_a_page()
    host.steps(-9 * HOUR)
    assert host.probes(50)
    assert host.doubt.bank_ahead_seconds == 9 * HOUR


def test_a_page_from_a_cache_costs_one_probe_and_not_one_a_page() -> None:
    host = Host()
    for _ in range(100):
        host.doubt.heard(host.wall - timedelta(days=3), host.wall, host.moment)
        if host.doubt.doubtful:
            assert not host.probes(2)
    assert host.doubt.settlings == 1


def test_a_clock_set_back_does_not_undo_what_was_confirmed() -> None:
    host = Host()
    host.reads_a_page()
    confirmed = host.wall
    host.steps(-5 * HOUR)
    assert host.doubt.latest(host.wall) == confirmed
    later = Host(wall_ahead=-5 * HOUR)
    later.doubt.restored(confirmed)
    assert later.doubt.doubtful
    assert later.doubt.latest(later.wall) == confirmed


def test_what_one_clock_alone_said_is_not_confirmed() -> None:
    host = Host(wall_ahead=200 * DAY)
    host.reads_a_page()
    host.probes(2)
    host.goes_on(HOUR, step=60)
    assert host.doubt.confirmed is None


def test_a_bank_that_tells_no_time_is_none_to_ask() -> None:
    host = Host()
    host.steps(5 * HOUR)
    host.doubt.probed(None, host.wall, host.moment)
    host.goes_on(65)
    assert not host.doubt.doubtful


def test_a_bank_that_is_away_leaves_the_doubt() -> None:
    host = Host()
    host.steps(5 * HOUR)
    assert host.goes_on(HOUR, step=60)
    assert host.doubt.doubtful
    assert host.doubt.wants_answer


def test_claims_and_retention_are_bounded_by_both_clocks() -> None:
    later, earlier = START + timedelta(days=730), START - timedelta(hours=5)
    assert claim_time(START, later) == START
    assert claim_time(START, earlier) == earlier
    assert claim_time(START, None) == START
    assert retention_time(later, START) == START
    assert retention_time(earlier, START) == earlier
    assert retention_time(None, START) == START
