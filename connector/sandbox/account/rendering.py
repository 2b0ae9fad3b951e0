"""What an event must say about a holder, a bank account and what stands on it."""

from __future__ import annotations

from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire


def _holder(_entity: str, _iban: str | None, body: Wire) -> Expected:
    return {
        "tier": body["tier"],
        "tier_source": body["tier"],
        "minor": body["minor"],
        "segment": body["segment"],
        **body["holder"],
    }


def _bank_account(_entity: str, iban: str | None, body: Wire) -> Expected:
    return {
        "iban": iban,
        "title": body["title"],
        "status": body["status"],
        "status_source": body["status"],
        "tier": body["tier"],
        "tier_source": body["tier"],
        "currency": body["ccy"],
    }


def _balance(_entity: str, iban: str | None, body: Wire) -> Expected:
    return {
        "iban": iban,
        "balance": Decimal(body["balance"]),
        "available": Decimal(body["available"]),
        "currency": body["ccy"],
    }


RENDERS: Renders = {
    "": ("holder", _holder),
    "bank-account": ("bank_account", _bank_account),
    "balance": ("balance", _balance),
}
