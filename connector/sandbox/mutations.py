"""Changes on command: one thing done to one holder, for a test that needs exactly that; what, is its domain's part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from connector.sandbox.account.books import Tier
from connector.sandbox.ledger import Domain
from connector.sandbox.transactions.books import PostingWay, Rail

T = TypeVar("T")


class MutationError(ValueError):
    """There is nothing that the command could be done to."""


class Mutation(BaseModel):
    """A command; `op` is one of its domain's own operations.

    `holder` is a msisdn or label. `age_days` chooses among the entries of a newest-first feed (0 the newest, 10 those
    nearest to ten days older than the newest), and says how late a `back_date` is. `entity` names the target instead.
    `count` repeats the command on different targets. `amount` is rupees (transactions; a bill; a repayment, where less
    than all is paid) or points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    holder: str
    domain: Domain
    op: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    age_days: Annotated[float, Field(ge=0, le=60)] = 0.0
    entity: str | None = None
    iban: str | None = None
    amount: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    rail: Rail = "RAAST_P2P"
    pending: bool = False
    way: PostingWay = "same_id"
    tier: Tier | None = None


def nearest_in_age(
    mutation: Mutation, fit: Sequence[T], standing: Sequence[datetime], time_of: Callable[[T], datetime]
) -> list[T]:
    """The `count` targets that come nearest to `age_days` before the newest of the `standing` times, newest first.

    Raises:
        MutationError: not so many fit.
    """
    if len(fit) < mutation.count:
        raise MutationError(f"{len(fit)} entries of {mutation.domain} to {mutation.op}, {mutation.count} wanted")
    wanted = max(standing) - timedelta(days=mutation.age_days)
    return sorted(fit, key=lambda one: abs(time_of(one) - wanted))[: mutation.count]
