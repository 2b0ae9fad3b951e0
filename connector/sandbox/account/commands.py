"""What can be done to a holder and their bank accounts on command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.sandbox.account.books import BankAccount, Status
from connector.sandbox.mutations import Mutation, MutationError
from connector.sandbox.transactions.books import Transaction

if TYPE_CHECKING:
    from datetime import datetime

    from connector.sandbox.life import Life
    from connector.sandbox.orders import Orders

_STATUSES: dict[str, Status] = {"block": "BLOCKED", "fall_dormant": "DORMANT", "reactivate": "ACTIVE"}


def obey(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """Carry out a command; see `departments.Obey`."""
    if mutation.op == "open":
        _open_bank_account(orders.life, now)
    elif mutation.op in _STATUSES or mutation.op == "close" or mutation.iban is not None:
        _change_bank_account(orders, mutation, now)
    else:
        _change_holder(orders, mutation, now)


def _change_holder(orders: Orders, mutation: Mutation, now: datetime) -> None:
    account = orders.life.account
    if mutation.op == "set_tier":
        if mutation.tier is None or mutation.tier == account.tier:
            raise MutationError(f"set_tier needs another tier than {account.tier}")
        account.change_holder(replace(account.holder, tier=mutation.tier), now)
    elif mutation.op == "come_of_age":
        if not account.minor:
            raise MutationError("the holder is of age")
        account.come_of_age(now)
    elif mutation.op == "amend":
        email = f"address-{orders.serial()}@example.invalid"
        account.change_holder(replace(account.holder, email=email), now)
    else:
        raise MutationError(f"{mutation.op} is nothing that happens to holders")


def _open_bank_account(life: Life, now: datetime) -> None:
    if len(life.ibans) > 1:
        raise MutationError("the holder has both accounts that there are")
    life.open_account(now)


def _change_bank_account(orders: Orders, mutation: Mutation, now: datetime) -> None:
    """The one named; else the last that is not closed."""
    books = orders.life.account
    standing = [account for account in books.bank_accounts.values() if account.status != "CLOSED"]
    wanted = next((account for account in reversed(standing) if mutation.iban in {None, account.iban}), None)
    if wanted is None:
        raise MutationError("there is no such bank account, or it is closed")
    if mutation.op == "close":
        _close(orders, wanted, now)
    elif mutation.op == "amend":
        books.change_account(replace(wanted, title=f"{wanted.title.partition(' (')[0]} ({orders.serial()})"), now)
    elif mutation.op in _STATUSES and wanted.status != _STATUSES[mutation.op]:
        books.change_account(replace(wanted, status=_STATUSES[mutation.op]), now)
    else:
        raise MutationError(f"{mutation.op} is nothing that happens to a bank account that is {wanted.status}")


def _close(orders: Orders, closing: BankAccount, now: datetime) -> None:
    """What is left goes to the wallet; the account can be read on, with its history, and takes no new entry.

    What was pending settles later, as it would have.
    """
    life = orders.life
    wallet = life.ibans[0]
    if closing.iban == wallet:
        raise MutationError("the wallet is closed with the login only")
    left = life.transactions.feeds[closing.iban].available_paisa
    if left < 0:
        raise MutationError("an account that is overdrawn is not closed")
    if left:
        for iban, other, amount in ((closing.iban, wallet, -left), (wallet, closing.iban, left)):
            life.transactions.enter(
                Transaction(
                    id=orders.hand.id("T"),
                    iban=iban,
                    rail="ZINDIGI_INTERNAL",
                    amount_paisa=amount,
                    initiated_at=now,
                    posted_at=now,
                    counterparty=life.owner(other),
                ),
                now,
            )
    life.account.change_account(replace(closing, status="CLOSED"), now)
