"""The sandbox as a process, over real connections."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from connector.sandbox.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
PROGRAM = """
import sys
from connector.sandbox.server import run
run("crash", port=0, seed=5, ready=lambda port: print(port, flush=True))
"""


@pytest.fixture
async def live() -> AsyncIterator[httpx.AsyncClient]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve("crash", seed=5, ready=port.set_result))
    try:
        headers = {"X-Device-Id": "device-1", "X-App-Version": "4.2.0"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await port}", headers=headers) as client:
            yield client
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def log_in(client: httpx.AsyncClient) -> dict[str, Any]:
    holder: dict[str, Any] = (await client.get("/sandbox/holders")).json()[0]
    body = {"msisdn": holder["msisdn"], "device_id": "device-1", "pin": holder["pin"]}
    asked = await client.post("/zindigi/v2/auth/session", json=body)
    otp = (await client.get("/sandbox/otp", params={"msisdn": holder["msisdn"]})).json()["otp"]
    body |= {"otp": otp, "challenge_id": asked.json()["challenge_id"]}
    tokens = (await client.post("/zindigi/v2/auth/session", json=body)).json()
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return holder


async def test_a_cut_body_ends_the_connection_and_showed_nothing(live: httpx.AsyncClient) -> None:
    holder = await log_in(live)
    path = f"/zindigi/v2/accounts/{holder['ibans'][0]}/transactions"
    await live.post("/sandbox/freeze")
    await live.post("/sandbox/faults", json={"kind": "cut_body"})
    with pytest.raises(httpx.RemoteProtocolError):
        await live.get(path)
    truth = (await live.get("/sandbox/truth", params={"holder": holder["label"]})).json()
    assert all(change["served"] is None for change in truth["holders"][0]["domains"]["transactions"]["changes"])
    assert (await live.get(path)).status_code == 200


async def test_a_client_that_gave_up_waiting_was_shown_nothing(live: httpx.AsyncClient) -> None:
    holder = await log_in(live)
    await live.post("/sandbox/freeze")
    await live.post("/sandbox/faults", json={"kind": "latency", "params": {"seconds": 0.4}})
    with pytest.raises(httpx.ReadTimeout):
        await live.get("/zindigi/v2/z-miles/ledger", timeout=0.1)
    while (await live.get("/sandbox/calls")).json()["latest"][-1]["path"] != "/z-miles/ledger":
        await live.get("/sandbox/health")
    reads = (await live.get("/sandbox/reads")).json()
    assert not any(entry["reads"] for entry in reads if entry["resource"] == "points")
    assert holder


async def test_lives_go_on_while_nobody_looks(live: httpx.AsyncClient) -> None:
    first = (await live.get("/sandbox/health")).json()["ledger_now"]
    assert (await live.get("/sandbox/health")).json()["ledger_now"] > first


def test_sigterm_ends_the_process_cleanly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with httpx.Client() as client:
        assert client.get(f"http://127.0.0.1:{port}/sandbox/health").json()["seed"] == 5
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
