"""Cards and their authorisations as canonical records. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import PlainValidator, StringConstraints

from connector.domains.cards import CARD_KINDS, CARD_STATUSES, CHANNELS, STATES, Card, CardAuthorization
from connector.domains.model import UNKNOWN, Entry, Unreadable
from connector.limits import MAXIMUM_CARDS
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object
from connector.sources.zindigi.keyset import call_feed, read_feed, unreadable
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface, part_of
from connector.sources.zindigi.wire import (
    SIGNIFICANT_DIGITS,
    Amount,
    Code,
    Currency,
    Identifier,
    MomentText,
    Month,
    Reference,
    ShapeError,
    Text,
    Wire,
    bounded,
    field_names,
    json_number,
    scaled,
    understand,
)

_FOREIGN_SCALE: Final = 3


def _foreign_amount(value: object) -> Decimal:
    """An exact JSON number with at most 3 decimals, as some currencies have them; its scale is restored."""
    return scaled(json_number(value), _FOREIGN_SCALE, SIGNIFICANT_DIGITS)


_ForeignAmount = Annotated[Decimal, PlainValidator(_foreign_amount)]
_Last4 = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]


class LimitsWire(Wire):
    """What a card may do in a day."""

    atm_daily: Amount
    pos_daily: Amount
    online_daily: Amount | None
    ccy: Currency


class CardWire(Wire):
    """A card."""

    id: Identifier
    product: Text
    scheme: Code
    kind: Code
    last4: _Last4
    status: Code
    block_reason: Text | None
    iban: Text
    issued_at: MomentText
    expires: Month
    limits: LimitsWire
    international: bool
    updated_at: MomentText


class CardsEnvelope(Wire):
    """All cards."""

    cards: list[Any]


class MerchantWire(Wire):
    """Where a card was used."""

    name: Text | None
    mcc: Text | None
    city: Text | None
    country: Text | None


class AuthorizationWire(Wire):
    """A line of a card's activity."""

    id: Identifier
    amount: Amount
    ccy: Currency
    original_amount: _ForeignAmount | None
    original_ccy: Currency | None
    merchant: MerchantWire | None
    channel: Code
    state: Code
    decline_reason: Text | None
    authorized_at: MomentText
    updated_at: MomentText
    cleared_transaction_id: Reference


_CARDS_FIELDS: Final = field_names(CardsEnvelope)
_CARD_FIELDS: Final = field_names(CardWire)
_LIMITS_FIELDS: Final = field_names(LimitsWire)
_LINE_FIELDS: Final = field_names(AuthorizationWire)
_MERCHANT_FIELDS: Final = field_names(MerchantWire)


def read_cards(_resource: Resource, body: bytes) -> Page:
    """All cards, whole.

    Raises:
        DataError: the envelope is not understood.
    """
    top = parse_object(body)
    envelope = understand(CardsEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _CARDS_FIELDS)
    entries = tuple(_read_card(item, unknown) for item in bounded(envelope.cards, MAXIMUM_CARDS, "cards"))
    return Page(entries=entries, next_cursor=None, unknown_fields=unknown.counts)


def read_authorizations(resource: Resource, body: bytes) -> Page:
    """One page of a card's activity.

    Raises:
        DataError: the envelope is not understood.
    """
    card_id = part_of(resource)
    return read_feed(body, lambda item, unknown: _read_line(card_id, item, unknown))


def _read_card(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        unknown.note("cards", item, _CARD_FIELDS)
        if isinstance(limits := item.get("limits"), dict):
            unknown.note("cards.limits", limits, _LIMITS_FIELDS)
    try:
        return Entry(_card(understand(CardWire, item)), digest)
    except ShapeError as error:
        return unreadable(item, digest, str(error), "issued_at", "card/")


def _read_line(card_id: str, item: object, unknown: UnknownFields) -> Entry | Unreadable:
    digest = digest_value(item)
    if isinstance(item, dict):
        unknown.note("items", item, _LINE_FIELDS)
        if isinstance(merchant := item.get("merchant"), dict):
            unknown.note("items.merchant", merchant, _MERCHANT_FIELDS)
    try:
        return Entry(_authorization(card_id, understand(AuthorizationWire, item)), digest)
    except ShapeError as error:
        return unreadable(item, digest, str(error), "authorized_at", "authorization/")


def _card(wire: CardWire) -> Card:
    limits = wire.limits
    return Card(
        card_id=wire.id,
        product=wire.product,
        scheme=wire.scheme,
        kind=wire.kind if wire.kind in CARD_KINDS else UNKNOWN,
        kind_source=wire.kind,
        last4=wire.last4,
        status=wire.status if wire.status in CARD_STATUSES else UNKNOWN,
        status_source=wire.status,
        block_reason=wire.block_reason,
        iban=wire.iban,
        issued_at=wire.issued_at.instant,
        issued_at_source=wire.issued_at.source,
        expires=wire.expires,
        atm_daily_limit=limits.atm_daily,
        pos_daily_limit=limits.pos_daily,
        online_daily_limit=limits.online_daily,
        limit_currency=limits.ccy,
        international=wire.international,
        updated_at=wire.updated_at.instant,
        updated_at_source=wire.updated_at.source,
    )


def _authorization(card_id: str, wire: AuthorizationWire) -> CardAuthorization:
    merchant = wire.merchant
    return CardAuthorization(
        card_id=card_id,
        authorization_id=wire.id,
        amount=wire.amount,
        currency=wire.ccy,
        original_amount=wire.original_amount,
        original_currency=wire.original_ccy,
        merchant_name=merchant.name if merchant else None,
        merchant_category_code=merchant.mcc if merchant else None,
        merchant_city=merchant.city if merchant else None,
        merchant_country=merchant.country if merchant else None,
        channel=wire.channel if wire.channel in CHANNELS else UNKNOWN,
        channel_source=wire.channel,
        state=STATES.get(wire.state, UNKNOWN),
        state_source=wire.state,
        decline_reason=wire.decline_reason,
        authorized_at=wire.authorized_at.instant,
        authorized_at_source=wire.authorized_at.source,
        updated_at=wire.updated_at.instant,
        updated_at_source=wire.updated_at.source,
        cleared_transaction_id=wire.cleared_transaction_id,
    )


def _call_cards(_options: ZindigiOptions, _resource: Resource, request: PageRequest) -> Call:
    return Call("GET", "/cards", etag=request.etag)


def _call_authorizations(options: ZindigiOptions, resource: Resource, request: PageRequest) -> Call:
    return call_feed(f"/cards/{quote(part_of(resource), safe='')}/authorizations", options, request)


SURFACES: Final = {
    "cards": Surface(_call_cards, read_cards),
    "authorizations": Surface(_call_authorizations, read_authorizations),
}
