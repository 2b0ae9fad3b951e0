"""SIGTERM finishes what is in flight within ten seconds and ends with 0, also while the bank hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.clock import SystemClock
from connector.proving.proof import prove, wait_settled
from tests.support.checked_bank import opened_rig

SHUTDOWN_SECONDS = 10.0
GRACE_SECONDS = 2.0
"""For the interpreter's own ending, on a busy machine."""


@pytest.mark.anyio
@pytest.mark.parametrize("hanging_seconds", [0, 60])
async def test_sigterm_is_bounded_and_loses_nothing(tmp_path: Path, kafka: str | None, hanging_seconds: int) -> None:
    clock = SystemClock()
    async with opened_rig(tmp_path, "crash", seed=3, kafka=kafka) as rig:
        for holder in await rig.holders():
            await rig.link(holder)
        await rig.start_connector()
        await rig.wait_running()
        await clock.sleep(2.0)
        if hanging_seconds:
            await rig.ask_bank("faults", {"kind": "latency", "params": {"seconds": hanging_seconds}})
            await clock.sleep(1.0)
        asked = clock.monotonic()
        assert await rig.stop_connector() == 0
        assert clock.monotonic() - asked < SHUTDOWN_SECONDS + GRACE_SECONDS
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
