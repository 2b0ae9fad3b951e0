"""Requests that were recorded, made again by a bare client: the limit that reading the same is held against."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

import anyio

from tests.bench.canned_bank import TOKEN
from tests.bench.linked import CONCURRENCY
from tests.bench.measure import Sample, metered
from tests.bench.raw_http import CLIENTS
from tests.bench.shared_bank import Asked

WARM_REQUESTS = 200


async def replay(base_url: str, client: str, batches: Sequence[Sequence[Asked]]) -> list[Sample]:
    """The same requests again, batch by batch, bodies read and not looked at."""
    async with CLIENTS[client](base_url) as ask:

        async def send(one: Asked) -> None:
            headers = {"Authorization": f"Bearer {TOKEN}{one.number}", "X-Device-Id": f"device-{one.number}"}
            if one.tag is not None:
                headers["If-None-Match"] = one.tag
            content = None
            if one.content is not None:
                content = one.content.encode()
                headers["Content-Type"] = "application/json"
            path, _, query = one.target.partition("?")
            await ask(path, dict(parse_qsl(query)), headers, content)

        async def together(requests: Sequence[Asked]) -> None:
            waiting = iter(requests)

            async def lane() -> None:
                for one in waiting:
                    await send(one)

            async with anyio.create_task_group() as lanes:
                for _ in range(CONCURRENCY):
                    lanes.start_soon(lane)

        await together(batches[0][:WARM_REQUESTS])
        samples = []
        for batch in batches:
            with metered() as meter:
                await together(batch)
            samples.append(meter.sample(len(batch)))
        return samples


def run_replay(base_url: str, client: str, batches: Sequence[Sequence[Asked]]) -> list[Sample]:
    """`replay`, in this process."""
    return anyio.run(replay, base_url, client, batches)
