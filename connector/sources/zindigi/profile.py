"""`/me` as the `Profile` that decides which surfaces are asked. Pure.

Of the holder's own data, CNIC and mobile number are read, to know own transfers by; name and e-mail address are not.
"""

from __future__ import annotations

from connector.domains.model import BankAccount, Holder, Profile
from connector.sources.zindigi.exact_json import parse_object
from connector.sources.zindigi.wire import MeWire, understand


def read_profile(body: bytes) -> Profile:
    """Tier, minor flag, bank accounts in the bank's order, and what marks own transfers.

    Raises:
        DataError: one of them is not understood: nothing is read on a guess of what the holder may have.
    """
    wire = understand(MeWire, parse_object(body))
    return Profile(
        tier=wire.tier,
        minor=wire.minor,
        bank_accounts=tuple(BankAccount(iban=account.iban, status=account.status) for account in wire.accounts),
        holder=Holder(cnic=wire.holder.cnic, msisdn=wire.holder.msisdn),
    )
