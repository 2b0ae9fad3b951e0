"""Changes on command: one thing done to one holder, for a test that needs exactly that.

Targets are chosen by age where no entity is named. Commands draw from a hand of their own, so that they change nothing
of what the seeded lives go on to do elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from connector.sandbox.borrowing import pay_out, repay
from connector.sandbox.ledger import Domain
from connector.sandbox.loyalty import PointsEntry, Voucher
from connector.sandbox.transactions import PostingWay, Rail, Transaction
from connector.sandbox.wire import local_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from connector.sandbox.life import Life
    from connector.sandbox.people import Hand

Operation = Literal[
    "add", "back_date", "amend", "remove", "reverse", "post",
    "disburse", "due", "overdue", "repay", "close",
    "earn", "redeem", "adjust", "expire", "redeem_voucher", "expire_voucher",
]  # fmt: skip


class MutationError(ValueError):
    """There is nothing that the command could be done to."""


class Mutation(BaseModel):
    """A command.

    `holder` is a msisdn or label. `age_days` chooses among transactions (0 the newest, 10 those nearest to ten days
    older than the newest), and says how late a `back_date` is. `entity` names the target instead. `count` repeats the
    command on different targets. `amount` is rupees (transactions; a repayment, where less than all is paid) or points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    holder: str
    domain: Domain
    op: Operation
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    age_days: Annotated[float, Field(ge=0, le=30)] = 0.0
    entity: str | None = None
    iban: str | None = None
    amount: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    rail: Rail = "RAAST_P2P"
    pending: bool = False
    way: PostingWay = "same_id"


