"""Loyalty: Z-Miles, an ascending ledger of points, and the vouchers they were turned into.

Points are integers and no currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from connector.domains.model import (
    BookingKey,
    Domain,
    EventDoc,
    Feed,
    Record,
    Related,
    ResourceKind,
    Window,
    micros,
)

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
    event_types={
        "PointsEarned": EventDoc(
            when="A line of the points ledger is first seen that adds points.",
            then="Add `points` to the holder's total, once for each entity.",
        ),
        "PointsRedeemed": EventDoc(
            when="A line of the points ledger is first seen that spends points.",
            then=(
                "Add `points`, which is negative, to the total. `voucher_id` names the voucher bought, where there is "
                "one."
            ),
        ),
        "PointsExpired": EventDoc(
            when="A line of the points ledger is first seen that lets points expire.",
            then="Add `points`, which is negative, to the total.",
        ),
        "PointsAdjusted": EventDoc(
            when=(
                "An adjustment of the ledger's own is first seen (op `c`), or a known line was changed (op `u`) or is "
                "proven gone (op `d`)."
            ),
            then=(
                "With op `c` add `points`, with `u` the difference to `before`; with `d` take `before` off and delete "
                "the entity."
            ),
        ),
        "VoucherIssued": EventDoc(
            when="A voucher is first seen issued, or is again.",
            then="Upsert `after`; it can be used until `expires_on`.",
        ),
        "VoucherRedeemed": EventDoc(
            when="A voucher is first seen redeemed, or became so.",
            then="Upsert `after`; it cannot be used again.",
        ),
        "VoucherExpired": EventDoc(
            when="A voucher is first seen expired, or became so.",
            then="Upsert `after`; it cannot be used any more, and its points do not come back by this event.",
        ),
        "VoucherAmended": EventDoc(
            when=(
                "A voucher changed without a change of status, its status is one that we do not know, or it is proven "
                "gone (op `d`)."
            ),
            then="With op `d` delete the entity; otherwise upsert `after`.",
        ),
    },
    name_event=_name_event,
    relate=_relate,
)
