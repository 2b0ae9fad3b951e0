"""The registered domains, by name: those of this distribution, then those that other distributions announce.

An entry point of the group `zindigi_connector.domains` names a `Domain`; its name is the domain's. What is installed is
looked up once, when this is first imported.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from connector.domains.account import ACCOUNT
from connector.domains.bills import BILLS
from connector.domains.bookings import BOOKINGS
from connector.domains.cards import CARDS
from connector.domains.investments import INVESTMENTS
from connector.domains.lending import LENDING
from connector.domains.loyalty import LOYALTY
from connector.domains.model import Domain
from connector.domains.transactions import TRANSACTIONS
from connector.errors import ConfigurationError

ENTRY_POINTS = "zindigi_connector.domains"
_RESERVED = "lifecycle"


def _registered(domains: tuple[Domain, ...]) -> dict[str, Domain]:
    """Domains by name.

    Raises:
        ConfigurationError: two domains, or two resource kinds, share a name.
    """
    found: dict[str, Domain] = {}
    kinds: set[str] = set()
    for domain in domains:
        if domain.name in found or domain.name == _RESERVED:
            raise ConfigurationError(f"two domains are called {domain.name}: an installed package adds one of them")
        found[domain.name] = domain
        for kind in domain.resources:
            if kind.name in kinds:
                raise ConfigurationError(f"two resource kinds are called {kind.name}, one of them in {domain.name}")
            kinds.add(kind.name)
    return found


def _announced() -> tuple[Domain, ...]:
    """The domains of other distributions, in the order of their names.

    Raises:
        ConfigurationError: an entry point cannot be loaded, or names something else.
    """
    domains = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            domain = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"the domain {point.name} cannot be loaded from {point.value}: {error}; mend or remove its package"
            ) from error
        if not isinstance(domain, Domain):
            raise ConfigurationError(f"the entry point {point.name} ({point.value}) of {ENTRY_POINTS} is no Domain")
        domains.append(domain)
    return tuple(domains)


DOMAINS: dict[str, Domain] = _registered(
    (ACCOUNT, TRANSACTIONS, CARDS, BILLS, INVESTMENTS, LENDING, LOYALTY, BOOKINGS, *_announced())
)
