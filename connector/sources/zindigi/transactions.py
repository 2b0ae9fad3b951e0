"""The bank's transaction feed as canonical `Transaction`s. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from urllib.parse import quote

from connector.domains.model import UNKNOWN, BookingKey, Entry, Unreadable
from connector.domains.transactions import RAILS, STATUSES, Counterparty, Transaction
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface, part_of
from connector.sources.zindigi.wire import (
    CounterpartyWire,
    ShapeError,
    TransactionsEnvelope,
    TransactionWire,
    field_names,
    identifier_of,
    micros_of,
    moment_micros,
    understand,
)

_ENVELOPE_FIELDS: Final = field_names(TransactionsEnvelope)
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
    top = parse_object(body)
    envelope = understand(TransactionsEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _ENVELOPE_FIELDS)
    entries = tuple(_read_item(iban, item, unknown) for item in envelope.items)
    return Page(entries=entries, next_cursor=envelope.next_cursor, unknown_fields=unknown.counts)


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
        entity_id = identifier_of(item, "id")
        order = micros_of(item, "initiated_at", moment_micros)
        key = BookingKey(order, entity_id) if entity_id is not None and order is not None else None
        return Unreadable(digest, str(error), entity_id, key)


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
    parameters = {"limit": str(options.transactions_page_limit)}
    if request.since is not None:
        parameters["from"] = request.since.isoformat()
    if request.cursor is not None:
        parameters["cursor"] = request.cursor
    path = f"/accounts/{quote(part_of(resource), safe='')}/transactions"
    return Call("GET", path, parameters=parameters, etag=request.etag)


SURFACES: Final = {"transactions": Surface(_call_transactions, read_transactions)}
