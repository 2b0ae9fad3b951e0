"""A field that was renamed, retyped or lost: the entry is quarantined once, sealed, and its neighbours flow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.domains.registry import DOMAINS
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox.faults import Kind
from tests.contract.journal.backends import Backend
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

FIELD_KINDS: tuple[Kind, ...] = ("field_renamed", "field_retyped", "field_missing")
LONGEST_SECONDS = max(kind.reconcile_interval_seconds for domain in DOMAINS.values() for kind in domain.resources)
OTHER = {"of": "another type"}
NAMELESS = "?"
"""With what the name of an entry begins whose id cannot be read."""
ENTRIES = {
    # One entity of every resource, and a field that it cannot be understood without.
    "holder": ("/me", "segment"),
    "bank_account": ("/accounts/*", "title"),
    "transactions": ("/accounts/*/transactions", "amount"),
    "bills": ("/bills", "due_on"),
    "bookings": ("/bookings", "total"),
    "cards": ("/cards", "status"),
    "authorizations": ("/cards/*/authorizations", "state"),
    "loan": ("/advance-cash/*", "OUTSTANDING"),
    "points": ("/z-miles/ledger", "points"),
    "vouchers": ("/z-miles/summary", "status"),
    "holdings": ("/invest/v1/portfolio", "costValue"),
    "orders": ("/invest/v1/orders", "filledQuantity"),
    "nav": ("/invest/v1/funds/*", "publishedAt"),
}
DOMAIN = {kind.name: domain.name for domain in DOMAINS.values() for kind in domain.resources}
PREFIX = {
    "holder": "holder",
    "bank_account": "bank-account/",
    "transactions": "",
    "bills": "bill/",
    "bookings": "booking/",
    "cards": "card/",
    "authorizations": "authorization/",
    "loan": "loan/",
    "points": "points/",
    "vouchers": "voucher/",
    "holdings": "holding/",
    "orders": "order/",
    "nav": "nav/",
}


@pytest.fixture
async def world(tmp_path: Path, place: Backend, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Somebody with everything, linked; where a test is about one resource, with its domain and a neighbour."""
    spec = getattr(request.node, "callspec", None)
    kind_name = spec.params.get("kind_name") if spec is not None else None
    domains = frozenset(DOMAINS) if kind_name is None else frozenset({DOMAIN[kind_name], "transactions", "bills"})
    async with World.open(tmp_path, people("borrower"), seed=10, clock=VirtualClock(), place=place) as opened:
        await opened.link("borrower", domains=domains)
        for _ in range(2):
            opened.mutate(holder="borrower", domain="loyalty", op="redeem")
            opened.mutate(holder="borrower", domain="bills", op="add")
            opened.mutate(holder="borrower", domain="bookings", op="add")
        yield opened


async def look(world: World, worker: ShardWorker, times: int = 2) -> None:
    for _ in range(times):
        world.clock.jump(LONGEST_SECONDS + 1)  # type: ignore[attr-defined]
        await world.read_once(worker)


def victim(world: World, kind_name: str) -> str:
    """The truth's name of an entity of the resource, neither the first nor the last."""
    present = world.bank.life("borrower").ledgers[DOMAIN[kind_name]].present  # type: ignore[index]
    fitting = sorted(entity for entity in present if entity.startswith(PREFIX[kind_name]))
    # One that goes on changing would be set aside again, and rightly.
    paid = [entity for entity in fitting if (present[entity].body or {}).get("settlementTransactionId")]
    fitting = paid or fitting
    return fitting[len(fitting) // 2]


def named(world: World, kind_name: str, entity: str) -> str:
    """What events call an entity of the truth."""
    return world.bank.life("borrower").ledgers[DOMAIN[kind_name]].present[entity].name  # type: ignore[index]


def brief(told: tuple[str, dict[str, Any]]) -> tuple[str, str, str]:
    """Of an event of a stream about one of its entries: the topic, what happened, and to which."""
    topic, event = told
    return topic, event["event_type"], event["entity_id"]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FIELD_KINDS)
@pytest.mark.parametrize("kind_name", ENTRIES)
async def test_an_entry_that_cannot_be_read_is_set_aside_once_and_told_once_it_can(
    world: World, log: Log, kind: Kind, kind_name: str
) -> None:
    path, field = ENTRIES[kind_name]
    async with world.working() as worker:
        await worker.sweep()
        known = await world.events()
        entity = victim(world, kind_name)
        world.strike(kind, path=path, count=None, params={"field": field, "value": OTHER, "entity": entity})
        await look(world, worker, times=3)
        # Understood by nobody, and yet there: nothing was removed, and it is quarantined and told so once.
        told = (await world.events())[len(known) :]
        assert [brief(event) for event in told] == [
            (DOMAIN[kind_name], "EntryQuarantined", named(world, kind_name, entity))
        ]
        assert told[0][1]["field"].endswith(field)
        [row] = await world.quarantine()
        assert row["domain"] == DOMAIN[kind_name]
        assert field in row["reason"]
        assert row["entity_id"] == named(world, kind_name, entity)
        # Neighbours flow meanwhile.
        world.bank.step()
        await look(world, worker)
        assert any(event["op"] != "s" for _, event in (await world.events())[len(known) :])
        assert log.lines("read_failed") == []
        world.bank.faults.clear()
        for _ in range(3):
            await worker.sweep()
        await world.assert_sound()
        assert [row["reason"] for row in await world.quarantine()].count(row["reason"]) == 1
        over = [brief(event) for event in await world.events() if event[1]["event_type"] == "EntryReadable"]
        assert over == [(DOMAIN[kind_name], "EntryReadable", named(world, kind_name, entity))]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FIELD_KINDS)
