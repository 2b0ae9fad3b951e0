"""Every event of the catalogue comes out of a scenario: the story of `config/scenarios/catalogue.toml`, step by step.

What is about the connection itself, or about a fault, no bank's story can tell: that is done to the connector here.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from connector.domains import lifecycle
from connector.domains.registry import DOMAINS
from connector.domains.stream_events import STREAM_EVENT_TYPES
from connector.sandbox.scenario import load_scenario
from tests.support.once import made_once
from tests.support.world import SCENARIOS, World

LATER = {"ConsentExpired", "ConsentRevoked", "EpochBegan", "EntryQuarantined", "EntryReadable"}
"""Those have tests of their own in `tests/faults`: `test_consent.py`, `test_branch.py`, `test_shifted_fields.py`."""
CATALOGUE = sorted(
    [(domain.name, name) for domain in DOMAINS.values() for name in domain.event_types]
    + [(lifecycle.NAME, name) for name in lifecycle.EVENT_TYPES if name not in LATER]
    + [("every domain", name) for name in STREAM_EVENT_TYPES if name not in LATER]
)
LOAN_IS_PAID = {"repay", "close"}


async def tell_the_story(world: World) -> None:
    """Each command, and what the connector makes of it; complete reads enough that removals are proven."""
    # Before anybody looks: what is pending then is remembered, however old it becomes.
    world.bank.step()
    adult, quiet = await world.link()
    async with world.working() as worker:
        await worker.checkpoint()
        for _ in range(3):
            await worker.sweep()
        world.bank.step()
        await worker.sweep()
        # Its part is told, and it has many entries.
        await world.command("pause", quiet)
        await worker.apply_commands()
        while world.bank.story_left:
            world.bank.step()
            await worker.sweep()
            await worker.sweep()
        await worker.sweep()
        hidden = world.strike("hide_entry", holder="adult", path="/accounts/*/transactions", count=None)
        for _ in range(3):
            await worker.sweep()
        world.bank.faults.clear(hidden.id)
        for _ in range(2):
            await worker.sweep()
        account = worker.accounts[adult]
        await worker.lifecycle.set_degraded(account, degraded=True)
        await worker.lifecycle.set_degraded(account, degraded=False)
        world.strike("session_ended", holder="adult")
        await world.read_once(worker)
        await world.command("resume", quiet)
        await world.command("remove", adult)
        await worker.apply_commands()
        await worker.runner.refresh_profile(worker.accounts[quiet])


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, Any]]]:
    """Everything that the scenario told, with its topic; once for all the tests below."""

    async def lived() -> list[tuple[str, dict[str, Any]]]:
        async with World.open(tmp_path_factory.mktemp("catalogue"), "catalogue", seed=1) as world:
            await tell_the_story(world)
            return await world.events()

    return made_once(tmp_path_factory, "catalogue", partial(anyio.run, lived))


@pytest.fixture(scope="module")
def told(events: list[tuple[str, dict[str, Any]]]) -> dict[str, set[str]]:
    """The event types that were told, by topic."""
    found: dict[str, set[str]] = defaultdict(set)
    for topic, event in events:
        found["every domain" if event["op"] == "s" else topic].add(event["event_type"])
    return found


def test_every_reference_leads_to_an_event(events: list[tuple[str, dict[str, Any]]]) -> None:
    """A consumer can join a `LoanRepaid` to its `TransactionPosted`: by the bank's id in the domain that is named."""
    names: set[tuple[str, str]] = set()
    references: set[tuple[str, str, str]] = set()
    for topic, event in events:
        names.add((topic, event["entity_id"]))
        transaction = (event["after"] or {}).get("transaction")
        if transaction is not None:
            # The bank may have posted it under another id than it was first seen by.
            names.add((topic, transaction["transaction_id"]))
        references |= {(one["relation"], one["domain"], one["entity_id"]) for one in event["related"]}
    assert {relation for relation, _, _ in references} >= {
        "disbursal_transaction", "repayment_transaction", "payment_transaction", "refund_transaction",
        "clearing_transaction", "settlement_transaction", "voucher", "loan", "card", "booking",
    }  # fmt: skip
    assert {(domain, entity_id) for _, domain, entity_id in references} - names == set()


@pytest.mark.parametrize(("topic", "event_type"), CATALOGUE)
def test_it_is_emitted_by_a_scenario(told: dict[str, set[str]], topic: str, event_type: str) -> None:
    assert event_type in told[topic], "no step of config/scenarios/catalogue.toml makes the connector tell it"


def test_nothing_is_told_that_is_not_in_the_catalogue(told: dict[str, set[str]]) -> None:
    names = {(topic, name) for topic, found in told.items() for name in found}
    assert names - set(CATALOGUE) <= {(lifecycle.NAME, name) for name in LATER}


@pytest.mark.anyio
async def test_a_step_that_is_left_out_is_noticed(tmp_path: Path) -> None:
    """The table is the catalogue's, not what was told: without the step that repays, nobody tells of a repayment."""
    whole = load_scenario(SCENARIOS / "catalogue.toml")
    story = tuple(command for command in whole.story if command.domain == "lending" and command.op not in LOAN_IS_PAID)
    async with World.open(tmp_path, whole.model_copy(update={"story": story})) as world:
        await world.link("adult")
        async with world.working() as worker:
            while world.bank.story_left:
                world.bank.step()
                await worker.sweep()
        names = {event["event_type"] for event in await world.told("lending")}
        assert "LoanDisbursed" in names
        assert "LoanRepaid" not in names
