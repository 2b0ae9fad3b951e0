"""What an event must say about points and vouchers."""

from __future__ import annotations

from datetime import date

from connector.sandbox.rendering import Expected, Renders, Wire, instant

_POINTS = {"EARN": "EARNED", "REDEEM": "REDEEMED", "EXPIRE": "EXPIRED", "ADJUST": "ADJUSTED"}


def _points(_entity: str, _iban: str | None, body: Wire) -> Expected:
    return {
        "entry_id": int(body["id"]),
        "kind": _POINTS[body["type"]],
        "kind_source": body["type"],
        "points": int(body["points"]),
        "at": instant(body["at"]),
        "at_source": body["at"],
        "description": body["description"],
        "source_ref": body["source_ref"],
        "voucher_id": body["voucher_id"],
    }


def _voucher(_entity: str, _iban: str | None, body: Wire) -> Expected:
    expires_on = body["expires_on"]
    return {
        "voucher_id": body["voucher_id"],
        "title": body["title"],
        "points": int(body["points"]),
        "status": body["status"],
        "status_source": body["status"],
        "issued_at": instant(body["issued_at"]),
        "issued_at_source": body["issued_at"],
        "expires_on": None if expires_on is None else date.fromisoformat(expires_on),
        "redeemed_at": instant(body["redeemed_at"]),
        "redeemed_at_source": body["redeemed_at"],
    }


RENDERS: Renders = {"points": ("points_entry", _points), "voucher": ("voucher", _voucher)}
