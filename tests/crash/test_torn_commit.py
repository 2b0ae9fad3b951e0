"""Negative control: with the atomic commit torn in two, in either order, the oracle must see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.clock import SystemClock
from connector.proving.proof import prove, wait_settled
from tests.support.checked_bank import opened_rig

DEATHS = 3


@pytest.mark.anyio
@pytest.mark.parametrize(("torn", "symptoms"), [("state-first", {"missing"}), ("events-first", {"duplicated"})])
async def test_the_oracle_sees_a_torn_commit(
    tmp_path: Path, kafka: str | None, monkeypatch: pytest.MonkeyPatch, torn: str, symptoms: set[str]
) -> None:
    monkeypatch.setenv("TORN", torn)
    async with opened_rig(tmp_path, "crash", seed=1, entry="tests.crash.torn_connector", kafka=kafka) as rig:
        for holder in await rig.holders():
            await rig.link(holder)
        for life in range(DEATHS):
            monkeypatch.setenv("TORN_SEED", str(life))
            await rig.start_connector()
            assert rig.connector is not None
            await rig.connector.wait()
            assert rig.connector.returncode == -9
            rig.connector = None
            await rig.ask_bank("client-lost", {})
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
