"""Each subject at a tiny size over SQLite, in this process: it measures, checks what it measured, and prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import anyio
import pytest
import structlog

from connector.proving.broker import Broker
from connector.runtime.polls import PollCounts
from tests.bench import first_sync, idle, per_change
from tests.bench.__main__ import SUBJECTS
from tests.bench.linked import Place
from tests.bench.rig import Rig, Scale
from tests.bench.table import WIDTH
from tests.support.proofs import quickly

TINY = Scale(
    rounds=1,
    sync_holders=2,
    sync_entries=120,
    idle_holders=2,
    idle_polls=20,
    commits=2,
    commits_back_to_back=25,
    restore_records=40,
    restore_entities=(20,),
    resident_points=((2, 5), (4, 5), (2, 20)),
    change_windows=(5,),
    change_holders=2,
    changes=2,
    hour_accounts=6,
    hour_active=5,
    hour_adults=1,
)


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    yield
    # Subjects log to the standard error of this test, which is closed when it ends.
    structlog.reset_defaults()


def rig_of(directory: Path, brokers: Broker | None = None) -> Rig:
    """Everything is measured in this process, which is quicker."""
    journals = {"sqlite": None} if brokers is None else {"kafka": brokers.bootstrap_servers}
    data = None if brokers is None else brokers.directory / "data"
    return Rig(directory, journals, TINY, 7, data, run=lambda work, *arguments: work(*arguments))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return rig_of(tmp_path)


@pytest.mark.parametrize("subject", quickly(SUBJECTS, "first-sync", "idle", "commit"))
def test_every_subject_measures_and_prints(rig: Rig, subject: str) -> None:
    require_printable(rig, subject)


@pytest.mark.parametrize("subject", ["commit", "change"])
def test_subjects_that_write_to_kafka_themselves_do(tmp_path: Path, broker: Broker, subject: str) -> None:
    require_printable(rig_of(tmp_path, broker), subject)


def require_printable(rig: Rig, subject: str) -> None:
    measure, tables = SUBJECTS[subject]
    found = measure(rig)
    assert json.loads(json.dumps([asdict(figures) for figures in found]))
    for told in tables(found):
        print(told.text())
        assert told.rows
        assert {len(row) for row in told.rows} == {len(told.columns)}
        assert max(map(len, told.text().splitlines())) <= WIDTH
        assert told.markdown().count("\n|") == len(told.rows) + 2


def test_a_first_sync_that_did_not_tell_everything_is_no_measurement(rig: Rig) -> None:
    with rig.bank(1, 1, 10) as bank, pytest.raises(RuntimeError, match="12 events were told of 11 entries"):
        anyio.run(first_sync.sync, Place.fresh(rig.directory, None), bank.base_url, 1, 11)


@pytest.mark.parametrize("after", [PollCounts(90, 89, committed=3), PollCounts(90, 60, committed=2)])
def test_polls_that_found_something_are_not_idle(after: PollCounts) -> None:
    before = PollCounts(polls=30, unchanged=20, committed=2)
    idle.require_idle(before, PollCounts(90, 80, committed=2))
    with pytest.raises(RuntimeError, match="not idle"):
        idle.require_idle(before, after)


def test_a_change_that_was_not_found_is_no_measurement(rig: Rig) -> None:
    # The bank has nothing new to show.
    arguments = (5, 1, 2, per_change.sqlite_written)
    with rig.bank(1, 1, 5) as bank, pytest.raises(RuntimeError, match="0 commits were made of 2 changes"):
        anyio.run(per_change.measure_changes, Place.fresh(rig.directory, None), bank, *arguments)