class Commander:
    """Carries commands out on one life."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._hand: Hand = life.hand("command")
        self._serial = 0

    def obey(self, mutation: Mutation, now: datetime) -> None:
        """Do it, `count` times.

        Raises:
            MutationError: There is no such operation in the domain, or nothing to do it to.
        """
        operations = {"transactions": self._transactions, "lending": self._lending, "loyalty": self._loyalty}
        operations[mutation.domain](mutation, now)

    def _transactions(self, mutation: Mutation, now: datetime) -> None:
        if mutation.op in {"add", "back_date"}:
            for number in range(mutation.count):
                self._enter(mutation, now, number)
            return
        targets = self._entries(mutation)
        for entity, standing in targets:
            self._serial += 1
            if mutation.op == "amend":
                shifted = replace(standing, amount_paisa=standing.amount_paisa - 100 - self._serial)
                self._life.transactions.amend(entity, now, shifted)
            elif mutation.op == "remove":
                self._life.transactions.remove(entity, now)
            elif mutation.op == "reverse":
                self._life.transactions.reverse(entity, now)
            else:
                self._life.transactions.post(entity, now, mutation.way, self._hand.id("T"))

    def _enter(self, mutation: Mutation, now: datetime, number: int) -> None:
        late = timedelta(days=mutation.age_days or 1) if mutation.op == "back_date" else timedelta()
        initiated_at = now - late + timedelta(microseconds=number)
        rupees = mutation.amount if mutation.amount is not None else -self._hand.rng.randint(100, 2_000)
        self._life.transactions.enter(
            Transaction(
                id=self._hand.id("T"),
                iban=mutation.iban or self._life.ibans[0],
                rail=mutation.rail,
                amount_paisa=rupees * 100,
                initiated_at=initiated_at,
                status="pending" if mutation.pending else "posted",
                posted_at=None if mutation.pending else now,
                counterparty=self._hand.rng.choice(self._life.contacts.people),
            ),
            now,
        )

    def _entries(self, mutation: Mutation) -> list[tuple[str, Transaction]]:
        if mutation.op not in {"amend", "remove", "reverse", "post"}:
            raise MutationError(f"{mutation.op} is nothing that happens to transactions")
        if mutation.entity is not None:
            standing = self._life.transactions.get(mutation.entity)
            if standing is None:
                raise MutationError(f"there is no transaction {mutation.entity}")
            return [(mutation.entity, standing)]
        status = "pending" if mutation.op == "post" else "posted"
        feed = self._life.transactions.feeds[mutation.iban or self._life.ibans[0]].newest_first()
        fit = [entry for entry in feed if entry.transaction.status == status]
        if len(fit) < mutation.count:
            raise MutationError(f"{len(fit)} {status} transactions, {mutation.count} wanted")
        wanted = feed[0].transaction.initiated_at - timedelta(days=mutation.age_days)
        fit.sort(key=lambda entry: abs(entry.transaction.initiated_at - wanted))
        return [(entry.entity, entry.transaction) for entry in fit[: mutation.count]]

    def _lending(self, mutation: Mutation, now: datetime) -> None:
        for _ in range(mutation.count):
            if mutation.op == "disburse":
                principal = (mutation.amount or 20_000) * 100
                pay_out(self._life, self._hand, now, ("Advance Cash 28", 28, 4, principal))
            else:
                self._change_loan(mutation, now)

    def _change_loan(self, mutation: Mutation, now: datetime) -> None:
        wanted = (mutation.entity or "").removeprefix("loan/")
        loan = next((loan for loan in self._life.lending.open_loans() if wanted in {"", loan.id}), None)
        if loan is None:
            raise MutationError("there is no open loan to do it to")
        if mutation.op in {"repay", "close"}:
            some = mutation.amount * 100 if mutation.amount else loan.outstanding_paisa // 3
            amount = loan.outstanding_paisa if mutation.op == "close" else min(some, loan.outstanding_paisa)
            repay(self._life, self._hand, loan.id, amount, now)
            return
        lending = self._life.lending
        moves: dict[str, tuple[tuple[str, ...], Callable[[str, int, datetime], None]]] = {
            "due": (("SCHEDULED",), lending.fall_due),
            "overdue": (("SCHEDULED", "DUE"), lending.fall_overdue),
        }
        if mutation.op not in moves:
            raise MutationError(f"{mutation.op} is nothing that happens to loans")
        statuses, move = moves[mutation.op]
        line = next((line for line in loan.schedule if line.status in statuses), None)
        if line is None:
            raise MutationError(f"loan {loan.id} has no instalment to make {mutation.op}")
        move(loan.id, line.no, now)

    def _loyalty(self, mutation: Mutation, now: datetime) -> None:
        for _ in range(mutation.count):
            self._serial += 1
            if mutation.op in {"earn", "adjust", "expire", "redeem"}:
                self._enter_points(mutation, now)
            elif mutation.op in {"amend", "remove"}:
                self._change_points(mutation, now)
            else:
                self._settle_voucher(mutation, now)

    def _enter_points(self, mutation: Mutation, now: datetime) -> None:
        loyalty = self._life.loyalty
        points = abs(mutation.amount or 100)
        text = f"On command {self._serial}"
        if mutation.op == "redeem":
            voucher_id = self._hand.id("V")
            entry = PointsEntry(loyalty.next_id(), "REDEEM", -points, now, text, voucher_id=voucher_id)
            loyalty.enter(entry, now)
            loyalty.issue(Voucher(voucher_id, text, points, now, local_date(now) + timedelta(days=7)), now)
        elif mutation.op == "expire":
            loyalty.enter(PointsEntry(loyalty.next_id(), "EXPIRE", -points, now, text), now)
        elif mutation.op == "adjust":
            loyalty.enter(PointsEntry(loyalty.next_id(), "ADJUST", mutation.amount or 10, now, text), now)
        else:
            loyalty.enter(PointsEntry(loyalty.next_id(), "EARN", points, now, text), now)

    def _change_points(self, mutation: Mutation, now: datetime) -> None:
        loyalty = self._life.loyalty
        wanted = (mutation.entity or "").removeprefix("points/")
        entry = next((entry for key, entry in reversed(loyalty.entries.items()) if wanted in {"", str(key)}), None)
        if entry is None:
            raise MutationError("there is no such entry of points")
        if mutation.op == "remove":
            loyalty.remove(entry.id, now)
        else:
            loyalty.amend(replace(entry, description=f"Corrected on command {self._serial}"), now)

    def _settle_voucher(self, mutation: Mutation, now: datetime) -> None:
        loyalty = self._life.loyalty
        wanted = (mutation.entity or "").removeprefix("voucher/")
        issued = [voucher for voucher in loyalty.vouchers.values() if voucher.status == "ISSUED"]
        voucher = next((voucher for voucher in issued if wanted in {"", voucher.id}), None)
        if voucher is None:
            raise MutationError("there is no voucher to do it to")
        if mutation.op == "redeem_voucher":
            loyalty.redeem_voucher(voucher.id, now)
        elif mutation.op == "expire_voucher":
            loyalty.expire_voucher(voucher.id, now)
        else:
            raise MutationError(f"{mutation.op} is nothing that happens in Z-Miles")
