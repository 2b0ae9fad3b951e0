"""One holder's part of the bank: books, cards, loans, points, acquaintances, and the means to plan what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from connector.sandbox.account.books import Account
from connector.sandbox.bills.books import Bills
from connector.sandbox.bookings.books import Bookings
from connector.sandbox.cards.books import Cards
from connector.sandbox.investments.books import Investments
from connector.sandbox.investments.market import Market
from connector.sandbox.ledger import DOMAINS, Domain, Ledger
from connector.sandbox.lending.books import Lending
from connector.sandbox.loyalty.books import Loyalty
from connector.sandbox.people import Counterparty, Hand, invent_contacts, second_iban, wallet_iban
from connector.sandbox.transactions.books import PostingWay, Rail, Transaction, Transactions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connector.sandbox.scenario import HolderSpec, Rates
    from connector.sandbox.simulation import Simulation

_PENDING_SHARE: dict[Rail, float] = {"IBFT": 0.4, "RAAST_P2M": 0.3, "ATM": 0.25}
WAYS: dict[PostingWay, float] = {"same_id": 0.45, "replaces": 0.35, "new_id": 0.2}
_NEVER_TOUCHED_LATER: frozenset[Rail] = frozenset({"LOAN_DISBURSAL", "LOAN_REPAYMENT", "ZINDIGI_INTERNAL"})
_LATEST_AMENDMENT_HOURS = 240.0


class Life:
    """A holder as the simulation knows them; acts on the holder's ledgers go through here.

    `touched` holds the entities changed by the act at hand, or in a step since it began.
    """

    def __init__(
        self, spec: HolderSpec, seed: int, simulation: Simulation, rates: Rates, ordinal: Callable[[], int]
    ) -> None:
        self.spec = spec
        self.rates = rates
        self.seed_text = f"{seed}/{spec.msisdn}"
        self.touched: set[str] = set()
        self._simulation = simulation
        ibans = [wallet_iban(spec.msisdn), second_iban(spec.msisdn)][: spec.accounts]
        self.ibans = tuple(ibans)
        self.ledgers: dict[Domain, Ledger] = {
            domain: Ledger(spec.msisdn, domain, ordinal, self.touched) for domain in DOMAINS
        }
        self.transactions = Transactions(
            self.ledgers["transactions"], dict.fromkeys(ibans, spec.opening_balance_rupees * 100)
        )
        self.account = Account(self.ledgers["account"], spec, self.transactions.feeds, simulation.now)
        self.transactions.moved = self.account.follow
        self.bills = Bills(self.ledgers["bills"])
        self.cards = Cards(self.ledgers["cards"])
        self.investments = Investments(self.ledgers["investments"], Market(seed))
        self.lending = Lending(self.ledgers["lending"])
        self.loyalty = Loyalty(self.ledgers["loyalty"], int(spec.msisdn[-3:]) * 100_000)
        self.bookings = Bookings(self.ledgers["bookings"])
        first_number = 500 + int(spec.msisdn[-3:]) * 10
        self.contacts = invent_contacts(Random(f"{self.seed_text}/contacts"), first_number)

    def open_account(self, at: datetime) -> None:
        """A holder of one bank account opens the second one."""
        iban = second_iban(self.spec.msisdn)
        self.ibans = (*self.ibans, iban)
        self.transactions.open(iban)
        self.account.open(iban, at)

    def hand(self, name: str) -> Hand:
        """A source of choices of its own for the routine of that name."""
        return Hand(f"{self.seed_text}/{name}")

    def plan(self, at: datetime, act: Callable[[datetime], None], *claims: str) -> None:
        """Let something happen; `claims` are the entities that it changes."""
        self._simulation.plan(at, act, self.touched, claims)

    def owner(self, iban: str) -> Counterparty:
        """The holder, as the other side of an entry sees them."""
        return Counterparty(alias=self.spec.msisdn, iban=iban, cnic=self.spec.cnic, name=self.spec.name)

    def pay(self, hand: Hand, draft: Transaction, at: datetime, *, final: bool = False) -> str | None:
        """Enter a draft and plan all that will become of it; gives the entity, None where the account takes it not.

        A `final` one is posted at once, and nothing becomes of it: what names it goes on to be right. Every choice is
        drawn whether or not it is used, so that a refusal changes nothing else.
        """
        pending = hand.rng.random() < _PENDING_SHARE.get(draft.rail, 0.0) and not final
        fate = hand.rng.random()
        settle_hours = hand.rng.uniform(0.2, 6.0)
        fate_hours = settle_hours + hand.rng.uniform(1.0, _LATEST_AMENDMENT_HOURS - settle_hours)
        way = hand.rng.choices(list(WAYS), list(WAYS.values()))[0]
        posting_id, receipt = hand.id("T"), hand.id("R")
        if not self.account.admits(draft.iban, draft.amount_paisa):
            return None
        if draft.amount_paisa < 0 and self.transactions.feeds[draft.iban].available_paisa + draft.amount_paisa < 0:
            return None
        entered = replace(draft, status="pending", posted_at=None) if pending else replace(draft, posted_at=at)
        entity = self.transactions.enter(entered, at)
        if pending and fate > 1 - self.rates.lapse:
            self.plan(at + timedelta(hours=settle_hours), lambda now: self._remove(entity, now), entity)
            return entity
        if pending:
            self.plan(at + timedelta(hours=settle_hours), lambda now: self._post(entity, now, way, posting_id), entity)
        if draft.rail not in _NEVER_TOUCHED_LATER and not final:
            self.plan_fate(entity, fate, at + timedelta(hours=fate_hours), receipt)
        return entity

    def plan_fate(self, entity: str, fate: float, at: datetime, receipt: str) -> None:
        """Plan what is done late to an entry, if anything: `fate` in [0, 1) says what."""
        rates = self.rates
        if fate < rates.amend:
            self.plan(at, lambda now: self._amend(entity, now, fate / rates.amend, receipt), entity)
        elif fate < rates.amend + rates.reverse:
            self.plan(at, lambda now: self._reverse(entity, now), entity)
        elif fate < rates.amend + rates.reverse + rates.remove:
            self.plan(at, lambda now: self._remove(entity, now), entity)

    def _post(self, entity: str, now: datetime, way: PostingWay, new_id: str) -> None:
        standing = self.transactions.get(entity)
        if standing is not None and standing.status == "pending":
            self.transactions.post(entity, now, way, new_id)

    def _amend(self, entity: str, now: datetime, choice: float, receipt: str) -> None:
        standing = self.transactions.get(entity)
        if standing is not None:
            self.transactions.amend(entity, now, amended(standing, choice, receipt))

    def _reverse(self, entity: str, now: datetime) -> None:
        standing = self.transactions.get(entity)
        if standing is not None and standing.status == "posted":
            self.transactions.reverse(entity, now)

    def _remove(self, entity: str, now: datetime) -> None:
        if self.transactions.get(entity) is not None:
            self.transactions.remove(entity, now)


def amended(standing: Transaction, choice: float, receipt: str) -> Transaction:
    """The entry with one thing corrected; `choice` in [0, 1) says which, `receipt` is a text it never had before."""
    if choice < 0.35:
        shift = 1 + int(choice * 1_000)
        return replace(standing, amount_paisa=standing.amount_paisa - shift)
    if choice < 0.6 and standing.counterparty is not None and standing.counterparty.name is not None:
        named = replace(standing.counterparty, name=f"{standing.counterparty.name} {receipt[-4:]}")
        return replace(standing, counterparty=named)
    if choice < 0.75 and standing.biller is not None:
        return replace(standing, biller=f"{standing.biller} {receipt[-4:]}")
    if choice < 0.85 and standing.rail == "RAAST_P2P":
        return replace(standing, rail="IBFT", receipt_ref=receipt)
    return replace(standing, receipt_ref=receipt)
