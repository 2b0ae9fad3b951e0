"""Holder: whose login an account is. Pinned with the first profile, asked of everything that names a holder since.

The pin is a token of the CNIC under the account's own key, of the mobile number where the bank states no CNIC. It lies
in the head of the account's lifecycle stream, so that it outlives the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.domains.account import Holder
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.model import Entry, Unreadable
from connector.errors import DataError, HolderMismatchError
from connector.parties import own_identifiers
from connector.runtime.memory import AccountMemory

PERSON: Final = "person:"
MOBILE: Final = "mobile:"
_NO_CNIC: Final = (
    "the bank states no CNIC that can be read, and the holder is known by it: nobody can tell whose data it is"
)


def pinned(account: AccountMemory) -> str | None:
    """The pin of an account; None before its first profile."""
    return account.stream(LIFECYCLE).head.holder_token


def pin_of(account: AccountMemory, cnic: str | None, mobile: str | None) -> str | None:
    """By what a holder is known: the CNIC, else the mobile number; None where neither can be read."""
    person, number = _tokens(account, cnic, mobile)
    return person or number


def require_same(account: AccountMemory, cnic: str | None, mobile: str | None) -> None:
    """The holder named is the one that is pinned.

    Raises:
        HolderMismatchError: somebody else.
        DataError: what the pin was made of is not stated, so that nobody can tell.
    """
    pin = pinned(account)
    if pin is None:
        return
    person, number = _tokens(account, cnic, mobile)
    stated = person if pin.startswith(PERSON) else number
    if stated is None:
        raise DataError(_NO_CNIC)
    if stated != pin:
        raise HolderMismatchError(
            "the bank answers with another holder than the one who was linked: nothing of it is told; see that the "
            "number still is the holder's, and connect again, or remove the link"
        )


def require_same_holder(account: AccountMemory, entries: Iterable[Entry | Unreadable]) -> None:
    """No entry of a read is another holder's. Ask before anything of it is committed.

    Raises: as `require_same`.
    """
    for entry in entries:
        record = entry.record if isinstance(entry, Entry) else None
        if isinstance(record, Holder):
            require_same(account, record.cnic, record.msisdn)


def _tokens(account: AccountMemory, cnic: str | None, mobile: str | None) -> tuple[str | None, str | None]:
    own = own_identifiers(ibans=(), cnic=cnic, mobile=mobile, key=account.subject.token)
    person = next((f"{PERSON}{token}" for token in own.persons), None)
    return person, next((f"{MOBILE}{token}" for token in own.mobiles), None)
