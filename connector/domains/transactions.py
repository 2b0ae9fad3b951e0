"""Transactions: one newest-first ledger for every IBAN, with a running balance that can be checked.

The bank's `replaces` keeps a pending entry and its posting one entity. Amounts are signed from the holder's view.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from connector.domains.model import (
    OWN,
    BookingKey,
    Domain,
    EventDoc,
    Feed,
    Record,
    ResourceKind,
    Window,
    bank_entity,
    micros,
)
from connector.parties import Party, PartyNaming, Stated

RAILS: dict[str, str | None] = {
    # rail: ISO 20022 bank transaction code (domain-family-subfamily) of a debit; external code set, 2024.
    "RAAST_P2P": "PMNT-IRCT-ESCT",
    "RAAST_P2M": "PMNT-IRCT-ESCT",
    "RAAST_RETURN": "PMNT-IRCT-RRTN",
    "IBFT": "PMNT-ICDT-ESCT",
    "ZINDIGI_INTERNAL": "PMNT-ICDT-BOOK",
    "CNIC_TRANSFER": "PMNT-ICDT-OTHR",
    "CARD": "PMNT-CCRD-POSD",
    "ATM": "PMNT-CCRD-CWDL",
    "BILL_PAY": "PMNT-ICDT-OTHR",
    "TOPUP": "PMNT-ICDT-OTHR",
    "INVESTMENT": "SECU-OTHR-OTHR",
    "LOAN_DISBURSAL": "LDAS-CSLN-DDWN",
    "LOAN_REPAYMENT": "LDAS-CSLN-PPAY",
    "REWARD": "ACMT-MCOP-OTHR",
    "FEE": "ACMT-MDOP-FEES",
    "REVERSAL": "PMNT-OTHR-OTHR",
}
STATUSES = {"pending": "PENDING", "posted": "POSTED", "reversed": "REVERSED"}


@dataclass(frozen=True, slots=True)
class Counterparty:
    """The other side as the bank names it; each identifier may be missing."""

    alias: str | None
    iban: str | None
    cnic: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One line of an IBAN's feed."""

    KIND: ClassVar[str] = "transaction"

    iban: str
    transaction_id: str
    replaces: str | None
    rail: str
    rail_source: str
    bank_transaction_code: str | None
    amount: Decimal
    currency: str
    status: str
    status_source: str
    initiated_at: datetime
    initiated_at_source: str
    posted_at: datetime | None
    posted_at_source: str | None
    # One back-dated entry shifts the balance of every later one: that is no change of theirs.
    balance_after: Decimal | None = field(compare=False)
    counterparty: Counterparty | None
    biller: str | None
    receipt_ref: str | None
    # Derived from the counterparty, which is compared: a better parser of ours is no change of the bank's.
    party: Party | None = field(default=None, compare=False)

    @property
    def entity_id(self) -> str:
        return bank_entity(self.transaction_id)

    @property
    def booking_key(self) -> BookingKey:
        return BookingKey(micros(self.initiated_at), self.transaction_id)

    @property
    def settled(self) -> bool:
        return self.status in {"POSTED", "REVERSED"}

    @property
    def effective(self) -> datetime:
        return self.posted_at or self.initiated_at


@dataclass(frozen=True, slots=True)
class BalanceChain:
    """Whether the running balance of an IBAN adds up from entry to entry, and where it stopped doing so."""

    KIND: ClassVar[str] = "balance_chain"
    ENTITY_ID: ClassVar[str] = f"{OWN}balance-chain"

    iban: str
    status: str
    older_transaction_id: str | None
    newer_transaction_id: str | None
    expected_balance: Decimal | None
    stated_balance: Decimal | None

    @property
    def entity_id(self) -> str:
        return self.ENTITY_ID

    @property
    def booking_key(self) -> BookingKey:
        # After every entry of the commit that broke or healed it.
        return BookingKey(1 << 62, self.ENTITY_ID)

    @property
    def settled(self) -> bool:
        # Never ages out: a broken chain must be remembered until it heals.
        return False

    @property
    def effective(self) -> None:
        return None


def _name_event(op: str, before: Record | None, after: Record | None) -> str:
    if isinstance(after, BalanceChain):
        return "BalanceChainBroken" if after.status == "BROKEN" else "BalanceChainHealed"
    if not isinstance(after, Transaction):
        return "TransactionRemoved"
    was = before.status if isinstance(before, Transaction) else None
    if op == "u" and was == after.status:
        return "TransactionAmended"
    by_status = {"PENDING": "TransactionPending", "POSTED": "TransactionPosted", "REVERSED": "TransactionReversed"}
    return by_status.get(after.status, "TransactionAmended")


def _name_party(record: Record, naming: PartyNaming) -> Record:
    if not isinstance(record, Transaction) or record.counterparty is None:
        return record
    stated = record.counterparty
    party = naming.of(Stated(stated.iban, stated.cnic, stated.alias))
    return record if party is None else replace(record, party=party)


TRANSACTIONS = Domain(
    name="transactions",
    resources=(
        ResourceKind(
            name="transactions",
            backend="bank",
            surface="wallet",
            feed=Feed.NEWEST_FIRST,
            window=Window(),
            head_interval_seconds=30.0,
            reconcile_interval_seconds=1800.0,
            per_bank_account=True,
            balance_chain=True,
        ),
    ),
    records={"transaction": Transaction, "balance_chain": BalanceChain},
    event_types={
        "TransactionPending": EventDoc(
            when="A line is first seen that the bank has not posted yet, or a known line is pending again.",
            then=(
                "Upsert `after` by entity. The amount may still change or the line vanish: show it, but do not count "
                "it as booked."
            ),
        ),
        "TransactionPosted": EventDoc(
            when=(
                "A line is first seen posted, or a pending one was posted, under its own id or under one that replaces "
                "it."
            ),
            then=(
                "Upsert `after` by entity and book the amount. `supersedes` names the id that the posting took over "
                "from."
            ),
        ),
        "TransactionAmended": EventDoc(
            when="The bank changed a line without a change of its status, or its status is one that we do not know.",
            then=(
                "Upsert `after`; `changed` names the fields. Where the amount changed, book the difference to `before`."
            ),
        ),
        "TransactionReversed": EventDoc(
            when="A line is first seen reversed, or the bank reversed a known one.",
            then=(
                "Upsert `after` and undo the booking of a posted `before`. A bank that books the return as a line of "
                "its own tells that line as a `TransactionPosted`, too."
            ),
        ),
        "TransactionRemoved": EventDoc(
            when="A line is proven gone: two complete reads in a row, inside the bank's retention, did not show it.",
            then=(
                "Delete the entity and undo what was booked for `before`. A pending line that was never posted ends "
                "like this."
            ),
        ),
        "BalanceChainBroken": EventDoc(
            when=(
                "The running balance of an IBAN does not follow from one line to the next, and a complete read did not "
                "mend it."
            ),
            then=(
                "Do not rely on sums over this IBAN: a line with a net effect may be missing between the two that "
                "`after` names. Compare `expected_balance` with `stated_balance`."
            ),
        ),
        "BalanceChainHealed": EventDoc(
            when="A chain that was broken adds up again.",
            then="Sums over this IBAN are complete again; take back what `BalanceChainBroken` set off.",
        ),
    },
    name_event=_name_event,
    name_party=_name_party,
)
