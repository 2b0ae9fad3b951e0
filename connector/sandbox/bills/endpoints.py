"""The bank ledger's backend: the feed of bills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.feed import keyset_page
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.keyset import QUERY, keyset_visit
from connector.sandbox.replies import Reply, Visit

if TYPE_CHECKING:
    from connector.sandbox.core import Bank


def _visit(bank: Bank, call: Call) -> Visit:
    return keyset_visit(bank, call, "bills", "bills")


def _bills(bank: Bank, call: Call) -> Reply:
    return keyset_page(bank, call, _visit(bank, call))


ENDPOINTS = (Endpoint("GET", "/bills", "bank", _bills, visit=_visit, query=QUERY),)
