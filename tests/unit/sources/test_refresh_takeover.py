"""A refresh while the shard changes hands: two keepers over one vault and one bank whose tokens rotate for real.

Whatever moment the first owner stops at, the chain of refresh tokens is broken at most once, and never where the bank's
answer came before the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from connector.errors import ActionRequiredError, FencedError, UnavailableError
from connector.ports import OpenRefresh, PageRequest, RawPage
from connector.sources.zindigi.http import BankHttp
from connector.sources.zindigi.session import LATE_SECONDS
from connector.sources.zindigi.source import ZindigiSource
from tests.support.scripted_bank import ACCOUNT, Bench, reply, resource
from tests.support.virtual_clock import settle

pytestmark = pytest.mark.anyio

PATH = "/z-miles/summary"
DEADLINE_SECONDS = int(30 + LATE_SECONDS)


class Shard:
    """What the owners of a shard commit of a refresh: the last intent, and who may commit."""

    def __init__(self) -> None:
        self.owner = 0
        self.intents: list[tuple[int, int]] = []

    def take_over(self) -> tuple[int, OpenRefresh | None]:
        """The next owner, and what it restores."""
        self.owner += 1
        return self.owner, OpenRefresh(*self.intents[-1]) if self.intents else None

    def intend_as(self, owner: int) -> Callable[[str, int, int], Awaitable[None]]:
        async def intend(_account_id: str, generation: int, deadline_seconds: int) -> None:
            await settle(1)
            if owner != self.owner:
                raise FencedError("another owner has taken over")
            self.intents.append((generation, deadline_seconds))

        return intend


class Owners:
    """Owners of one shard, one after the other; the first one's requests to the bank may be held up."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.bank.always("GET", PATH, reply(200, {"member_id": "M", "balance": 0, "vouchers": []}))
        self.shard = Shard()
        self.held_up: anyio.Event | None = None

    def next(self, *, held_up: bool = False) -> ZindigiSource:
        owner, left_open = self.shard.take_over()
        bank = self.bench.bank

        async def carry(request: httpx.Request) -> httpx.Response:
            if held_up and self.held_up is not None and request.url.path.endswith("/auth/refresh"):
                await self.held_up.wait()
            return await bank(request)

        http = BankHttp(self.bench.options, self.bench.clock, transport=httpx.MockTransport(carry))
        source = ZindigiSource(http, self.bench.vault, self.bench.clock, self.bench.options)
        source.take_charge(ACCOUNT, self.shard.intend_as(owner), left_open)
        return source

    async def let(self, seconds: float) -> None:
        await self.bench.clock.advance(seconds)
        await settle()


@pytest.fixture
def owners() -> Owners:
    owners = Owners()
    owners.bench.hold_session(expires_in_seconds=0)
    return owners


def fetching(source: ZindigiSource) -> asyncio.Task[RawPage]:
    return asyncio.create_task(source.fetch_page(resource("vouchers"), PageRequest()))


async def outcome(task: asyncio.Task[Any]) -> type[BaseException] | None:
    try:
        await task
    except BaseException as error:  # noqa: BLE001  # whatever it was
        return type(error)
    return None


def refreshes(owners: Owners) -> int:
    return owners.bench.bank.count("/auth/refresh")


async def test_an_intent_is_committed_before_the_bank_is_asked(owners: Owners) -> None:
    source = owners.next()
    asked: list[int] = []

    async def note() -> None:
        asked.append(len(owners.shard.intents))

    owners.bench.bank.on_refresh = note
    await fetching(source)
    assert asked == [1]
    assert owners.shard.intents == [(1, DEADLINE_SECONDS)]


async def test_who_was_fenced_asks_nothing_and_silences_nobody(owners: Owners) -> None:
    first = owners.next()
    owners.next()
    assert await outcome(fetching(first)) is UnavailableError
    assert owners.bench.bank.requests == []


