"""What an event must say about a card and its authorisations."""

from __future__ import annotations

from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire, instant


def _card(_entity: str, _iban: str | None, body: Wire) -> Expected:
    limits = body["limits"]
    online = limits["online_daily"]
    return {
        "card_id": body["id"],
        "product": body["product"],
        "scheme": body["scheme"],
        "kind": body["kind"],
        "kind_source": body["kind"],
        "last4": body["last4"],
        "status": body["status"],
        "status_source": body["status"],
        "block_reason": body["block_reason"],
        "iban": body["iban"],
        "issued_at": instant(body["issued_at"]),
        "issued_at_source": body["issued_at"],
        "expires": body["expires"],
        "atm_daily_limit": Decimal(limits["atm_daily"]),
        "pos_daily_limit": Decimal(limits["pos_daily"]),
        "online_daily_limit": None if online is None else Decimal(online),
        "limit_currency": limits["ccy"],
        "international": body["international"],
        "updated_at": instant(body["updated_at"]),
        "updated_at_source": body["updated_at"],
    }


def _authorization(_entity: str, _iban: str | None, body: Wire) -> Expected:
    merchant, original = body["merchant"], body["original_amount"]
    return {
        "authorization_id": body["id"],
        "amount": Decimal(body["amount"]),
        "currency": body["ccy"],
        "original_amount": None if original is None else Decimal(original),
        "original_currency": body["original_ccy"],
        "merchant_name": merchant["name"],
        "merchant_category_code": merchant["mcc"],
        "merchant_city": merchant["city"],
        "merchant_country": merchant["country"],
        "channel": body["channel"],
        "channel_source": body["channel"],
        "state": body["state"].upper(),
        "state_source": body["state"],
        "decline_reason": body["decline_reason"],
        "authorized_at": instant(body["authorized_at"]),
        "authorized_at_source": body["authorized_at"],
        "updated_at": instant(body["updated_at"]),
        "updated_at_source": body["updated_at"],
        "cleared_transaction_id": body["cleared_transaction_id"],
    }


RENDERS: Renders = {"card": ("card", _card), "authorization": ("card_authorization", _authorization)}