async def test_a_new_entry_that_cannot_be_read_is_created_once_it_can(world: World, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        world.mutate(holder="borrower", domain="transactions", op="add")
        entity = world.bank.life("borrower").ledgers["transactions"].changes[-1].entity
        world.strike(
            kind,
            path="/accounts/*/transactions",
            count=None,
            params={"field": "status", "value": OTHER, "entity": entity},
        )
        await look(world, worker, times=3)
        assert len(await world.told("transactions")) == known
        assert len(await world.quarantine()) == 1
        # A restart remembers it, and does not quarantine it again.
    async with world.working() as worker:
        await look(world, worker, times=2)
        assert len(await world.quarantine()) == 1
        world.bank.faults.clear()
        await worker.sweep()
        await worker.sweep()
        [created] = (await world.told("transactions"))[known:]
        assert (created["op"], created["entity_id"], created["entity_version"]) == ("c", entity, 1)
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FIELD_KINDS)
async def test_while_an_id_cannot_be_read_no_removal_is_believed(world: World, kind: Kind) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        entity = victim(world, "transactions")
        world.strike(
            kind, path="/accounts/*/transactions", count=None, params={"field": "id", "value": OTHER, "entity": entity}
        )
        world.mutate(holder="borrower", domain="transactions", op="remove", age_days=15)
        await look(world, worker, times=4)
        assert len(await world.told("transactions")) == known
        [row] = await world.quarantine()
        # Nobody can say which entry it is: it goes by what it looks like.
        assert row["entity_id"].startswith(NAMELESS)
        world.bank.faults.clear()
        await look(world, worker, times=3)
        [removed] = (await world.told("transactions"))[known:]
        assert removed["op"] == "d"
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FIELD_KINDS)
@pytest.mark.parametrize(
    ("path", "field", "kind_name"),
    [
        ("/accounts/*/transactions", "$.items", "transactions"),
        ("/accounts/*/transactions", "$.next_cursor", "transactions"),
        ("/bills", "$.items", "bills"),
        ("/bills", "$.next_cursor", "bills"),
        ("/bookings", "$.items", "bookings"),
        ("/bookings", "$.next_cursor", "bookings"),
        ("/cards", "$.cards", "cards"),
        ("/cards/*/authorizations", "$.items", "authorizations"),
        ("/advance-cash/*", "$.DATA.LOANS", "loan"),
        ("/advance-cash/*", "$.RESPONSE_CODE", "loan"),
        ("/z-miles/ledger", "$.entries", "points"),
        ("/z-miles/ledger", "$.has_more", "points"),
        ("/z-miles/summary", "$.vouchers", "vouchers"),
        ("/invest/v1/portfolio", "$.funds", "holdings"),
        ("/invest/v1/orders", "$.content", "orders"),
        ("/invest/v1/orders", "$.totalElements", "orders"),
        ("/invest/v1/funds/*", "$.navs", "nav"),
    ],
)
async def test_a_page_that_cannot_be_read_is_no_empty_page(
    world: World, log: Log, kind: Kind, path: str, field: str, kind_name: str
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told(DOMAIN[kind_name]))
        world.bank.step()
        world.strike(kind, path=path, count=None, params={"field": field, "value": OTHER})
        await look(world, worker, times=2)
        failures = [line for line in log.lines("read_failed") if line["resource"].startswith(kind_name)]
        # Without a code of the lending core an answer is the network's: it is away.
        error = "UnavailableError" if field == "$.RESPONSE_CODE" else "ShapeError"
        assert {line["error"] for line in failures} == {error}
        assert field.rpartition(".")[2] in failures[0]["problem"]
        ops = {event["op"] for event in (await world.told(DOMAIN[kind_name]))[known:]}
        assert "d" not in ops
        world.bank.faults.clear()
        for _ in range(3):
            await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["tier", "minor", "accounts"])
async def test_a_profile_that_cannot_be_read_closes_nothing(world: World, log: Log, field: str) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        world.strike("field_missing", path="/me", params={"field": field})
        await world.read_once(worker)
        [failure] = log.lines("read_failed")
        assert (failure["resource"], failure["error"]) == ("profile", "ShapeError")
        assert field in failure["problem"]
        assert "StreamClosed" not in " ".join(await world.streams_told("transactions", account_id))
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_a_field_that_is_new_is_counted_and_changes_nothing(world: World) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.events())
        # Renamed to its own name beside a stranger: an unknown field on every item.
        world.strike("field_retyped", path="/z-miles/summary", params={"field": "$.member_id", "value": 7})
        world.strike("field_renamed", path="/z-miles/summary", params={"field": "$.balance", "to": "balance_new"})
        await look(world, worker, times=2)
        assert len(await world.events()) == known
        assert worker.polls.counts.unknown_fields.get("balance_new") == 1
