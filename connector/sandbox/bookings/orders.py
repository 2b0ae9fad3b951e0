"""What people order: invented vendors, and orders drawn for each category."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.bookings.books import Booking, Category, Line, Voucher
from connector.sandbox.people import Hand
from connector.sandbox.wire import local_date, midnight

if TYPE_CHECKING:
    from datetime import date

CATEGORIES: tuple[Category, ...] = ("CINEMA", "E_VOUCHER", "TRAVEL", "HOTEL", "INSURANCE")
_VENDORS: dict[Category, tuple[str, ...]] = {
    "TRAVEL": ("Sarhad Coaches", "Bolan Air"),
    "CINEMA": ("Nishan Screens", "Capri Deluxe"),
    "HOTEL": ("Hotel Mohatta Garden", "Shimshal Lodge"),
    "E_VOUCHER": ("Kinara Cafe", "Tara Electronics"),
    "INSURANCE": ("Karwan Takaful", "Amaan General"),
}
_FILMS = ("The Long Monsoon", "Chand Bibi Returns", "Platform 7")
_TRIPS = ("Karachi to Multan", "Lahore to Gilgit", "Quetta to Karachi")
_COVERS = ("Travel cover", "Phone cover", "Cycle cover")
_CODE_SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 16
_VOUCHER_DAYS = 30


def draw_order(hand: Hand, category: Category, at: datetime) -> Booking:
    """An order of that category, not placed yet."""
    day = local_date(at)
    lines: tuple[Line, ...]
    vendor = hand.rng.choice(_VENDORS[category])
    order = Booking(id=hand.id("K"), category=category, vendor=vendor, title="", placed_at=at, lines=())
    if category == "CINEMA":
        starts_at = _at(day, hand.rng.randint(1, 6), hand.rng.choice((17, 20, 22)))
        lines = (Line(seat(hand), 1, hand.rng.randint(6, 14) * 10_000), Line("Popcorn", hand.rng.randint(1, 3), 35_000))
        return _timed(order, hand.rng.choice(_FILMS), lines, starts_at, timedelta(hours=2, minutes=30))
    if category == "TRAVEL":
        starts_at = _at(day, hand.rng.randint(2, 40), hand.rng.randint(6, 23))
        lines = (Line(seat(hand), hand.rng.randint(1, 3), hand.rng.randint(15, 60) * 10_000),)
        return _timed(order, hand.rng.choice(_TRIPS), lines, starts_at, timedelta(hours=hand.rng.randint(2, 18)))
    if category == "HOTEL":
        nights = hand.rng.randint(1, 4)
        starts_at = _at(day, hand.rng.randint(3, 30), 14)
        lines = (Line("Room and breakfast", nights, hand.rng.randint(30, 90) * 10_000),)
        return _timed(order, f"{nights} nights", lines, starts_at, timedelta(days=nights, hours=-3))
    if category == "INSURANCE":
        cover = hand.rng.choice(_COVERS)
        line = Line(cover, 1, hand.rng.randint(5, 30) * 10_000)
        return _timed(order, cover, (line,), _at(day, 1, 0), timedelta(days=30))
    return replace(order, title="Gift voucher", lines=(Line("Gift voucher", 1, hand.rng.randint(2, 20) * 25_000),))


def seat(hand: Hand) -> str:
    """A seat with the number of its ticket, which no other ticket has."""
    return f"Seat {hand.rng.choice('ABCDEFGH')}{hand.rng.randint(1, 20)}, ticket {hand.id('N')[-8:]}"


def draw_voucher(hand: Hand, day: date) -> Voucher:
    """A voucher that is good from that day on."""
    code = "".join(hand.rng.choice(_CODE_SIGNS) for _ in range(_CODE_LENGTH))
    return Voucher(hand.id("W"), code, day + timedelta(days=_VOUCHER_DAYS))


def _at(day: date, days: int, hour: int) -> datetime:
    return midnight(day + timedelta(days=days)) + timedelta(hours=hour)


def _timed(order: Booking, title: str, lines: tuple[Line, ...], starts_at: datetime, lasts: timedelta) -> Booking:
    return replace(order, title=title, lines=lines, starts_at=starts_at, ends_at=starts_at + lasts)
