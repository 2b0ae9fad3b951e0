"""Cards: every event that they can give, what refers to what, and who is never asked for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.domains.registry import DOMAINS
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

SCENE: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"op": "issue"}, {"CardIssued"}),
    ({"op": "block"}, {"CardStatusChanged"}),
    ({"op": "unblock"}, {"CardStatusChanged"}),
    ({"op": "limits"}, {"CardLimitChanged"}),
    ({"op": "international"}, {"CardAmended"}),
    ({"op": "authorize"}, {"CardAuthorized"}),
    ({"op": "adjust"}, {"AuthorizationAdjusted"}),
    ({"op": "adjust"}, {"AuthorizationAdjusted"}),
    ({"op": "amend"}, {"AuthorizationAmended"}),
    ({"op": "clear", "way": "same_id"}, {"AuthorizationCleared"}),
    ({"op": "amend"}, {"AuthorizationAmended"}),
    ({"op": "authorize_abroad"}, {"CardAuthorized"}),
    ({"op": "clear", "way": "replaces"}, {"AuthorizationCleared"}),
    ({"op": "authorize"}, {"CardAuthorized"}),
    ({"op": "clear", "way": "new_id"}, {"AuthorizationCleared"}),
    ({"op": "authorize"}, {"CardAuthorized"}),
    ({"op": "reverse"}, {"AuthorizationReversed"}),
    ({"op": "authorize"}, {"CardAuthorized"}),
    ({"op": "expire"}, {"AuthorizationExpired"}),
    ({"op": "decline"}, {"AuthorizationDeclined"}),
    ({"op": "remove"}, {"AuthorizationAmended"}),
    ({"op": "replace"}, {"CardIssued", "CardStatusChanged"}),
    ({"op": "expire_card"}, {"CardStatusChanged"}),
)


@pytest.fixture
async def told(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Everything that is told while each thing happens that can happen to a card."""
    async with World.open(tmp_path, people("account-1", scenario="peers")) as world:
        await world.link("account-1")
        async with world.working() as worker:
            await worker.sweep()
            for command, expected in SCENE:
                known = len(await world.told("cards"))
                world.mutate(holder="account-1", domain="cards", **command)
                for _ in range(2):
                    await worker.sweep()
                names = {event["event_type"] for event in (await world.told("cards"))[known:]}
                assert names == expected, command
        await world.assert_sound(lockstep=True)
        return await world.events()


async def test_every_event_of_the_domain_is_told_by_what_causes_it(told: list[tuple[str, dict[str, Any]]]) -> None:
    assert {name for _, names in SCENE for name in names} == set(DOMAINS["cards"].event_types)
    assert {event["event_type"] for topic, event in told if topic == "cards" and event["op"] != "s"} == set(
        DOMAINS["cards"].event_types
    )


async def test_a_cleared_authorisation_names_the_transaction_that_was_posted(
    told: list[tuple[str, dict[str, Any]]],
) -> None:
    posted = {
        event["after"]["transaction"]["transaction_id"]: event["after"]["transaction"]
        for topic, event in told
        if topic == "transactions" and event["event_type"] == "TransactionPosted"
    }
    cards = {event["entity_id"] for topic, event in told if topic == "cards" and event["event_type"] == "CardIssued"}
    cleared = [event for _, event in told if event["event_type"] == "AuthorizationCleared"]
    assert len(cleared) == 3
    for event in cleared:
        card, clearing = event["related"]
        assert (card["relation"], card["domain"], clearing["relation"]) == ("card", "cards", "clearing_transaction")
        assert card["entity_id"] in cards
        assert clearing["domain"] == "transactions"
        booked, line = posted[clearing["entity_id"]], event["after"]["card_authorization"]
        assert (booked["amount"], booked["rail"]) == (line["amount"], "CARD")
    others = [event for _, event in told if event["event_type"] == "CardAuthorized"]
    assert others
    assert all([ref["relation"] for ref in event["related"]] == ["card"] for event in others)


async def test_who_may_not_hold_it_is_never_asked(tmp_path: Path) -> None:
    """A basic account has no card, and what a minor does with theirs is not shown; neither is what there is to ask."""
    async with World.open(tmp_path, people("adult", "basic", "teen"), seed=3) as world:
        account_of = {label: (await world.link(label))[0] for label in ("adult", "basic", "teen")}
        async with world.working() as worker:
            for _ in range(2):
                await worker.sweep()
                world.bank.step(4)
            await worker.sweep()
            await worker.sweep()
        asked = {(path, msisdn) for _, path, msisdn, _ in world.bank.call_counts}
        msisdn = {label: world.holder(label)["msisdn"] for label in account_of}
        cards, activity = "/cards", "/cards/{card_id}/authorizations"
        assert {(cards, msisdn["adult"]), (activity, msisdn["adult"]), (cards, msisdn["teen"])} <= asked
        assert {(cards, msisdn["basic"]), (activity, msisdn["basic"]), (activity, msisdn["teen"])}.isdisjoint(asked)
        assert await world.streams_told("cards", account_of["basic"]) == []
        assert await world.streams_told("cards", account_of["teen"]) == ["StreamOpened", "BackfillCompleted"]
        reduced = [event["after"]["card"] for event in await world.told("cards", account_of["teen"])]
        assert {(card["online_daily_limit"], card["international"]) for card in reduced} == {(None, False)}
        await world.assert_sound()
