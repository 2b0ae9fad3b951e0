"""What can be done to points and vouchers on command."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.loyalty.books import PointsEntry, Voucher
from connector.sandbox.mutations import Mutation, MutationError
from connector.sandbox.wire import local_date

if TYPE_CHECKING:
    from connector.sandbox.orders import Orders


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    for _ in range(mutation.count):
        if mutation.op in {"earn", "adjust", "expire", "redeem"}:
            _enter_points(orders, mutation, now)
        elif mutation.op in {"amend", "remove"}:
            _change_points(orders, mutation, now)
        else:
            _settle_voucher(orders, mutation, now)


def _enter_points(orders: Orders, mutation: Mutation, now: datetime) -> None:
    loyalty = orders.life.loyalty
    points = abs(mutation.amount or 100)
    text = f"On command {orders.serial()}"
    if mutation.op == "redeem":
        voucher_id = orders.hand.id("V")
        entry = PointsEntry(loyalty.next_id(), "REDEEM", -points, now, text, voucher_id=voucher_id)
        loyalty.enter(entry, now)
        loyalty.issue(Voucher(voucher_id, text, points, now, local_date(now) + timedelta(days=7)), now)
    elif mutation.op == "expire":
        loyalty.enter(PointsEntry(loyalty.next_id(), "EXPIRE", -points, now, text), now)
    elif mutation.op == "adjust":
        loyalty.enter(PointsEntry(loyalty.next_id(), "ADJUST", mutation.amount or 10, now, text), now)
    else:
        loyalty.enter(PointsEntry(loyalty.next_id(), "EARN", points, now, text), now)


def _change_points(orders: Orders, mutation: Mutation, now: datetime) -> None:
    loyalty = orders.life.loyalty
    wanted = (mutation.entity or "").removeprefix("points/")
    entry = next((entry for key, entry in reversed(loyalty.entries.items()) if wanted in {"", str(key)}), None)
    if entry is None:
        raise MutationError("there is no such entry of points")
    if mutation.op == "remove":
        loyalty.remove(entry.id, now)
    else:
        loyalty.amend(replace(entry, description=f"Corrected on command {orders.serial()}"), now)


def _settle_voucher(orders: Orders, mutation: Mutation, now: datetime) -> None:
    loyalty = orders.life.loyalty
    wanted = (mutation.entity or "").removeprefix("voucher/")
    issued = [voucher for voucher in loyalty.vouchers.values() if voucher.status == "ISSUED"]
    voucher = next((voucher for voucher in issued if wanted in {"", voucher.id}), None)
    if voucher is None:
        raise MutationError("there is no voucher to do it to")
    if mutation.op == "redeem_voucher":
        loyalty.redeem_voucher(voucher.id, now)
    elif mutation.op == "expire_voucher":
        loyalty.expire_voucher(voucher.id, now)
    elif mutation.op == "amend_voucher":
        loyalty.rename_voucher(voucher.id, f"{voucher.title} {orders.serial()}", now)
    else:
        raise MutationError(f"{mutation.op} is nothing that happens in Z-Miles")
