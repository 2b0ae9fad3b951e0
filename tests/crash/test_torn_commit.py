"""Negative control: with the atomic commit torn in two, in either order, the oracle must see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.cli import exits
from connector.clock import SystemClock
from connector.proving.proof import prove, wait_settled
from connector.proving.rig import Rig
from tests.support.checked_bank import opened_rig

DEATHS = 3


async def live_torn(rig: Rig, deaths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lives of a connector that dies between the halves of a commit."""
    for holder in await rig.holders():
        await rig.link(holder)
    for life in range(deaths):
        monkeypatch.setenv("TORN_SEED", str(life))
        await rig.start_connector()
        assert rig.connector is not None
        await rig.connector.wait()
        assert rig.connector.returncode == -9
        rig.connector = None
        await rig.ask_bank("client-lost", {})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kafka", "torn", "symptoms"),
    [
        ("sqlite", "state-first", {"missing"}),
        pytest.param("sqlite", "events-first", {"duplicated"}, marks=pytest.mark.proof),
        pytest.param("kafka", "state-first", {"missing"}, marks=pytest.mark.proof),
    ],
    indirect=["kafka"],
)
async def test_the_oracle_sees_a_torn_commit(
    tmp_path: Path, kafka: str | None, monkeypatch: pytest.MonkeyPatch, torn: str, symptoms: set[str]
) -> None:
    monkeypatch.setenv("TORN", torn)
    async with opened_rig(tmp_path, "crash", seed=1, entry="tests.crash.torn_connector", kafka=kafka) as rig:
        await live_torn(rig, DEATHS, monkeypatch)
        rig.entry = "connector.cli"
        await rig.start_connector()
        await SystemClock().sleep(0.5)
        await rig.ask_bank("freeze", {})
        await wait_settled(rig)
        await rig.stop_connector()
        verdict = await prove(rig)
        assert not verdict.sound
        found = {name for row in verdict.rows.values() for name in symptoms if getattr(row, name)}
        assert found == symptoms, verdict


@pytest.mark.proof
@pytest.mark.anyio
@pytest.mark.parametrize("kafka", ["kafka"], indirect=True)
async def test_events_without_their_state_are_refused_at_the_next_start(
    tmp_path: Path, kafka: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Kafka the ends of the event topics say how far the shard had come."""
    monkeypatch.setenv("TORN", "events-first")
    async with opened_rig(tmp_path, "crash", seed=1, entry="tests.crash.torn_connector", kafka=kafka) as rig:
        await live_torn(rig, 1, monkeypatch)
        rig.entry = "connector.cli"
        await rig.start_connector()
        while "holds events of commit" not in rig.log_path.read_text(encoding="utf-8"):
            assert rig.connector is not None
            # Where it is the only shard with events, the process ends; else the others go on.
            assert rig.connector.returncode in {None, exits.CONFIGURATION}
            await SystemClock().sleep(0.2)
        await rig.stop_connector()
        verdict = await prove(rig, settled=False)
        assert not any(row.duplicated for row in verdict.rows.values())