async def test_stopped_between_intent_and_call_the_next_owner_refreshes_after_the_deadline(owners: Owners) -> None:
    first, held = owners.next(held_up=True), anyio.Event()
    owners.held_up = held
    stopped = fetching(first)
    await settle()
    assert (owners.shard.intents, refreshes(owners)) == ([(1, DEADLINE_SECONDS)], 0)
    second = fetching(owners.next())
    await owners.let(DEADLINE_SECONDS - 1)
    assert refreshes(owners) == 0
    await owners.let(1)
    assert (await second).body
    # It goes on where it was stopped, and finds its time over: its request never reaches the bank.
    assert await outcome(stopped) is UnavailableError
    held.set()
    await settle()
    assert refreshes(owners) == 1
    assert owners.bench.vault.sessions[ACCOUNT].access_token == owners.bench.bank.access_token


async def test_an_answer_before_the_deadline_reaches_the_next_owner_by_the_vault(owners: Owners) -> None:
    first = owners.next()
    owners.bench.bank.refresh_gate = anyio.Event()
    stopped = fetching(first)
    await settle()
    second = fetching(owners.next())
    await owners.let(DEADLINE_SECONDS - 5)
    owners.bench.bank.refresh_gate.set()
    await settle()
    assert (await stopped).body
    await owners.let(2)
    assert (await second).body
    assert refreshes(owners) == 1


async def test_killed_between_answer_and_vault_ends_in_one_action_required(owners: Owners) -> None:
    first = owners.next()
    owners.bench.vault.store_trouble.append(asyncio.CancelledError())  # type: ignore[arg-type]
    await outcome(fetching(first))
    assert refreshes(owners) == 1
    source = owners.next()
    second = fetching(source)
    await owners.let(DEADLINE_SECONDS)
    assert await outcome(second) is ActionRequiredError
    for _ in range(5):
        await owners.let(60)
        assert await outcome(fetching(source)) is ActionRequiredError
    assert refreshes(owners) == 2


async def test_stopped_with_the_answer_unread_beyond_the_deadline_ends_in_one_action_required(owners: Owners) -> None:
    first = owners.next()
    owners.bench.bank.refresh_gate = anyio.Event()
    stopped = fetching(first)
    await settle()
    source = owners.next()
    second = fetching(source)
    await owners.let(DEADLINE_SECONDS)
    assert await outcome(second) is ActionRequiredError
    owners.bench.bank.refresh_gate.set()
    # Its answer is kept all the same: if the bank left that session alive, everybody goes on with it.
    assert await outcome(stopped) is None
    await owners.let(60)
    assert await outcome(fetching(source)) is None
    assert refreshes(owners) == 2


async def test_the_tokens_of_a_fenced_owner_are_handed_over_and_its_next_refresh_is_not_made(owners: Owners) -> None:
    first = owners.next()
    await fetching(first)
    second = owners.next()
    assert (await fetching(second)).body
    owners.bench.clock.jump(600)
    assert await outcome(fetching(first)) is UnavailableError
    assert refreshes(owners) == 1
    # The last intent was for a session that the vault has a newer one of: there is nothing to wait for.
    assert (await fetching(second)).body
    assert refreshes(owners) == 2


async def test_a_login_while_the_next_owner_waits_ends_the_waiting(owners: Owners) -> None:
    first, owners.held_up = owners.next(held_up=True), anyio.Event()
    stopped = fetching(first)
    await settle()
    second = fetching(owners.next())
    await owners.let(5)
    owners.bench.bank.rotation = 50
    owners.bench.hold_session(1000)
    await owners.let(2)
    assert (await second).body
    assert refreshes(owners) == 0
    owners.held_up.set()
    # Its token is dead, the login's is in the vault.
    assert await outcome(stopped) is None


async def test_without_the_intent_the_chain_breaks(owners: Owners) -> None:
    """The control: an owner that does not heed what was left open locks the holder out."""
    first = owners.next()
    owners.bench.bank.refresh_gate = anyio.Event()
    stopped = fetching(first)
    await settle()
    heedless = owners.next()
    heedless.take_charge(ACCOUNT, owners.shard.intend_as(owners.shard.owner), OpenRefresh(1, 0))
    assert await outcome(fetching(heedless)) is ActionRequiredError
    owners.bench.bank.refresh_gate.set()
    await stopped
