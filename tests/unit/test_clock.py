"""The system's clock: what a suspend does to a wait."""

from __future__ import annotations

import time

import pytest

from connector.clock import STEP_SECONDS, SystemClock, sleep_in_steps

HOUR = 3600.0


class SuspendedOnce:
    """A machine: its event loop's pauses stop in a suspend, its elapsed time does not."""

    def __init__(self, suspended_seconds: float) -> None:
        self.elapsed = 100.0
        self.awake = 0.0
        self._suspended = suspended_seconds

    async def pause(self, seconds: float) -> None:
        self.awake += seconds
        self.elapsed += seconds + self._suspended
        self._suspended = 0.0


@pytest.mark.anyio
async def test_a_wait_that_a_suspend_falls_into_ends_soon_after_the_waking_up() -> None:
    machine = SuspendedOnce(9 * HOUR)
    await sleep_in_steps(6 * HOUR, lambda: machine.elapsed, machine.pause)
    assert machine.awake <= STEP_SECONDS
    assert machine.elapsed - 100 >= 6 * HOUR


@pytest.mark.anyio
async def test_a_wait_without_a_suspend_lasts_as_long_as_asked() -> None:
    machine = SuspendedOnce(0)
    await sleep_in_steps(12.5, lambda: machine.elapsed, machine.pause)
    assert machine.awake == 12.5


def test_elapsed_time_goes_on_in_a_suspend() -> None:
    # Both clocks are of this system: whichever is further away from zero has counted what the other left out.
    counted = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(SystemClock().monotonic() - counted) < 1
