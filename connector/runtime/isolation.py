"""Isolation: whose writes the journal does not take, found by halving and set aside, so that all others go on.

A commit joins the writes of many streams and fails as a whole. Its streams are tried again as they were, then by
halves; one that fails alone is set aside for a while, and then tried again, alone. Kept over the lives of a shard's
worker, for each failure costs a worker its memory. Nobody is set aside while nothing at all can be committed: that is
the journal's trouble, not a stream's.

A stream in which errors come up that nobody foresaw, one after the other and nothing good in between, is set aside in
the same way: whatever is wrong with it, it costs nobody else anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.ports import Clock
from connector.runtime.held_words import next_step
from connector.telemetry import RepeatedFailures, logger

Stream = tuple[str, str]
"""Account id and domain."""

FAILURES_BEFORE_HALVING: Final = 2
FAILURES_BEFORE_HOLDING: Final = 3
UNFORESEEN_BEFORE_HOLDING: Final = 3
FIRST_HOLD_SECONDS: Final = 60.0
LONGEST_HOLD_SECONDS: Final = 3600.0


@dataclass(slots=True)
class _Trouble:
    """A stream whose last commits all failed: how many, how many of others had succeeded by the first, and holds."""

    commits_before: int
    failures: int = 0
    holds: int = 0
    held_until: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Failure:
    number: int
    streams: frozenset[Stream]
    indivisible: bool


class Isolation:
    """What is known of the streams of one shard. `clock` measures for how long one is set aside."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log = logger(__name__)
        self._troubles: dict[Stream, _Trouble] = {}
        self._commits = 0
        self._unresolved: _Failure | None = None
        self._unforeseen: Counter[Stream] = Counter()
        self._kinds = RepeatedFailures(self._log, clock.monotonic, interval_seconds=LONGEST_HOLD_SECONDS)

    def held(self, stream: Stream) -> bool:
        """Is the stream set aside at the moment?"""
        trouble = self._troubles.get(stream)
        return trouble is not None and self._clock.monotonic() < trouble.held_until

    def admits(self, streams: Collection[Stream], taken: Collection[Stream]) -> bool:
        """May a write to `streams` join a commit that holds `taken` already? The first one always may."""
        suspects = {
            stream: trouble.failures
            for stream, trouble in self._troubles.items()
            if trouble.failures >= FAILURES_BEFORE_HALVING
        }
        if not suspects or not taken or suspects.keys().isdisjoint({*streams, *taken}):
            return True
        joined = {*streams, *taken}
        worst = max(suspects.values())
        half = max(1, sum(failures == worst for failures in suspects.values()) // 2)
        return joined <= suspects.keys() and len(joined) <= half

    def committed(self, streams: Collection[Stream]) -> None:
        """A commit of these streams succeeded: none of them is to blame for anything."""
        self._commits += 1
        for account_id, domain in streams:
            self._unforeseen.pop((account_id, domain), None)
            trouble = self._troubles.pop((account_id, domain), None)
            if trouble is not None and trouble.holds:
                self._log.info("stream_taken_up", account_id=account_id, domain=domain)

    def well(self, stream: Stream) -> None:
        """A read of the stream ended as it should."""
        self._unforeseen.pop(stream, None)
        trouble = self._troubles.get(stream)
        if trouble is not None and not trouble.failures:
            del self._troubles[stream]
            self._log.info("stream_taken_up", account_id=stream[0], domain=stream[1])

    def release(self, stream: Stream) -> bool:
        """Have a stream that is set aside tried again at once, as a person wants it; was it?

        Where it fails again it is set aside for longer than before.
        """
        held = self.held(stream)
        if held:
            self._troubles[stream].held_until = self._clock.monotonic()
        return held

    def unforeseen(self, stream: Stream, error: Exception) -> None:
        """An error that nobody foresaw came up in the stream. One in a row may be chance; three are not.

        Lifecycle is never held: the others stand on it.
        """
        account_id, domain = stream
        self._kinds.unforeseen("unforeseen_error", error, account_id=account_id, domain=domain)
        self._unforeseen[stream] += 1
        if self._unforeseen[stream] >= UNFORESEEN_BEFORE_HOLDING and domain and domain != LIFECYCLE:
            self._hold(stream, self._troubles.setdefault(stream, _Trouble(self._commits)), error)

    def failed(self, number: int, streams: Collection[Stream], *, indivisible: bool) -> None:
        """Commit `number` failed, or nobody knows: what the journal holds when it is restored will tell.

        `indivisible`: there is no smaller commit to try.
        """
        self._unresolved = _Failure(number, frozenset(streams), indivisible)

    def restored(self, number: int) -> None:
        """The journal's last commit is `number`: now it is known whether the one in doubt had failed."""
        failure, self._unresolved = self._unresolved, None
        if failure is None:
            return
        if number >= failure.number:
            self.committed(failure.streams)
            return
        for stream in failure.streams:
            self._troubles.setdefault(stream, _Trouble(self._commits)).failures += 1
        if failure.indivisible:
            self._set_aside(failure.streams)

    def _set_aside(self, streams: Collection[Stream]) -> None:
        """Hold the streams of a commit that could not be divided, but never lifecycle, on which the others stand."""
        troubles = [self._troubles[stream] for stream in streams]
        if any(trouble.failures < FAILURES_BEFORE_HOLDING for trouble in troubles):
            return
        if len(troubles) == 1 and troubles[0].commits_before == self._commits:
            # Nothing was committed since. (What ends a link cannot wait for that: it comes before everything else.)
            return
        for account_id, domain in sorted(streams):
            if domain == LIFECYCLE:
                continue
            self._hold((account_id, domain), self._troubles[account_id, domain])

    def _hold(self, stream: Stream, trouble: _Trouble, error: Exception | None = None) -> None:
        trouble.holds += 1
        seconds = min(FIRST_HOLD_SECONDS * 2 ** min(trouble.holds - 1, 16), LONGEST_HOLD_SECONDS)
        trouble.held_until = self._clock.monotonic() + seconds
        self._log.error(
            "stream_set_aside",
            account_id=stream[0],
            domain=stream[1],
            failures_count=trouble.failures or self._unforeseen[stream],
            retry_after_seconds=seconds,
            kind="isolated",
            next_step=next_step("isolated", *stream),
            **({"exc_info": error} if error is not None else {}),
        )
