"""The bank ledger's backend: the feed of orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.feed import keyset_page
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.keyset import QUERY, keyset_visit
from connector.sandbox.replies import Reply, Visit

if TYPE_CHECKING:
    from connector.sandbox.core import Bank


def _visit(bank: Bank, call: Call) -> Visit:
    return keyset_visit(bank, call, "bookings", "bookings")


def _bookings(bank: Bank, call: Call) -> Reply:
    return keyset_page(bank, call, _visit(bank, call))


ENDPOINTS = (Endpoint("GET", "/bookings", "bank", _bookings, visit=_visit, query=QUERY),)
