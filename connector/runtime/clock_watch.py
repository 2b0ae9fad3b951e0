"""Clock watch: looks at the host's clocks, asks the bank for its time where there is doubt, says what comes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from connector.errors import ConnectorError
from connector.ports import Clock, Source
from connector.runtime.clock_doubt import ClockDoubt, Moment
from connector.telemetry import logger

LOOK_SECONDS: Final = 5.0
"""Between two looks at the clocks, and between two questions to the bank."""
REMINDER_SECONDS: Final = 600.0
"""How often it is said again that clocks stay apart."""


class ClockWatch:
    """One for all shards of a process. Whoever is about to do something by the clock looks first."""

    def __init__(self, clock: Clock, source: Source, *, bank_tells_time: bool) -> None:
        self.doubt = ClockDoubt(bank_tells_time=bank_tells_time)
        self._clock = clock
        self._source = source
        self._asking = False
        self._ask_at = 0.0
        self._was_doubtful = False
        self._remind_at = 0.0
        self._log = logger(__name__)
        self.look()

    def moment(self) -> Moment:
        """The host's clocks now."""
        return Moment(self._clock.now(), self._clock.monotonic())

    def look(self) -> ClockDoubt:
        """The doubt as it is this very moment."""
        now = self.moment()
        self.doubt.look(now)
        self._say(now)
        return self.doubt

    def heard(self, served_at: datetime | None, asked_at: datetime) -> None:
        """A page that was asked for at `asked_at` has just come, and the bank's clock said `served_at`."""
        now = self.moment()
        self.doubt.look(now)
        self.doubt.heard(served_at, asked_at, now)
        self._say(now)

    def surely_past(self, at: datetime) -> bool:
        """Has `at` come for certain, so that something may be done that cannot be undone?"""
        return self.look().surely_past(at, self.moment())

    async def round(self) -> None:
        """Look, and ask the bank where its word is wanted. A bank that is away is asked again next time."""
        doubt = self.look()
        if not doubt.wants_answer or self._asking or self._clock.monotonic() < self._ask_at:
            return
        self._asking = True
        try:
            asked_at = self._clock.now()
            served_at = await self._source.tell_time()
        except ConnectorError as error:
            self._log.info("bank_time_unknown", exc_info=error)
        else:
            now = self.moment()
            doubt.look(now)
            doubt.probed(served_at, asked_at, now)
            self._say(now)
        finally:
            self._asking = False
            self._ask_at = self._clock.monotonic() + LOOK_SECONDS

    def _say(self, now: Moment) -> None:
        doubt = self.doubt
        if doubt.doubtful != self._was_doubtful:
            self._was_doubtful = doubt.doubtful
            if doubt.doubtful:
                self._log.warning("clock_doubted", next_step="reading waits until two clocks agree: check NTP")
            else:
                self._log.info("clock_believed")
        if doubt.bank_ahead_seconds is not None and now.elapsed >= self._remind_at:
            self._remind_at = now.elapsed + REMINDER_SECONDS
            self._log.warning(
                "bank_time_apart",
                bank_ahead_seconds=round(doubt.bank_ahead_seconds),
                reading=not doubt.doubtful,
                next_step="set the host's clock (NTP), or bank.clock where the bank's own is no wall time",
            )
