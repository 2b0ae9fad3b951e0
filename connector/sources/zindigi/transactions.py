"""The bank's transaction feed as canonical `Transaction`s. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final
from urllib.parse import quote

from connector.domains.model import UNKNOWN, Entry, Unreadable
from connector.domains.transactions import RAILS, STATUSES, Counterparty, Transaction
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.exact_json import UnknownFields, digest_value
from connector.sources.zindigi.keyset import call_feed, read_feed, unreadable
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface, part_of
from connector.sources.zindigi.wire import CounterpartyWire, ShapeError, TransactionWire, field_names, understand

_ITEM_FIELDS: Final = field_names(TransactionWire)
_COUNTERPARTY_FIELDS: Final = field_names(CounterpartyWire)
_RECEIVED_FAMILY: Final = {"ICDT": "RCDT", "IRCT": "RRCT"}
"""ISO 20022 family of a received transfer, by that of an issued one."""


def read_transactions(resource: Resource, body: bytes) -> Page:
    """One page of the feed.

    Raises:
        DataError: the page has no `items` or `next_cursor` of the right type, or is not JSON.
    """
    iban = part_of(resource)
    return read_feed(body, partial(_read_item, iban))


def _read_item(iban: str, item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        if len(item) != len(_ITEM_FIELDS) or item.keys() != _ITEM_FIELDS:
            unknown.note("items", item, _ITEM_FIELDS)
        party = item.get("counterparty")
        if isinstance(party, dict) and party.keys() != _COUNTERPARTY_FIELDS:
            unknown.note("items.counterparty", party, _COUNTERPARTY_FIELDS)
    try:
        return Entry(_transaction(iban, understand(TransactionWire, item)), digest)
    except ShapeError as error:
        return unreadable(item, digest, str(error), "initiated_at")


def _transaction(iban: str, wire: TransactionWire) -> Transaction:
    party = wire.counterparty
    posted_at = wire.posted_at
    return Transaction(
        iban=iban,
        transaction_id=wire.id,
        replaces=wire.replaces,
        rail=wire.rail if wire.rail in RAILS else UNKNOWN,
        rail_source=wire.rail,
        bank_transaction_code=_bank_transaction_code(wire.rail, wire.amount),
        amount=wire.amount,
        currency=wire.ccy,
        status=STATUSES.get(wire.status, UNKNOWN),
        status_source=wire.status,
        initiated_at=wire.initiated_at.instant,
        initiated_at_source=wire.initiated_at.source,
        posted_at=posted_at.instant if posted_at else None,
        posted_at_source=posted_at.source if posted_at else None,
        balance_after=wire.balance_after,
        counterparty=Counterparty(party.alias, party.iban, party.cnic, party.name) if party else None,
        biller=wire.biller,
        receipt_ref=wire.receipt_ref,
    )


def _bank_transaction_code(rail: str, amount: Decimal) -> str | None:
    """The rail's code; the table names the debit's, a credit transfer coming in has the received family."""
    code = RAILS.get(rail)
    if code is None or amount < 0:
        return code
    domain, family, subfamily = code.split("-")
    return f"{domain}-{_RECEIVED_FAMILY.get(family, family)}-{subfamily}"


def _call_transactions(options: ZindigiOptions, resource: Resource, request: PageRequest) -> Call:
    return call_feed(f"/accounts/{quote(part_of(resource), safe='')}/transactions", options, request)


SURFACES: Final = {"transactions": Surface(_call_transactions, read_transactions)}
