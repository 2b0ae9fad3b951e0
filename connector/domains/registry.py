"""The registered domains, by name."""

from __future__ import annotations

from connector.domains.lending import LENDING
from connector.domains.loyalty import LOYALTY
from connector.domains.model import Domain
from connector.domains.transactions import TRANSACTIONS

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (TRANSACTIONS, LENDING, LOYALTY)}
