"""What an event must say, by domain: see `rendering`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.sandbox.account import rendering as account
from connector.sandbox.bills import rendering as bills
from connector.sandbox.bookings import rendering as bookings
from connector.sandbox.cards import rendering as cards
from connector.sandbox.investments import rendering as investments
from connector.sandbox.lending import rendering as lending
from connector.sandbox.loyalty import rendering as loyalty
from connector.sandbox.rendering import Expected, Renders
from connector.sandbox.transactions import rendering as transactions

RENDERS: dict[str, Renders] = {
    "account": account.RENDERS,
    "transactions": transactions.RENDERS,
    "cards": cards.RENDERS,
    "bills": bills.RENDERS,
    "investments": investments.RENDERS,
    "lending": lending.RENDERS,
    "loyalty": loyalty.RENDERS,
    "bookings": bookings.RENDERS,
}


def render(change: Mapping[str, Any]) -> tuple[str, Expected]:
    """The field of `after` that must be set, and what must be in it, for a change of the truth that is no removal."""
    entity = change["entity"]
    kind, what = RENDERS[change["domain"]][entity.partition("/")[0] if "/" in entity else ""]
    return kind, what(entity, change["iban"], change["body"])
