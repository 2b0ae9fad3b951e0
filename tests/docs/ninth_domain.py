"""Runs with the ninth domain installed: links a holder, lets pots change, and prints what was told of them.

`python -m tests.docs.ninth_domain DIRECTORY JOURNAL`, where JOURNAL is `sqlite` or a broker's bootstrap servers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connector.sandbox.gateway import BASE_PATH
from tests.contract.journal.backends import Backend, SqliteBackend, fresh_kafka
from tests.support.world import World, people

UMRAH = {"id": "P1", "title": "Umrah", "target": 500000.0, "saved": 120000.5, "ccy": "PKR", "target_on": "2027-05-01"}
LAPTOP = {"id": "P2", "title": "Laptop", "target": None, "saved": 0.0, "ccy": "PKR", "target_on": None}


async def live(directory: Path, place: Backend) -> list[dict[str, Any]]:
    """Every event of the domain, after two pots were opened, one came up to its target, one went, and one was odd."""
    pots: list[dict[str, Any]] = [UMRAH, LAPTOP]

    async def answer(_request: Request) -> JSONResponse:
        return JSONResponse({"pots": pots})

    async with World.open(directory, people("adult"), seed=1, place=place) as world:
        world.app.routes.insert(0, Route(f"{BASE_PATH}/pots", answer))
        # The bank's contract does not know pots: its answers go past the check.
        world.transport = httpx.ASGITransport(app=world.app)  # type: ignore[assignment]
        await world.source.close()
        world.new_source()
        await world.link("adult")
        async with world.working() as worker:
            await worker.sweep()
            pots[0] = UMRAH | {"saved": 500000.0}
            await worker.sweep()
            pots[1] = LAPTOP | {"saved": "not-an-amount"}
            await worker.sweep()
            del pots[1]
        async with world.working() as worker:
            # Restored from the journal, as after a restart.
            for _ in range(3):
                await worker.sweep()
        world.transport.failure = None  # type: ignore[attr-defined]
        return [event for _, event in await world.events("pots")]


async def main(directory: str, journal: str) -> None:
    place: Backend = (
        SqliteBackend(f"{directory}/journal.db", shard_count=1)
        if journal == "sqlite"
        else await fresh_kafka(journal, shard_count=1)
    )
    for event in await live(Path(directory), place):
        print(json.dumps(event, default=str))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
