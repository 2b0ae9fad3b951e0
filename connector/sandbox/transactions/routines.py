"""What people do with their money: salaries, transfers, shops, cash, and the entries that the bank books late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.sandbox.people import Counterparty, Hand
from connector.sandbox.routines import Routine, Routines
from connector.sandbox.transactions.books import Rail, Transaction

if TYPE_CHECKING:
    from connector.sandbox.life import Life


def _enter(life: Life, hand: Hand, at: datetime, draft: _Draft) -> str | None:
    iban = life.ibans[draft.account if draft.account < len(life.ibans) else 0]
    transaction = Transaction(
        id=hand.id("T"),
        iban=iban,
        rail=draft.rail,
        amount_paisa=draft.amount_paisa,
        initiated_at=draft.initiated_at or at,
        counterparty=draft.counterparty,
        biller=draft.biller,
        receipt_ref=hand.id("R") if draft.with_receipt else None,
    )
    return life.pay(hand, transaction, at)


@dataclass(frozen=True, slots=True)
class _Draft:
    rail: Rail
    amount_paisa: int
    counterparty: Counterparty | None = None
    biller: str | None = None
    account: int = 0
    with_receipt: bool = False
    initiated_at: datetime | None = None


def _salary(life: Life, hand: Hand, at: datetime) -> None:
    _enter(life, hand, at, _Draft("IBFT", hand.rupees(90_000, 140_000), life.contacts.employer, with_receipt=True))


def _remittance(life: Life, hand: Hand, at: datetime) -> None:
    amount = hand.rupees(30_000, 160_000)
    _enter(life, hand, at, _Draft("IBFT", amount, life.contacts.client, account=1, with_receipt=True))


def _pocket_money(life: Life, hand: Hand, at: datetime) -> None:
    _enter(life, hand, at, _Draft("RAAST_P2P", hand.rupees(1_000, 4_000), life.contacts.people[0]))


def _raast_in(life: Life, hand: Hand, at: datetime) -> None:
    person = hand.rng.choice(life.contacts.people)
    _enter(life, hand, at, _Draft("RAAST_P2P", hand.rupees(300, 9_000), person))


def _raast_out(life: Life, hand: Hand, at: datetime) -> None:
    person = hand.rng.choice(life.contacts.people)
    amount, comes_back, hours = hand.rupees(200, 6_000), hand.rng.random() < 0.05, hand.rng.uniform(0.1, 30.0)
    sent = _enter(life, hand, at, _Draft("RAAST_P2P", -amount, person, with_receipt=True))
    if sent is not None and comes_back:
        life.plan(at + timedelta(hours=hours), lambda now: _return(life, hand, now, person, amount))


def _return(life: Life, hand: Hand, at: datetime, person: Counterparty, amount_paisa: int) -> None:
    _enter(life, hand, at, _Draft("RAAST_RETURN", amount_paisa, person))


def _ibft_out(life: Life, hand: Hand, at: datetime) -> None:
    person = hand.rng.choice(life.contacts.people)
    other = Counterparty(iban=person.iban, name=person.name)
    if _enter(life, hand, at, _Draft("IBFT", -hand.rupees(1_000, 15_000), other, with_receipt=True)):
        _enter(life, hand, at, _Draft("FEE", -hand.rng.choice((1_000, 2_500, 5_000))))


def _cnic_out(life: Life, hand: Hand, at: datetime) -> None:
    person = hand.rng.choice(life.contacts.people)
    _enter(life, hand, at, _Draft("CNIC_TRANSFER", -hand.rupees(500, 5_000), Counterparty(cnic=person.cnic)))


def _qr_shop(life: Life, hand: Hand, at: datetime) -> None:
    shop = hand.rng.choice(life.contacts.shops)
    _enter(life, hand, at, _Draft("RAAST_P2M", -hand.rupees(80, 2_500), shop, with_receipt=True))


def _top_up(life: Life, hand: Hand, at: datetime) -> None:
    _enter(life, hand, at, _Draft("TOPUP", -hand.rng.choice((10_000, 20_000, 50_000)), biller="Cholistan Mobile"))


def _cash(life: Life, hand: Hand, at: datetime) -> None:
    if _enter(life, hand, at, _Draft("ATM", -hand.rng.choice((100_000, 200_000, 500_000)))):
        _enter(life, hand, at, _Draft("FEE", -2_344))


def _reward(life: Life, hand: Hand, at: datetime) -> None:
    _enter(life, hand, at, _Draft("REWARD", hand.rupees(20, 300)))


def _internal(life: Life, hand: Hand, at: datetime) -> None:
    giving, taking = (0, 1) if hand.rng.random() < 0.3 else (1, 0)
    amount = hand.rupees(5_000, 60_000)
    other = life.owner(life.ibans[taking])
    if _enter(life, hand, at, _Draft("ZINDIGI_INTERNAL", -amount, other, account=giving)):
        own = life.owner(life.ibans[giving])
        _enter(life, hand, at, _Draft("ZINDIGI_INTERNAL", amount, own, account=taking))


def _back_date(life: Life, hand: Hand, at: datetime) -> None:
    """An entry that the bank books late: hours to ten days after it was initiated."""
    earlier = at - timedelta(hours=hand.rng.uniform(2, 240))
    shop = hand.rng.choice(life.contacts.shops)
    _enter(life, hand, at, _Draft("RAAST_P2M", -hand.rupees(50, 1_500), shop, initiated_at=earlier))


ROUTINES: Routines = {
    "still": (),
    "salaried": (
        Routine("salary", 30 * 24, _salary, regular=True),
        Routine("raast-in", 70, _raast_in),
        Routine("raast-out", 24, _raast_out),
        Routine("qr", 20, _qr_shop),
        Routine("top-up", 150, _top_up),
        Routine("cash", 110, _cash),
        Routine("ibft", 160, _ibft_out),
        Routine("reward", 240, _reward),
    ),
    "small": (
        Routine("raast-in", 22, _raast_in),
        Routine("raast-out", 40, _raast_out),
        Routine("qr", 30, _qr_shop),
        Routine("top-up", 90, _top_up),
        Routine("cnic", 150, _cnic_out),
    ),
    "freelancer": (
        Routine("remittance", 9 * 24, _remittance),
        Routine("internal", 48, _internal),
        Routine("raast-out", 30, _raast_out),
        Routine("qr", 30, _qr_shop),
        Routine("ibft", 60, _ibft_out),
    ),
    "borrower": (
        Routine("salary", 15 * 24, _salary, regular=True),
        Routine("raast-in", 30, _raast_in),
        Routine("raast-out", 40, _raast_out),
        Routine("cash", 120, _cash),
    ),
    "teen": (
        Routine("pocket-money", 7 * 24, _pocket_money, regular=True),
        Routine("raast-in", 60, _raast_in),
        Routine("qr", 18, _qr_shop),
        Routine("top-up", 120, _top_up),
    ),
}


def late_entries(a_day: float) -> Routine:
    """Entries that come in late, so many a ledger day."""
    return Routine("back-dated", 24 / a_day, _back_date)


def fill_history(life: Life, start: datetime, end: datetime) -> None:
    """The plain posted entries that a still account has, spread evenly from `start` to `end`."""
    hand = life.hand("history")
    gap = (end - start) / (life.spec.entries + 1)
    for number in range(1, life.spec.entries + 1):
        at = (start + gap * number).replace(microsecond=0)
        person = hand.rng.choice(life.contacts.people)
        amount = hand.rupees(50, 900) * hand.rng.choice((-1, 1))
        life.transactions.enter(
            Transaction(hand.id("T"), life.ibans[0], "RAAST_P2P", amount, at, posted_at=at, counterparty=person), at
        )
