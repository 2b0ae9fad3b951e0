"""A holder with two accounts, read from the bank: own transfers are marked, and naming costs no event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.consumers.parties import PartyBook
from connector.parties import NOBODY
from tests.support.world import World, people

SIDES = ("iban", "cnic", "alias")


def lines(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["after"]["transaction"] for event in told if event["after"] and event["after"]["transaction"]]


@pytest.mark.anyio
async def test_own_transfers_are_marked_from_the_bank_to_the_consumer(tmp_path: Path) -> None:
    async with World.open(tmp_path, people("freelancer"), seed=11) as world:
        [account_id] = await world.link("freelancer")
        holder = world.holder("freelancer")
        async with world.working() as worker:
            await worker.sweep()
            told = await world.events("transactions")
            memory = repr(worker.accounts[account_id].profile) + repr(worker.accounts[account_id].own)
            assert holder["cnic"] not in memory
            assert holder["msisdn"] not in memory
        stated = [line for line in lines([event for _, event in told]) if line["counterparty"]]
        own = [line for line in stated if line["counterparty"]["iban"] in holder["ibans"]]
        assert own
        assert len(own) < len(stated)
        for line in stated:
            named = any(line["counterparty"][side] for side in SIDES)
            assert (line["party"] is not None) == named
            assert bool(line["party"] and line["party"]["own_transfer"]) == (line in own)
        book = PartyBook()
        for _, event in told:
            book.apply(event)
        assert len({book.account(token).token for token in book.tokens("account") if book.account(token).own}) == 2
        assert len(book.own_transfers()) == len(own)


@pytest.mark.anyio
async def test_a_holder_who_comes_to_be_known_otherwise_changes_nothing(tmp_path: Path) -> None:
    """Naming is derived: whoever the holder is thought to be, the bank has changed nothing."""
    async with World.open(tmp_path, people("freelancer"), seed=11) as world:
        [account_id] = await world.link("freelancer")
        world.bank.freeze()
        async with world.working() as worker:
            await worker.sweep()
            told = len(await world.events("transactions"))
            account = worker.accounts[account_id]
            [*resources] = [one for (domain, _), one in account.resources.items() if domain == "transactions"]
            account.own = NOBODY
            for resource in resources:
                # As if nothing had ever been read: every page is looked into again.
                memory = account.resource("transactions", resource.name)
                memory.meta = replace(memory.meta, head_digest=None, sweep_digest=None)
                memory.etag = None
                await worker.polls.poll(account, resource, worker.commits)
            assert len(await world.events("transactions")) == told
