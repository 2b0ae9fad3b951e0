"""`/me` as the `Profile` that decides which surfaces are asked. Pure; the holder's own data is not read."""

from __future__ import annotations

from connector.domains.model import BankAccount, Profile
from connector.sources.zindigi.exact_json import parse_object
from connector.sources.zindigi.wire import MeWire, understand


def read_profile(body: bytes) -> Profile:
    """Tier, minor flag and bank accounts in the bank's order.

    Raises:
        DataError: one of them is not understood: nothing is read on a guess of what the holder may have.
    """
    wire = understand(MeWire, parse_object(body))
    return Profile(
        tier=wire.tier,
        minor=wire.minor,
        bank_accounts=tuple(BankAccount(iban=account.iban, status=account.status) for account in wire.accounts),
    )
