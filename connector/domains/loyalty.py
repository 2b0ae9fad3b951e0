"""Loyalty: Z-Miles, an ascending ledger of points, and the vouchers they were turned into.

Points are integers and no currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from connector.domains.model import BookingKey, Domain, Feed, Record, Related, ResourceKind, Window, micros

POINTS_KINDS = {"EARN": "EARNED", "REDEEM": "REDEEMED", "EXPIRE": "EXPIRED", "ADJUST": "ADJUSTED"}
VOUCHER_STATUSES = frozenset({"ISSUED", "REDEEMED", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class PointsEntry:
    """One line of the points ledger; `points` is signed from the holder's view."""

    KIND: ClassVar[str] = "points_entry"

    entry_id: int
    kind: str
    kind_source: str
    points: int
    at: datetime
    at_source: str
    description: str | None
    source_ref: str | None
    voucher_id: str | None

    @property
    def entity_id(self) -> str:
        return f"points/{self.entry_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(self.entry_id, "")

    @property
    def settled(self) -> bool:
        return True

    @property
    def effective(self) -> datetime:
        return self.at


@dataclass(frozen=True, slots=True)
class Voucher:
    """A voucher and what became of it."""

    KIND: ClassVar[str] = "voucher"

    voucher_id: str
    title: str
    points: int
    status: str
    status_source: str
    issued_at: datetime
    issued_at_source: str
    expires_on: date | None
    redeemed_at: datetime | None
    redeemed_at_source: str | None

    @property
    def entity_id(self) -> str:
        return f"voucher/{self.voucher_id}"

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.issued_at), self.voucher_id)

    @property
    def settled(self) -> bool:
        return self.status in {"REDEEMED", "EXPIRED"}

    @property
    def effective(self) -> datetime | date:
        if self.status == "EXPIRED" and self.expires_on:
            return self.expires_on
        return self.redeemed_at or self.issued_at


def _name_event(op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after, PointsEntry):
        by_kind = {"EARNED": "PointsEarned", "REDEEMED": "PointsRedeemed", "EXPIRED": "PointsExpired"}
        return by_kind.get(after.kind, "PointsAdjusted") if op == "c" else "PointsAdjusted"
    if isinstance(after, Voucher):
        was = before.status if isinstance(before, Voucher) else None
        if was == after.status:
            return "VoucherAmended"
        by_status = {"ISSUED": "VoucherIssued", "REDEEMED": "VoucherRedeemed", "EXPIRED": "VoucherExpired"}
        return by_status.get(after.status, "VoucherAmended")
    return "VoucherAmended" if isinstance(before, Voucher) else "PointsAdjusted"


def _relate(record: Record) -> tuple[Related, ...]:
    if isinstance(record, PointsEntry) and record.voucher_id:
        return (Related("voucher", "loyalty", f"voucher/{record.voucher_id}"),)
    return ()


LOYALTY = Domain(
    name="loyalty",
    resources=(
        ResourceKind(
            name="points",
            backend="z-miles",
            surface="points",
            feed=Feed.ASCENDING,
            window=Window(days=None, retention_days=None),
            head_interval_seconds=60.0,
            reconcile_interval_seconds=3600.0,
        ),
        ResourceKind(
            name="vouchers",
            backend="z-miles",
            surface="points",
            feed=Feed.WHOLE,
            window=None,
            head_interval_seconds=120.0,
            reconcile_interval_seconds=120.0,
        ),
    ),
    records={"points_entry": PointsEntry, "voucher": Voucher},
    event_types=frozenset(
        {
            "PointsEarned",
            "PointsRedeemed",
            "PointsExpired",
            "PointsAdjusted",
            "VoucherIssued",
            "VoucherRedeemed",
            "VoucherExpired",
            "VoucherAmended",
        }
    ),
    name_event=_name_event,
    relate=_relate,
)
