"""The bank's own account: balances that follow the entries, accounts that close, tiers and ages that move."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from connector.sandbox.ledger import Ledger
from connector.sandbox.mutations import Mutation, MutationError

if TYPE_CHECKING:
    from connector.sandbox.core import Bank


def told_balances(bank: Bank) -> dict[str, tuple[Decimal, Decimal]]:
    """Balance and available amount by IBAN, as the truth holds them."""
    return {
        str(change.body["iban"]): (change.body["balance"], change.body["available"])
        for life in bank.lives.values()
        for entity, change in life.ledgers["account"].present.items()
        if entity.startswith("balance/") and change.body is not None
    }  # type: ignore[return-value]


def summed_balances(bank: Bank) -> dict[str, tuple[Decimal, Decimal]]:
    """The same, added up from the opening balance and every entry that the feed shows."""
    found = {}
    for life in bank.lives.values():
        for iban, feed in life.transactions.feeds.items():
            entries = [entry.transaction for entry in feed.newest_first()]
            sums = [
                life.spec.opening_balance_rupees * 100
                + sum(one.amount_paisa for one in entries if one.status in counted)
                for counted in ({"posted"}, {"posted", "pending"})
            ]
            found[iban] = (Decimal(sums[0]).scaleb(-2), Decimal(sums[1]).scaleb(-2))
    return found


def test_what_stands_on_an_account_follows_every_act(bank: Bank) -> None:
    moved = set()
    for _ in range(40):
        before = told_balances(bank)
        bank.step()
        after = told_balances(bank)
        assert after == summed_balances(bank)
        moved |= {iban for iban in after if after[iban] != before[iban]}
    assert moved == set(told_balances(bank))


def test_only_what_may_return_returns() -> None:
    ledger = Ledger("+92", "account", iter(range(99)).__next__, set())
    at: Any = None
    ledger.create("balance/x", {"balance": 1}, at, resource="x", booking=0)
    ledger.update("balance/x", {"balance": 2}, at)
    with pytest.raises(ValueError, match="return to an earlier version"):
        ledger.update("balance/x", {"balance": 1}, at)
    back = ledger.update("balance/x", {"balance": 1}, at, may_return=True)
    assert back is not None
    assert back.version == 3


def test_a_closed_account_keeps_its_history_and_takes_no_new_entry(bank: Bank) -> None:
    life = bank.life("freelancer")
    wallet, closing = life.ibans
    known = len(life.transactions.feeds[closing].newest_first())
    together = sum(available for _, available in (told_balances(bank)[iban] for iban in life.ibans))
    changes = bank.mutate(Mutation(holder="freelancer", domain="account", op="close"))
    closed = next(change for change in changes if change.domain == "account")
    assert (closed.name, closed.iban) == ("bank-account", closing)
    assert closed.body is not None
    assert closed.body["status"] == "CLOSED"
    # What was left went to the wallet.
    assert told_balances(bank)[closing][1] == 0
    assert told_balances(bank)[wallet][1] == together
    entered = {entry.entity for entry in life.transactions.feeds[closing].newest_first()}
    assert len(entered) == known + 1
    for _ in range(40):
        bank.step()
    new = {
        entry.entity
        for entry in life.transactions.feeds[closing].newest_first()
        if life.ledgers["transactions"].history[entry.entity][0].at > closed.at and entry.transaction.replaces is None
    } - entered  # fmt: skip
    # What was pending may settle under another id; nothing else came in.
    assert all(life.transactions.get(entity).initiated_at <= closed.at for entity in new)  # type: ignore[union-attr]
    assert life.transactions.feeds[wallet].newest_first()[0].transaction.initiated_at > closed.at


@pytest.mark.parametrize(
    ("holder", "command"),
    [
        ("adult", {"op": "close"}),
        ("adult", {"op": "set_tier", "tier": "L1"}),
        ("adult", {"op": "set_tier"}),
        ("adult", {"op": "come_of_age"}),
        ("freelancer", {"op": "open"}),
        ("adult", {"op": "reactivate"}),
        ("adult", {"op": "block", "iban": "PK00NONE0000000000000000"}),
        ("adult", {"op": "vanish"}),
    ],
)
def test_what_cannot_be_done_is_refused(bank: Bank, holder: str, command: dict[str, Any]) -> None:
    with pytest.raises(MutationError):
        bank.mutate(Mutation(holder=holder, domain="account", **command))


@pytest.mark.anyio
async def test_tier_and_age_decide_what_the_bank_answers(visitor: Any) -> None:
    teen = await visitor("teen").log_in()
    assert (await teen.inquire()).status_code == 403
    await teen.mutate("account", "come_of_age")
    assert (await teen.inquire()).json()["RESPONSE_CODE"] in {"00", "01"}
    assert (await teen.get("/me")).json()["minor"] is False
    await teen.mutate("account", "set_tier", tier="L0")
    assert (await teen.inquire()).json()["RESPONSE_CODE"] == "05"
    assert (await teen.get(f"/accounts/{teen.ibans[0]}")).json()["tier"] == "L0"


@pytest.mark.anyio
async def test_nobody_sees_another_s_account(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    assert (await adult.get(f"/accounts/{visitor('teen').ibans[0]}")).status_code == 404
