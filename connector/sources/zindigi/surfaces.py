"""Every surface of the app session by resource kind: those of this distribution, then those that others announce.

An entry point of the group `zindigi_connector.app_session` names a mapping of resource kinds to `Surface`s.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from connector.errors import ConfigurationError
from connector.sources.zindigi import account, bills, bookings, cards, investments, lending, loyalty, transactions
from connector.sources.zindigi.surface import Surface

ENTRY_POINTS = "zindigi_connector.app_session"
_OWN = (
    account.SURFACES,
    transactions.SURFACES,
    cards.SURFACES,
    bills.SURFACES,
    investments.SURFACES,
    lending.SURFACES,
    loyalty.SURFACES,
    bookings.SURFACES,
)


@cache
def surfaces() -> Mapping[str, Surface]:
    """The surfaces by resource kind.

    Raises:
        ConfigurationError: two of them read the same kind, or an entry point names something else.
    """
    found: dict[str, Surface] = {}
    for announced in (*_OWN, *(point.load() for point in entry_points(group=ENTRY_POINTS))):
        for kind, surface in announced.items():
            if kind in found or not isinstance(surface, Surface):
                raise ConfigurationError(f"{ENTRY_POINTS}: {kind} is read twice, or by something that is no Surface")
            found[kind] = surface
    return found
