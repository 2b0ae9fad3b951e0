"""Answers that break off, hang or are no JSON, over a real connection: none of them is believed, nothing is lost.

The bank is served by its own server on a loopback port here: what a half-sent body looks like is the server's and the
HTTP library's business, and has to be seen as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from connector.sandbox import server
from connector.sandbox.faults import Kind
from connector.sources.zindigi.options import ZindigiOptions
from tests.contract.journal.backends import Backend
from tests.support.feeds import Feed
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

PATHS = {
    "transactions": "/accounts/*/transactions",
    "bills": "/bills",
    "bookings": "/bookings",
    "loan": "/advance-cash/*",
    "points": "/z-miles/ledger",
    "vouchers": "/z-miles/summary",
    "holdings": "/invest/v1/portfolio",
    "orders": "/invest/v1/orders",
}
READ_TIMEOUT_SECONDS = 0.3


@pytest.fixture
async def world(tmp_path: Path, place: Backend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with World.open(tmp_path, people("borrower", history_days=20), seed=9, place=place) as opened:
        ports: list[int] = []
        listening = anyio.Event()

        def ready(port: int) -> None:
            ports.append(port)
            listening.set()

        # The server serves the very bank of this world.
        monkeypatch.setattr(server, "create_app", lambda *_: opened.app)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server.serve(opened.bank.scenario, ready=ready))
            with anyio.fail_after(10):
                await listening.wait()
            await opened.use_network(
                ZindigiOptions(
                    base_url=f"http://127.0.0.1:{ports[0]}",
                    read_timeout_seconds=READ_TIMEOUT_SECONDS,
                    request_deadline_seconds=READ_TIMEOUT_SECONDS * 3,
                    transactions_page_limit=20,
                )
            )
            await opened.link("borrower")
            yield opened
            await opened.source.close()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["cut_body", "truncated_json", "non_json"])
async def test_a_body_that_is_not_whole_is_not_believed(world: World, log: Log, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.events())
        world.bank.step()
        for name, path in PATHS.items():
            fault = world.strike(kind, path=path, count=2)
            for _ in range(2):
                await world.read_once(worker, kinds={name})
            assert fault.fired == 2
        failures = log.lines("read_failed")
        assert [line["error"] for line in failures] == ["UnavailableError"] * 2 * len(PATHS)
        assert len(await world.events()) == known
        for _ in range(3):
            await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["truncated_json", "non_json"])
async def test_a_later_page_that_is_not_whole_spoils_the_read(
    tmp_path: Path, place: Backend, feed: Feed, log: Log, kind: Kind
) -> None:
    scenario = people("borrower")
    async with World.open(tmp_path, scenario, seed=9, clock=VirtualClock(), page_limit=10, place=place) as world:
        feed.fill(world, "borrower", 30, days=20)
        await world.link("borrower", domains=frozenset({feed.domain, "account"}))
        async with world.working() as worker:
            await worker.sweep()
            known = len(await world.told(feed.domain))
            world.mutate(holder="borrower", domain=feed.domain, op="add")
            world.mutate(holder="borrower", domain=feed.domain, op="remove", age_days=4)

            def strike_second_page(request: httpx.Request) -> None:
                if "cursor" in request.url.params and not world.bank.faults.standing():
                    world.strike(kind, path=feed.path)

            world.transport.before_call = strike_second_page
            world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
            await world.read_once(worker, kinds={feed.domain})
            assert [line["error"] for line in log.lines("read_failed")] == ["UnavailableError"]
            assert len(await world.told(feed.domain)) == known
            for _ in range(2):
                await worker.sweep()
            await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["latency", "trickle"])
async def test_an_answer_that_takes_too_long_is_given_up(world: World, log: Log, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        world.bank.step()
        known = len(await world.events())
        world.strike(kind, path="/accounts/*/transactions", params={"seconds": READ_TIMEOUT_SECONDS * 20})
        began = world.clock.monotonic()
        await world.read_once(worker, kinds={"transactions"})
        assert READ_TIMEOUT_SECONDS * 0.9 <= world.clock.monotonic() - began < READ_TIMEOUT_SECONDS * 10
        [failure] = log.lines("read_failed")
        assert failure["error"] == "UnavailableError"
        assert len(await world.events()) == known
        for _ in range(3):
            await worker.sweep()
        await world.assert_sound(lockstep=True)
