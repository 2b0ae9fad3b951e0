"""Clock doubt: whether the host's wall clock is to be believed. Bookkeeping only; `ClockWatch` is the side that asks.

Three clocks are held against each other: the wall, what has elapsed (it goes on in a suspend and is never set), and the
bank's `Date`, where that is the world's time. While there is doubt nothing is read, and nothing that cannot be undone
is done by the clock. What a person commands never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

BOUND_SECONDS: Final = 60.0
"""By how much clocks may differ. A glitch of less moves nothing that matters."""
STANDING_SECONDS: Final = 60.0
"""How long a clock that nobody can confirm must have stood, before it is believed."""
ABSORBED_RATIO: Final = 0.001
"""How fast wall and elapsed time may drift apart without a step: twice what NTP slews at most."""
TRUST_SECONDS: Final = 3600.0
"""For how long dates of pages start no doubt after a probe has settled one: a cache may serve old ones."""
RETENTION_SLACK: Final = timedelta(days=1)


class Moment(NamedTuple):
    """One look at the host's clocks: wall, and elapsed seconds."""

    wall: datetime
    elapsed: float


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What the bank said: how far (seconds) its clock is ahead of ours, and its own time less what had elapsed."""

    ahead_seconds: float
    base_seconds: float

    @property
    def agrees(self) -> bool:
        return abs(self.ahead_seconds) <= BOUND_SECONDS


class ClockDoubt:
    """One a process.

    `doubtful`: since a step of the wall against elapsed time, or since the bank's time was another. Two answers of the
    bank in a row that agree with our clock end it; so does the wall's return to where it was. Where the bank's time
    stays another one, yet runs as ours does, and our own clocks have agreed since the start, the bank alone is off:
    reading goes on, and `bank_ahead_seconds` says how far. Where there is no bank to ask, or one that is off, a step is
    believed once it has stood for `STANDING_SECONDS`.

    `confirmed`: the latest instant of which a second clock said that it had come. `settlings` counts what asks for
    every turn to be worked out anew: doubts that ended, and steps too small for one that added up.
    """

    def __init__(self, *, bank_tells_time: bool) -> None:
        self.doubtful = False
        self.bank_ahead_seconds: float | None = None
        self.confirmed: datetime | None = None
        self.settlings = 0
        self._ask_bank = bank_tells_time
        self._believed: float | None = None
        self._last: Moment | None = None
        self._since = 0.0
        self._offset_since: float | None = None
        self._stepped = False
        self._said: _Opinion | None = None
        self._heard = False
        self._awaited = False
        self._bank_off = False
        self._trusted_until = 0.0

    def look(self, now: Moment) -> None:
        """Hold the wall against elapsed time."""
        offset = now.wall.timestamp() - now.elapsed
        if self._believed is None or self._last is None:
            self._believed, self._last, self._since, self._offset_since = offset, now, now.elapsed, offset
            if self.confirmed is not None and now.wall < self.confirmed - timedelta(seconds=BOUND_SECONDS):
                self._doubt(now, stepped=True)
            return
        elapsed = max(0.0, now.elapsed - self._last.elapsed)
        self._last = now
        drift = offset - self._believed
        if abs(drift) > BOUND_SECONDS:
            if not self.doubtful or not self._stepped:
                self._doubt(now, stepped=True)
            self._stand(now, offset)
        elif self._stepped and self._offset_since is not None and abs(offset - self._offset_since) > BOUND_SECONDS:
            # It went and came back: what was believed before holds.
            self._settle(now, offset)
        elif self.doubtful:
            self._stand(now, offset)
        else:
            absorbed = ABSORBED_RATIO * elapsed
            self._believed += max(-absorbed, min(absorbed, drift))
            if not self._ask_bank and now.elapsed - self._since >= STANDING_SECONDS:
                self._confirm(now.wall)

    def heard(self, served_at: datetime | None, asked_at: datetime, answered: Moment) -> None:
        """Hold an answer's `Date` against the wall: a page that was asked for at `asked_at` and is there now."""
        if served_at is None or not self._ask_bank or self.doubtful:
            return
        opinion = _opinion(served_at, asked_at, answered)
        if opinion.agrees:
            if self.bank_ahead_seconds is None:
                self._heard = True
                self._confirm(answered.wall)
            elif answered.elapsed >= self._trusted_until:
                self._doubt(answered, stepped=self._stepped)
        elif answered.elapsed >= self._trusted_until and not self._known(opinion):
            self._doubt(answered, stepped=False)

    def probed(self, served_at: datetime | None, asked_at: datetime, answered: Moment) -> None:
        """An answer to a probe; None: the bank answered and tells no time, so that nobody can be asked."""
        if served_at is None:
            self._ask_bank = False
            return
        opinion, before = _opinion(served_at, asked_at, answered), self._said
        self._said = opinion
        self.bank_ahead_seconds = None if opinion.agrees else opinion.ahead_seconds
        if before is None or abs(opinion.base_seconds - before.base_seconds) > BOUND_SECONDS:
            return
        if opinion.agrees and before.agrees:
            self._bank_off = False
            # Two clocks agree: whatever was thought to have come before, this is what has.
            self.confirmed = answered.wall
        elif not opinion.agrees and not before.agrees and not self._stepped:
            self._bank_off = True
        else:
            return
        self._heard = True
        if self.doubtful:
            self._settle(answered, answered.wall.timestamp() - answered.elapsed)

    @property
    def wants_answer(self) -> bool:
        """Should the bank be asked for its time? In doubt, and where something waits for its word."""
        return self._ask_bank and (self.doubtful or (self._awaited and not self._heard))

    def latest(self, now: datetime) -> datetime:
        """`now`, or what was confirmed to have come: a clock that was set back reopens nothing."""
        return now if self.confirmed is None else max(now, self.confirmed)

    def surely_past(self, at: datetime, now: Moment) -> bool:
        """Has `at` come for certain, so that something may be done that cannot be undone?

        Every clock must say so: ours, which is in no doubt, and the bank's, or, where there is none to ask, what has
        elapsed since our clock was last set.
        """
        if self.doubtful or now.wall < at:
            return False
        if not self._ask_bank:
            return now.elapsed - self._since >= STANDING_SECONDS
        self._awaited = not self._heard
        behind = timedelta(seconds=min(0.0, self.bank_ahead_seconds or 0.0))
        return self._heard and now.wall + behind >= at

    def restored(self, confirmed: datetime | None) -> None:
        """What an earlier life had confirmed."""
        if confirmed is not None:
            self._confirm(confirmed)
            if self._last is not None and self._last.wall < confirmed - timedelta(seconds=BOUND_SECONDS):
                self._doubt(self._last, stepped=True)

    def _stand(self, now: Moment, offset: float) -> None:
        """In doubt with nobody to ask: what has stood for long enough is believed."""
        if self._offset_since is None or abs(offset - self._offset_since) > BOUND_SECONDS:
            self._since, self._offset_since, self._said = now.elapsed, offset, None
        if (not self._ask_bank or self._bank_off) and now.elapsed - self._since >= STANDING_SECONDS:
            self._settle(now, offset)

    def _doubt(self, now: Moment, *, stepped: bool) -> None:
        offset = now.wall.timestamp() - now.elapsed
        self.doubtful, self._said = True, None
        self._stepped = self._stepped or stepped
        self._since, self._offset_since = now.elapsed, offset

    def _settle(self, now: Moment, offset: float) -> None:
        self.doubtful, self._stepped, self._said = False, False, None
        self._believed = self._offset_since = offset
        self._trusted_until = now.elapsed + TRUST_SECONDS
        self.settlings += 1

    def _known(self, opinion: _Opinion) -> bool:
        return (
            self.bank_ahead_seconds is not None
            and abs(opinion.ahead_seconds - self.bank_ahead_seconds) <= BOUND_SECONDS
        )

    def _confirm(self, at: datetime) -> None:
        self.confirmed = at if self.confirmed is None else max(self.confirmed, at)


def claim_time(asked_at: datetime, served_at: datetime | None) -> datetime:
    """Up to when a read that began at `asked_at` vouches: never later than either clock says."""
    return asked_at if served_at is None else min(asked_at, served_at)


def retention_time(served_at: datetime | None, fetched_at: datetime) -> datetime:
    """By which time to measure what the bank still serves: its own, unless that is more than a day away from ours."""
    if served_at is None or abs(served_at - fetched_at) > RETENTION_SLACK:
        return fetched_at
    return served_at


def _opinion(served_at: datetime, asked_at: datetime, answered: Moment) -> _Opinion:
    """The bank's clock as read off an answer: it was on its way between `asked_at` and now."""
    first, last = sorted((asked_at, answered.wall))
    ahead = max(0.0, (served_at - last).total_seconds()) + min(0.0, (served_at - first).total_seconds())
    return _Opinion(ahead, served_at.timestamp() - answered.elapsed)
