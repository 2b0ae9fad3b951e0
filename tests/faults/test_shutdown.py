"""A stop waits for what is in flight as long as `shutdown_seconds` says, and no longer."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.support.virtual_clock import VirtualClock
from tests.support.world import OPTIONS, World, people

A_WHILE_SECONDS = 3.0


class Hanging:
    """A bank that answers nobody any more."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.asked = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_page(self, resource: Any, request: Any) -> Any:
        del resource, request
        self.asked.set()
        await anyio.sleep_forever()


@pytest.mark.anyio
@pytest.mark.parametrize(("shutdown_seconds", "ends"), [(0.1, True), (inf, False)])
async def test_what_hangs_is_waited_for_as_long_as_is_set(tmp_path: Path, shutdown_seconds: float, ends: bool) -> None:
    options = replace(OPTIONS, shutdown_seconds=shutdown_seconds)
    async with World.open(tmp_path, people("adult"), clock=VirtualClock(), options=options) as world:
        await world.link("adult")
        hanging = Hanging(world.source)
        world.source = cast("Any", hanging)
        stop, ended = anyio.Event(), anyio.Event()

        async def run() -> None:
            await world.worker().run(stop)
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while not hanging.asked.is_set():
                await cast("VirtualClock", world.clock).advance(1)
            stop.set()
            # Without a bound it would be waited for for ever.
            with anyio.move_on_after(300 if ends else A_WHILE_SECONDS):
                await ended.wait()
            assert ended.is_set() is ends
            tasks.cancel_scope.cancel()
