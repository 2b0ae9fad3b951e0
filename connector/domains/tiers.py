"""Tiers: what each class of customer may hold. One table; what is not in it is never asked of the bank.

Under-18 (Gen Z) accounts have no brokerage and no credit, and a reduced card whose activity is not shown; basic
accounts (L0) have neither a card nor what needs a verified adult.
"""

from __future__ import annotations

from connector.domains.model import Profile, Surface

MINOR = "MINOR"

_EVERYBODY: frozenset[Surface] = frozenset({"wallet", "bills", "points", "marketplace"})
_VERIFIED_ADULT: frozenset[Surface] = _EVERYBODY | {"cards", "card-activity", "brokerage", "credit"}

HOLDINGS: dict[str, frozenset[Surface]] = {
    "L0": _EVERYBODY,
    "L1": _VERIFIED_ADULT,
    "ULTRA": _VERIFIED_ADULT,
    MINOR: _EVERYBODY | {"cards"},
}
"""Surfaces by tier; an account under 18 is `MINOR`, whatever its tier."""


def may_hold(profile: Profile, surface: Surface) -> bool:
    """May this holder have the surface at all? One of a tier that is new to us holds what everybody does."""
    return surface in HOLDINGS.get(MINOR if profile.minor else profile.tier, _EVERYBODY)


def is_known_tier(profile: Profile) -> bool:
    """Does the bank state a tier that we know what to make of?"""
    return profile.minor or profile.tier in HOLDINGS
