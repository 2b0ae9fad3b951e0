"""Backend: how hard one backend may be asked by this process, and when not at all.

Pace, slots, holds and circuit breaker are plain bookkeeping over a monotonic clock that the caller reads; nothing here
sleeps. One instance per backend and process, shared by all of its shards: four backends fail alone, and a bank that
allows 20 calls a second gets 20, however many shards there are.

What one account does not get is not the backend's state: a refusal holds that account on that surface only, and the
backend as a whole is left alone when several accounts are refused, or all that ask it fail.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

import anyio

from connector.domains.registry import DOMAINS
from connector.telemetry import logger

BreakerState = Literal["closed", "open", "half_open"]

PROBE_LOOK_SECONDS: Final = 0.25
"""How soon to look again while a probe is under way."""
LONGEST_ACCOUNT_HOLD_SECONDS: Final = 900.0
"""The longest that an account is left alone for a refusal, whatever the bank asks for: a quarter of an hour, the same
as the longest pause after failures. A limit that really lasts a day then costs the bank 96 calls more, and a mistaken
number costs the holder a quarter of an hour and no day."""
LONGEST_BACKEND_HOLD_SECONDS: Final = 300.0
"""The same for a whole backend, shorter because everybody pays for it. After that one call asks again, no more."""
SEVERAL_ACCOUNTS: Final = 3
"""So many different accounts must be in trouble before it is the backend's. Two may be one household behind
one limit; where fewer are linked, each is held by its own refusals, and nobody else is there to be spared."""
SEVERAL_WITHIN_SECONDS: Final = 60.0
"""Refusals that lie further apart are no common one."""
KNOWN_SECONDS: Final = 3600.0
"""An account that did not ask for so long no longer counts among those that could vouch for the backend."""


@dataclass(frozen=True, slots=True)
class BackendLimits:
    """Limits of one backend.

    `failure_threshold` failures in a row, of several accounts or of all that there are, open the breaker for
    `cool_down_seconds`, doubled with every failed probe up to `maximum_cool_down_seconds`.
    """

    maximum_concurrency: int = 8
    rate_per_second: float = 20.0
    failure_threshold: int = 5
    cool_down_seconds: float = 15.0
    maximum_cool_down_seconds: float = 300.0

    @property
    def maximum_account_concurrency(self) -> int:
        """How many reads of one account may be under way at once: a quarter of all is kept for the others."""
        return max(1, self.maximum_concurrency - max(1, self.maximum_concurrency // 4))


class Backend:
    """The state of one backend as seen from this process."""

    def __init__(self, name: str, limits: BackendLimits, random: Random) -> None:
        self.name = name
        self.limits = limits
        self.slots = anyio.Semaphore(limits.maximum_concurrency)
        """One for every read under way, of any shard. Waiters are served in turn."""
        self._random = random
        self._log = logger(__name__)
        self._next_slot = 0.0
        self._held_until: float | None = None
        self._open_until: float | None = None
        self._failures = 0
        self._failing: set[str] = set()
        self._cool_down = limits.cool_down_seconds
        self._probe: Hashable | None = None
        self._asked: dict[str, float] = {}
        self._refused: dict[str, float] = {}
        self._account_holds: dict[tuple[str, str], float] = {}

    def wait_seconds(self, now: float) -> float:
        """How long no read may begin: 0 when one may. An open breaker and a hold each have their say."""
        blocked_until = max(self._held_until or 0.0, self._open_until or 0.0)
        if self._probe is not None:
            blocked_until = max(blocked_until, now + PROBE_LOOK_SECONDS)
        return max(0.0, blocked_until - now)

    def account_wait_seconds(self, account_id: str, surface: str, now: float) -> float:
        """For how long this surface must not be asked for this account."""
        return max(0.0, self._account_holds.get((account_id, surface), now) - now)

    def begin(self, account_id: str, read: Hashable, now: float) -> None:
        """A read begins; behind an open breaker or a hold whose time is up it is the probe."""
        self._asked[account_id] = now
        if self._open_until is not None or self._held_until is not None:
            self._probe = read

    def ended(self, read: Hashable) -> None:
        """A read ended; a probe that told nothing about the backend leaves the next one to be it."""
        if self._probe == read:
            self._probe = None

    def reserve(self, now: float) -> float:
        """Take the next slot of the pace; the seconds until it comes.

        Slots that were not used are not saved up, so that no burst follows a quiet time.
        """
        slot = max(now, self._next_slot)
        self._next_slot = slot + 1.0 / self.limits.rate_per_second
        return slot - now

    def succeeded(self, account_id: str, surface: str) -> None:
        """The backend answered sensibly, be it with a refusal of its own."""
        if self._open_until is not None or self._held_until is not None:
            self._log.info("backend_back", backend=self.name)
        self._failures = 0
        self._failing.clear()
        self._probe = None
        self._open_until = self._held_until = None
        self._cool_down = self.limits.cool_down_seconds
        self._refused.pop(account_id, None)
        if self._account_holds.pop((account_id, surface), None) is not None:
            self._log.info("account_released", backend=self.name, account_id=account_id, surface=surface)

    def failed(self, account_id: str, now: float) -> None:
        """The backend was away, or answered 5xx."""
        self._failures += 1
        self._failing.add(account_id)
        probing = self._probe is not None
        reached = self._failures >= self.limits.failure_threshold and self._of_several(now)
        if probing or (self._open_until is None and reached):
            pause = self._cool_down * self._random.uniform(0.8, 1.2)
            if not probing:
                self._log.warning(
                    "backend_away",
                    backend=self.name,
                    failures_count=self._failures,
                    accounts_count=len(self._failing),
                    retry_after_seconds=round(pause),
                )
            self._open_until = now + pause
            self._cool_down = min(self._cool_down * 2, self.limits.maximum_cool_down_seconds)
        self._probe = None

    def refused(self, account_id: str, surface: str, now: float, seconds: float) -> float:
        """The backend asked us to stay away for `seconds`; for how long this surface is not asked for this account.

        Said once, until the account was served again.
        """
        asked = seconds if seconds >= 0 else 0.0  # also what is no number
        pause = min(asked, LONGEST_ACCOUNT_HOLD_SECONDS)
        known = self._account_holds.get((account_id, surface))
        self._account_holds[account_id, surface] = max(known or 0.0, now + pause)
        if known is None:
            self._log.warning(
                "account_held",
                backend=self.name,
                account_id=account_id,
                surface=surface,
                retry_after_seconds=round(pause),
                asked_seconds=round(min(asked, 1e12)),
                next_step="it is asked again when that time is over",
            )
        self._hold_for_several(account_id, now, pause)
        return pause

    def state(self, now: float) -> BreakerState:
        """The breaker's state, for logs and metrics."""
        if self._open_until is None:
            return "closed"
        return "open" if self._open_until > now else "half_open"

    def held(self, now: float) -> bool:
        """Is everybody kept away because several accounts were refused?"""
        return self._held_until is not None and self._held_until > now

    def _hold_for_several(self, account_id: str, now: float, pause: float) -> None:
        self._refused = {one: at for one, at in self._refused.items() if now - at <= SEVERAL_WITHIN_SECONDS}
        self._refused[account_id] = now
        probing, self._probe = self._probe is not None, None
        if not (probing and self._held_until is not None) and len(self._refused) < SEVERAL_ACCOUNTS:
            return
        bounded = min(pause, LONGEST_BACKEND_HOLD_SECONDS)
        if self._held_until is None:
            self._log.warning(
                "backend_held", backend=self.name, accounts_count=len(self._refused), retry_after_seconds=round(bounded)
            )
        self._held_until = max(self._held_until or 0.0, now + bounded)

    def _of_several(self, now: float) -> bool:
        """Did several accounts fail in a row, or all that there are?"""
        if len(self._failing) >= SEVERAL_ACCOUNTS:
            return True
        self._asked = {one: at for one, at in self._asked.items() if now - at <= KNOWN_SECONDS}
        return self._failing >= self._asked.keys()


class Backends(Mapping[str, Backend]):
    """Every backend of the process, by name. Made once, beside the timetable, and handed to every shard."""

    def __init__(self, limits: Mapping[str, BackendLimits], random: Random) -> None:
        names = sorted({kind.backend for domain in DOMAINS.values() for kind in domain.resources} | {PROFILE_BACKEND})
        self._backends = {name: Backend(name, limits.get(name, BackendLimits()), random) for name in names}

    def __getitem__(self, name: str) -> Backend:
        return self._backends[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)


PROFILE_BACKEND: Final = "bank"
"""The backend that is asked what a login holds."""
