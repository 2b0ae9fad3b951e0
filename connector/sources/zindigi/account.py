"""The holder and the bank accounts as canonical records. Pure.

`/me` is read for two ends: here as the record of the holder, and in `profile` as what decides which surfaces are asked.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from connector.domains.account import ACCOUNT_STATUSES, TIERS, Balance, BankAccountRecord, Holder
from connector.domains.model import UNKNOWN, BookingKey, Entry, Record, Unreadable
from connector.errors import DataError
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface, part_of
from connector.sources.zindigi.wire import (
    Amount,
    Code,
    Currency,
    Identifier,
    ShapeError,
    Text,
    Wire,
    field_names,
    identifier_of,
    understand,
)


class PersonWire(Wire):
    """The person behind a login."""

    name: Text
    cnic: Identifier
    msisdn: Identifier
    email: Text | None


class HolderWire(Wire):
    """`/me`, without the list of accounts."""

    holder: PersonWire
    tier: Code
    segment: Code
    minor: bool


class AccountWire(Wire):
    """What a bank account is."""

    iban: Identifier
    title: Text
    status: Code
    tier: Code
    ccy: Currency


class BalanceWire(Wire):
    """What stands on a bank account."""

    iban: Identifier
    balance: Amount
    available: Amount
    ccy: Currency


_ME_FIELDS: Final = field_names(HolderWire) | {"accounts"}
_PERSON_FIELDS: Final = field_names(PersonWire)
_LISTED_FIELDS: Final = frozenset({"iban", "title", "status"})
_ACCOUNT_FIELDS: Final = field_names(AccountWire) | field_names(BalanceWire)
_HOLDER_KEY: Final = BookingKey(0, Holder.ENTITY_ID)
_ACCOUNT_KEY: Final = BookingKey(0, BankAccountRecord.ENTITY_ID)
_BALANCE_KEY: Final = BookingKey(1, Balance.ENTITY_ID)


def read_holder(_resource: Resource, body: bytes) -> Page:
    """The holder, the only entry of its page.

    Raises:
        DataError: the answer is no JSON object, or has nothing of a holder.
    """
    top = _object_with(_ME_FIELDS, body)
    unknown = UnknownFields()
    unknown.note("", top, _ME_FIELDS)
    if isinstance(person := top.get("holder"), dict):
        unknown.note("holder", person, _PERSON_FIELDS)
    listed = top.get("accounts")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict):
            unknown.note("accounts", item, _LISTED_FIELDS)
    digest = digest_value({name: value for name, value in top.items() if name != "accounts"})
    entry: Entry | Unreadable
    try:
        entry = Entry(_holder(understand(HolderWire, top)), digest)
    except ShapeError as error:
        entry = aside(top, digest, error, Holder.ENTITY_ID, _HOLDER_KEY)
    return Page(entries=(entry,), next_cursor=None, unknown_fields=unknown.counts)


def read_bank_account(resource: Resource, body: bytes) -> Page:
    """A bank account and what stands on it: two entries, of which one may be unreadable without the other.

    Raises:
        DataError: the answer is no JSON object, has nothing of an account, or is of another than was asked for.
    """
    top = _object_with(_ACCOUNT_FIELDS, body)
    unknown = UnknownFields()
    unknown.note("", top, _ACCOUNT_FIELDS)
    stated = identifier_of(top, "iban")
    if stated is not None and stated != part_of(resource):
        raise DataError("iban: another account than was asked for")
    entries = (_read_account(top), _read_balance(top))
    return Page(entries=entries, next_cursor=None, unknown_fields=unknown.counts)


def _object_with(fields: frozenset[str], body: bytes) -> dict[str, Any]:
    """The answer, which is the entry itself: without most fields of it there is no entry to set aside."""
    top = parse_object(body)
    if len(top.keys() & fields) * 2 < len(fields):
        raise ShapeError("the answer: less than half of the fields that it should have")
    return top


def _read_account(top: dict[str, Any]) -> Entry | Unreadable:
    # Each half has a digest of its own: the account's stays when only its balance moved.
    digest = digest_value({name: value for name, value in top.items() if name not in {"balance", "available"}})
    try:
        record: Record = _bank_account(understand(AccountWire, top))
    except ShapeError as error:
        return aside(top, digest, error, BankAccountRecord.ENTITY_ID, _ACCOUNT_KEY)
    return Entry(record, digest)


def _read_balance(top: dict[str, Any]) -> Entry | Unreadable:
    digest = digest_value({name: top.get(name) for name in field_names(BalanceWire)})
    try:
        wire = understand(BalanceWire, top)
    except ShapeError as error:
        return aside(top, digest, error, Balance.ENTITY_ID, _BALANCE_KEY)
    return Entry(Balance(wire.iban, wire.balance, wire.available, wire.ccy), digest)


def _holder(wire: HolderWire) -> Holder:
    return Holder(
        tier=_known(wire.tier, TIERS),
        tier_source=wire.tier,
        minor=wire.minor,
        segment=wire.segment,
        name=wire.holder.name,
        cnic=wire.holder.cnic,
        msisdn=wire.holder.msisdn,
        email=wire.holder.email,
    )


def _bank_account(wire: AccountWire) -> BankAccountRecord:
    return BankAccountRecord(
        iban=wire.iban,
        title=wire.title,
        status=_known(wire.status, ACCOUNT_STATUSES),
        status_source=wire.status,
        tier=_known(wire.tier, TIERS),
        tier_source=wire.tier,
        currency=wire.ccy,
    )


def _known(code: str, codes: frozenset[str]) -> str:
    return code if code in codes else UNKNOWN


def _call_me(_options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return Call("GET", "/me", etag=request.etag)


def _call_account(_options: ZindigiOptions, resource: Resource, request: PageRequest) -> Call:
    return Call("GET", f"/accounts/{quote(part_of(resource), safe='')}", etag=request.etag)


SURFACES: Final = {
    "holder": Surface(_call_me, read_holder),
    "bank_account": Surface(_call_account, read_bank_account),
}
