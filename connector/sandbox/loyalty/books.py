"""Z-Miles: a ledger of points and the vouchers bought with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from connector.sandbox.wire import Body, utc_instant

if TYPE_CHECKING:
    from datetime import date, datetime

    from connector.sandbox.ledger import Ledger

PointsType = Literal["EARN", "REDEEM", "EXPIRE", "ADJUST"]
VoucherStatus = Literal["ISSUED", "REDEEMED", "EXPIRED"]


@dataclass(frozen=True, slots=True)
class PointsEntry:
    """One line of the points ledger; `points` is signed."""

    id: int
    type: PointsType
    points: int
    at: datetime
    description: str | None = None
    source_ref: str | None = None
    voucher_id: str | None = None

    def body(self) -> Body:
        """The wire form."""
        return {
            "id": self.id,
            "type": self.type,
            "points": self.points,
            "description": self.description,
            "at": utc_instant(self.at),
            "source_ref": self.source_ref,
            "voucher_id": self.voucher_id,
        }


@dataclass(frozen=True, slots=True)
class Voucher:
    """Something bought with points."""

    id: str
    title: str
    points: int
    issued_at: datetime
    expires_on: date | None
    status: VoucherStatus = "ISSUED"
    redeemed_at: datetime | None = None

    def body(self) -> Body:
        """The wire form."""
        return {
            "voucher_id": self.id,
            "title": self.title,
            "points": self.points,
            "status": self.status,
            "issued_at": utc_instant(self.issued_at),
            "expires_on": self.expires_on.isoformat() if self.expires_on else None,
            "redeemed_at": utc_instant(self.redeemed_at) if self.redeemed_at else None,
        }


def points_entity(entry_id: int) -> str:
    """The entity of a line of the points ledger."""
    return f"points/{entry_id}"


def voucher_entity(voucher_id: str) -> str:
    """The entity of a voucher."""
    return f"voucher/{voucher_id}"


class Loyalty:
    """What the points backend can do; ids of entries ascend and are never given twice."""

    def __init__(self, ledger: Ledger, last_id: int) -> None:
        self.ledger = ledger
        self.entries: dict[int, PointsEntry] = {}
        self.vouchers: dict[str, Voucher] = {}
        self._last_id = last_id

    @property
    def balance(self) -> int:
        """The points a member has."""
        return sum(entry.points for entry in self.entries.values())

    def next_id(self) -> int:
        """The id of the next entry."""
        self._last_id += 1
        return self._last_id

    def enter(self, entry: PointsEntry, at: datetime) -> None:
        """A new line."""
        self.entries[entry.id] = entry
        self.ledger.create(points_entity(entry.id), entry.body(), at, resource="points", booking=entry.id)

    def amend(self, entry: PointsEntry, at: datetime) -> None:
        """A line is corrected in place."""
        self.entries[entry.id] = entry
        self.ledger.update(points_entity(entry.id), entry.body(), at)

    def remove(self, entry_id: int, at: datetime) -> None:
        """A line disappears."""
        del self.entries[entry_id]
        self.ledger.delete(points_entity(entry_id), at)

    def issue(self, voucher: Voucher, at: datetime) -> None:
        """A new voucher."""
        self.vouchers[voucher.id] = voucher
        self.ledger.create(voucher_entity(voucher.id), voucher.body(), at, resource="vouchers", booking=0)

    def redeem_voucher(self, voucher_id: str, at: datetime) -> None:
        """The voucher was used; nothing happens where it no longer can be."""
        self._settle(voucher_id, at, replace(self.vouchers[voucher_id], status="REDEEMED", redeemed_at=at))

    def expire_voucher(self, voucher_id: str, at: datetime) -> None:
        """The voucher ran out; nothing happens where it was used."""
        self._settle(voucher_id, at, replace(self.vouchers[voucher_id], status="EXPIRED"))

    def rename_voucher(self, voucher_id: str, title: str, at: datetime) -> None:
        """What it is good for is called something else."""
        self._settle(voucher_id, at, replace(self.vouchers[voucher_id], title=title))

    def _settle(self, voucher_id: str, at: datetime, settled: Voucher) -> None:
        if self.vouchers[voucher_id].status == "ISSUED":
            self.vouchers[voucher_id] = settled
            self.ledger.update(voucher_entity(voucher_id), settled.body(), at)
