"""`/me` as the `Profile` that decides which surfaces are asked. Pure.

Of the holder's own data, CNIC and mobile number are read, to know own transfers by; name and e-mail address are not.
"""

from __future__ import annotations

from typing import Any

from connector.domains.model import BankAccount, Holder, Profile
from connector.errors import DataError
from connector.limits import MAXIMUM_BANK_ACCOUNTS
from connector.sources.zindigi.exact_json import parse_object
from connector.sources.zindigi.wire import BankAccountWire, MeWire, ShapeError, understand


def read_profile(body: bytes) -> Profile:
    """Tier, minor flag, bank accounts in the bank's order, and what marks own transfers.

    A row of the accounts that cannot be read is counted and left out; so is an IBAN that is stated twice with different
    statuses. What an empty list, or a tier that nobody knows, means is not decided here.

    Raises:
        DataError: anything else is not understood: nothing is read on a guess of what the holder may have. Or there are
            more bank accounts than one login can have.
    """
    wire = understand(MeWire, parse_object(body))
    if len(wire.accounts) > MAXIMUM_BANK_ACCOUNTS:
        raise DataError(f"accounts: more than {MAXIMUM_BANK_ACCOUNTS} bank accounts")
    bank_accounts, unreadable = _bank_accounts(wire.accounts)
    return Profile(
        tier=wire.tier,
        minor=wire.minor,
        bank_accounts=bank_accounts,
        holder=Holder(cnic=wire.holder.cnic, msisdn=wire.holder.msisdn),
        unreadable_accounts=unreadable,
    )


def _bank_accounts(rows: list[Any]) -> tuple[tuple[BankAccount, ...], int]:
    """The accounts that can be read, each once, and how many rows or accounts cannot."""
    statuses: dict[str, set[str]] = {}
    unreadable = 0
    for row in rows:
        try:
            account = understand(BankAccountWire, row)
        except ShapeError:
            unreadable += 1
        else:
            statuses.setdefault(account.iban, set()).add(account.status)
    readable = tuple(BankAccount(iban, *stated) for iban, stated in statuses.items() if len(stated) == 1)
    return readable, unreadable + len(statuses) - len(readable)
