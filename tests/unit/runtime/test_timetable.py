"""What waits to be believed is not asked for again at once: a turn is a turn, whatever it showed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connector.cadence import parse_mode
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.ports import Resource
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.options import WorkerOptions
from connector.runtime.sealed_state import Subject
from connector.runtime.timetable import Timetable
from connector.state import Held, StreamHead
from tests.support.virtual_clock import START, VirtualClock

LONG_AGO = START - timedelta(days=2)
JUST_NOW = START - timedelta(seconds=1)
LATER = START + timedelta(days=300)


def wait_seconds(cadence: str, memory: ResourceMemory) -> float:
    kind = DOMAINS["lending"].resources[0]
    link = Link("acc", 1, "app-session", "x", frozenset({"lending"}), None, cadence=(("lending", parse_mode(cadence)),))
    account = AccountMemory("acc", Subject("acc", bytes(32)), link)
    stream = account.stream("lending")
    stream.head, stream.resources[kind.name] = StreamHead(status="live"), memory
    waits = Timetable(WorkerOptions(), VirtualClock()).wait_seconds(
        account, Resource("acc", "lending", kind, kind.name, None)
    )
    assert waits is not None
    return waits


def held(swept_at: datetime | None, looked_at: datetime | None) -> ResourceMemory:
    """A resource that shows something which is not believed, so that no claim has moved since."""
    memory = ResourceMemory(AccountMemory("acc", Subject("acc", bytes(32))).resource("lending", "loans").packed)
    memory.meta = replace(memory.meta, backfilled=True, swept_at=swept_at, held=Held("mass_removal", START, 40))
    memory.looked_at = looked_at
    return memory


@pytest.mark.parametrize("swept_at", [None, LONG_AGO, LATER])
@pytest.mark.parametrize("cadence", ["snapshot@06:00,18:00", "snapshot/6h", "live"])
def test_what_is_held_waits_for_its_next_turn(cadence: str, swept_at: datetime | None) -> None:
    assert wait_seconds(cadence, held(swept_at, JUST_NOW)) > 1


@pytest.mark.parametrize("cadence", ["snapshot@06:00,18:00", "snapshot/6h"])
def test_after_a_start_a_turn_that_was_missed_is_made_up_for(cadence: str) -> None:
    assert wait_seconds(cadence, held(LONG_AGO, None)) == 0
