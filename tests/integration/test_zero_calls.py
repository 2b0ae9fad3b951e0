"""A surface that a tier cannot hold is asked zero times, by the bank's own record of calls.

Every registered kind of resource takes part: which call reads it the client says, who may hold what is written here
once more, and the bank counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.domains.model import Surface
from connector.domains.registry import DOMAINS
from connector.domains.tiers import HOLDINGS, MINOR
from connector.ports import PageRequest, Resource
from connector.sandbox.departments import DEPARTMENTS
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surfaces import surfaces
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World

pytestmark = pytest.mark.anyio

NOT_HELD: dict[str, set[Surface]] = {
    "basic": {"cards", "card-activity", "brokerage", "credit"},
    "teen": {"card-activity", "brokerage", "credit"},
    "adult": set(),
    "borrower": set(),
    "freelancer": set(),
}
"""By holder of the scenario: one of L0, one under 18, two of L1, one ULTRA."""
OPTIONS = ZindigiOptions(base_url="http://127.0.0.1:1")


def template_of(kind_name: str, resource: Resource) -> str:
    """The bank's name of the call that reads a kind of resource."""
    call = surfaces()[kind_name].call(OPTIONS, resource, PageRequest())
    for department in DEPARTMENTS.values():
        for endpoint in department.endpoints:
            if endpoint.method == call.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", endpoint.path), call.path):
                return endpoint.path
    raise LookupError(f"the bank answers nothing that reads {kind_name}")


def kinds() -> Iterator[tuple[str, Surface, str]]:
    """(kind, surface, path template) of everything that is registered."""
    for domain in DOMAINS.values():
        for kind in domain.resources:
            resource = Resource("acc", domain.name, kind, kind.name, "part")
            yield kind.name, kind.surface, template_of(kind.name, resource)


async def asked(world: World) -> dict[str, set[str]]:
    """Kinds of resource that were asked for, by holder, after a day with the connector running by itself."""
    await world.link()
    async with world.running():
        for _ in range(2):
            world.bank.step()
            assert isinstance(world.clock, VirtualClock)
            await world.clock.advance(700.0)
    return {
        label: {
            kind
            for kind, _, path in kinds()
            if any(
                called == path and who == world.holder(label)["msisdn"] for _, called, who, _ in world.bank.call_counts
            )
        }
        for label in NOT_HELD
    }


def forbidden(label: str) -> set[str]:
    return {kind for kind, surface, _ in kinds() if surface in NOT_HELD[label]}


async def test_what_a_tier_cannot_hold_is_asked_zero_times(tmp_path: Path) -> None:
    async with World.open(tmp_path, seed=31, clock=VirtualClock()) as world:
        assert {holder["label"] for holder in world.bank.scenario.model_dump()["holders"]} == set(NOT_HELD)
        found = await asked(world)
        for label, kinds_asked in found.items():
            assert not kinds_asked & forbidden(label), label
        # And everything else was: zero is not the number of a connector that asks nothing.
        everything = {kind for kind, _, _ in kinds()}
        whole = {kind.name for domain in DOMAINS.values() for kind in domain.resources if kind.parts_of is None}
        assert set().union(*found.values()) == everything
        for label, kinds_asked in found.items():
            assert whole - forbidden(label) <= kinds_asked, label
        # The bank refused nobody either.
        assert {status for *_, status in world.bank.call_counts} <= {200, 304, 401}


@pytest.mark.parametrize(("tier", "label"), [("L0", "basic"), (MINOR, "teen")])
async def test_a_table_that_allows_too_much_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, label: str
) -> None:
    monkeypatch.setitem(HOLDINGS, tier, HOLDINGS["L1"])
    async with World.open(tmp_path, seed=31, clock=VirtualClock()) as world:
        holders = tuple(holder for holder in world.bank.scenario.holders if holder.label == label)
        assert holders
        await world.link(label)
        async with world.running():
            assert isinstance(world.clock, VirtualClock)
            await world.clock.advance(60.0)
        called = {path for _, path, who, _ in world.bank.call_counts if who == holders[0].msisdn}
        assert called & {path for kind, _, path in kinds() if kind in forbidden(label)}
