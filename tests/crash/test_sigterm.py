"""SIGTERM finishes what is in flight within ten seconds and ends with 0, also while the bank hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.clock import SystemClock
from connector.proving.proof import prove, wait_settled
from tests.support.checked_bank import opened_rig

HANGING_SECONDS = 600
"""How long the bank lets everybody wait: nobody who waits for it ends before."""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kafka", "hangs"),
    [
        pytest.param("sqlite", False, marks=pytest.mark.proof),
        pytest.param("kafka", False, marks=pytest.mark.proof),
        ("sqlite", True),
        pytest.param("kafka", True, marks=pytest.mark.proof),
    ],
    indirect=["kafka"],
)
async def test_sigterm_is_bounded_and_loses_nothing(tmp_path: Path, kafka: str | None, *, hangs: bool) -> None:
    clock = SystemClock()
    async with opened_rig(tmp_path, "crash", seed=3, kafka=kafka) as rig:
        for holder in await rig.holders():
            await rig.link(holder)
        await rig.start_connector()
        await rig.wait_running()
        await clock.sleep(2.0)
        if hangs:
            await rig.ask_bank("faults", {"kind": "latency", "params": {"seconds": HANGING_SECONDS}})
            await clock.sleep(1.0)
        # Whoever waited for the bank would be killed by then; for how long it waits: tests/faults/test_shutdown.py.
        assert await rig.stop_connector() == 0
        # What it was shown and could not tell any more, the next life tells.
        await rig.ask_bank("client-lost", {})
        await rig.ask_bank("faults", method="DELETE")
        await rig.start_connector()
        await rig.wait_running()
        await rig.ask_bank("freeze", {})
        await wait_settled(rig)
        assert await rig.stop_connector() == 0
        verdict = await prove(rig)
        assert verdict.sound, verdict.findings
