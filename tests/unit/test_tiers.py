"""Who may hold what: one table, and what it comes to for every kind of resource."""

from __future__ import annotations

from typing import get_args

import pytest

from connector.domains.model import BankAccount, Profile, Surface
from connector.domains.registry import DOMAINS
from connector.domains.tiers import HOLDINGS, MINOR, may_hold

ACCOUNT = BankAccount("PK25JSBL9999903000000101", "ACTIVE")
ADULTS_ONLY = {"brokerage", "credit", "card-activity"}


def held(tier: str, *, minor: bool = False) -> set[str]:
    profile = Profile(tier, minor, (ACCOUNT,))
    return {surface for surface in get_args(Surface) if may_hold(profile, surface)}


@pytest.mark.parametrize("tier", ["L1", "ULTRA"])
def test_a_verified_adult_may_hold_every_surface(tier: str) -> None:
    assert held(tier) == set(get_args(Surface))


@pytest.mark.parametrize("tier", ["L0", "L1", "ULTRA", "SOMETHING_NEW"])
def test_a_minor_has_a_reduced_card_and_neither_brokerage_nor_credit(tier: str) -> None:
    assert held(tier, minor=True) == set(get_args(Surface)) - ADULTS_ONLY


def test_a_basic_account_has_no_card_either() -> None:
    assert held("L0") == set(get_args(Surface)) - ADULTS_ONLY - {"cards"}


def test_a_tier_that_is_new_to_us_is_asked_only_for_what_everybody_holds() -> None:
    everybody = set.intersection(*(set(surfaces) for surfaces in HOLDINGS.values()))
    assert held("SOMETHING_NEW") == everybody == held("L0")


def test_the_table_has_a_row_for_every_class_and_every_kind_of_resource_a_column() -> None:
    assert set(HOLDINGS) == {"L0", "L1", "ULTRA", MINOR}
    surfaces = {kind.surface for domain in DOMAINS.values() for kind in domain.resources}
    assert surfaces <= set(get_args(Surface))
