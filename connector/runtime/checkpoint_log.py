"""Checkpoint log: what is said of checkpoints. They come every minute; people want to hear of changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from connector.domains.lifecycle import Checkpoint
from connector.runtime.polls import PollCounts

WELL_SECONDS: Final = 3600.0
"""How often it is said that all is as it was."""


class CheckpointLog:
    """Says a checkpoint (INFO) where it differs in kind from the last one that was said, and once an hour; else DEBUG.

    In kind: whether anything is behind, and how much is held, in a hole, isolated, quarantined or set aside. How many
    streams are behind moves with every slow answer.
    """

    def __init__(self, log: FilteringBoundLogger, monotonic: Callable[[], float]) -> None:
        self._log = log
        self._monotonic = monotonic
        self._said: tuple[object, ...] | None = None
        self._again_at = 0.0

    def say(self, told: Checkpoint, counts: PollCounts) -> None:
        """One checkpoint, committed."""
        kind = (
            told.behind_count > 0, told.holes, told.held, told.isolated, told.quarantined, told.set_aside,
        )  # fmt: skip
        now = self._monotonic()
        aloud = kind != self._said or now >= self._again_at
        if aloud:
            self._said, self._again_at = kind, now + WELL_SECONDS
        say = self._log.info if aloud else self._log.debug
        say(
            "checkpoint",
            streams_count=told.streams,
            behind_count=told.behind_count,
            polls_count=counts.polls,
            unchanged_count=counts.unchanged,
            committed_count=counts.committed,
            quarantined_count=told.quarantined,
            unknown_fields_count=sum(counts.unknown_fields.values()),
        )
