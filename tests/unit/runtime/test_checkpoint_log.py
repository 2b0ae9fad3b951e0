"""A healthy connector says little: what changed in kind, and a line an hour."""

from __future__ import annotations

from dataclasses import replace

import pytest
import structlog
from structlog.testing import LogCapture

from connector.domains.lifecycle import Checkpoint
from connector.runtime.checkpoint_log import CheckpointLog
from connector.runtime.polls import PollCounts

WELL = Checkpoint(0, None, None, 8, 0, (), ())


class Heard:
    def __init__(self) -> None:
        self.now = 0.0
        self._capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self._capture])
        self._log = CheckpointLog(log, lambda: self.now)

    def minutes(self, count: int, told: Checkpoint) -> list[str]:
        """What is said of so many checkpoints, a minute apart: their levels."""
        self._capture.entries.clear()
        for _ in range(count):
            self._log.say(told, PollCounts())
            self.now += 60.0
        return [entry["log_level"] for entry in self._capture.entries]


def test_all_is_well_is_one_line_an_hour() -> None:
    said = Heard().minutes(181, WELL)
    assert said.count("info") == 4
    assert said[0] == said[60] == said[120] == "info"


@pytest.mark.parametrize("name", ["holes", "held", "isolated", "quarantined", "set_aside", "behind_count"])
def test_what_begins_and_ends_is_said_once_each(name: str) -> None:
    heard = Heard()
    heard.minutes(1, WELL)
    troubled = replace(WELL, **{name: 2})
    assert heard.minutes(5, troubled).count("info") == 1
    assert heard.minutes(5, WELL).count("info") == 1


def test_how_many_are_behind_is_no_news() -> None:
    heard = Heard()
    heard.minutes(1, replace(WELL, behind_count=1))
    assert heard.minutes(3, replace(WELL, behind_count=5)).count("info") == 0
