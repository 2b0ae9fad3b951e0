"""How members come by points and what they do with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.loyalty.books import PointsEntry, Voucher, points_entity, voucher_entity
from connector.sandbox.routines import Routine, Routines
from connector.sandbox.wire import local_date, midnight

if TYPE_CHECKING:
    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand

_TITLES = (("Cinema seat", 400), ("Kinara Cafe voucher", 250), ("Ride credit", 300), ("Data bundle 5 GB", 500))
_CORRECTABLE = timedelta(days=20)


def earn_points(life: Life, hand: Hand, at: datetime) -> None:
    """Points for spending or for a campaign."""
    points = hand.rng.randint(2, 60) * 5
    source = hand.id("T") if hand.rng.random() < 0.4 else None
    text = "Spend and earn" if source else "Campaign bonus"
    life.loyalty.enter(PointsEntry(life.loyalty.next_id(), "EARN", points, at, text, source_ref=source), at)


def buy_voucher(life: Life, hand: Hand, at: datetime) -> None:
    """Points are exchanged for a voucher, which is used after some days or runs out."""
    title, price = hand.rng.choice(_TITLES)
    voucher_id, used, days = hand.id("V"), hand.rng.random() < 0.6, hand.rng.uniform(0.3, 6.0)
    if life.loyalty.balance < price:
        return
    life.loyalty.enter(PointsEntry(life.loyalty.next_id(), "REDEEM", -price, at, title, voucher_id=voucher_id), at)
    expires_on = local_date(at) + timedelta(days=7)
    life.loyalty.issue(Voucher(voucher_id, title, price, at, expires_on), at)
    claim = voucher_entity(voucher_id)
    if used:
        life.plan(at + timedelta(days=days), lambda now: life.loyalty.redeem_voucher(voucher_id, now), claim)
    ends = midnight(expires_on) + timedelta(days=1, minutes=5)
    life.plan(ends, lambda now: life.loyalty.expire_voucher(voucher_id, now), claim)


def expire_points(life: Life, hand: Hand, at: datetime) -> None:
    """Old points run out."""
    points = min(life.loyalty.balance, hand.rng.randint(1, 20) * 5)
    if points > 0:
        life.loyalty.enter(PointsEntry(life.loyalty.next_id(), "EXPIRE", -points, at, "Points expired"), at)


def adjust_points(life: Life, hand: Hand, at: datetime) -> None:
    """The bank puts something right with an entry of its own."""
    points = hand.rng.choice((-20, -10, 15, 25, 50))
    if life.loyalty.balance + points >= 0:
        life.loyalty.enter(PointsEntry(life.loyalty.next_id(), "ADJUST", points, at, "Adjustment"), at)


def correct_points(life: Life, hand: Hand, at: datetime) -> None:
    """A recent entry is corrected in place, or taken out."""
    pick, vanishes, reference = hand.rng.random(), hand.rng.random() < 0.25, hand.id("N")
    recent = [entry for entry in life.loyalty.entries.values() if entry.at > at - _CORRECTABLE]
    earned = [entry for entry in recent if entry.type == "EARN" and points_entity(entry.id) not in life.touched]
    if not earned:
        return
    entry = earned[int(pick * len(earned))]
    if vanishes:
        if life.loyalty.balance >= entry.points:
            life.loyalty.remove(entry.id, at)
        return
    life.loyalty.amend(replace(entry, points=entry.points + 5, description=f"{entry.description} {reference[-5:]}"), at)


_POINTS = (
    Routine("earn", 20, earn_points),
    Routine("voucher", 110, buy_voucher),
    Routine("expire", 600, expire_points),
    Routine("adjust", 260, adjust_points),
    Routine("correct", 160, correct_points),
)

ROUTINES: Routines = {
    "salaried": _POINTS,
    "small": _POINTS,
    "freelancer": _POINTS,
    "borrower": _POINTS,
    "teen": _POINTS,
}
