"""The bank's departments: one for every domain, each a package of its own, and what they are to the rest of the bank.

A domain's package holds its `books` (what is true, and every act on it), `routines` (what people do), `endpoints` (what
its backend answers), `commands` (what a driver may have done) and `rendering` (what an event must say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from connector.sandbox.account import commands as account_commands
from connector.sandbox.account import endpoints as account_endpoints
from connector.sandbox.account.books import HOLDER, bank_account_resource
from connector.sandbox.bills import commands as bills_commands
from connector.sandbox.bills import endpoints as bills_endpoints
from connector.sandbox.bills import routines as bills_routines
from connector.sandbox.bookings import commands as bookings_commands
from connector.sandbox.bookings import endpoints as bookings_endpoints
from connector.sandbox.bookings import routines as bookings_routines
from connector.sandbox.cards import commands as cards_commands
from connector.sandbox.cards import endpoints as cards_endpoints
from connector.sandbox.cards import routines as cards_routines
from connector.sandbox.gateway import Endpoint
from connector.sandbox.investments import commands as investments_commands
from connector.sandbox.investments import endpoints as investments_endpoints
from connector.sandbox.investments import routines as investments_routines
from connector.sandbox.ledger import Domain
from connector.sandbox.lending import commands as lending_commands
from connector.sandbox.lending import endpoints as lending_endpoints
from connector.sandbox.lending import routines as lending_routines
from connector.sandbox.loyalty import commands as loyalty_commands
from connector.sandbox.loyalty import endpoints as loyalty_endpoints
from connector.sandbox.loyalty import routines as loyalty_routines
from connector.sandbox.mutations import Mutation, MutationError
from connector.sandbox.orders import Orders
from connector.sandbox.routines import Persona, Routine
from connector.sandbox.transactions import commands as transactions_commands
from connector.sandbox.transactions import endpoints as transactions_endpoints
from connector.sandbox.transactions import routines as transactions_routines

if TYPE_CHECKING:
    from connector.sandbox.life import Life

Obey = Callable[[Orders, Mutation, datetime], None]
"""Carry out a command now, `count` times. Raises MutationError where there is no such operation or no target."""


def _refuse(_orders: Orders, mutation: Mutation, _now: datetime) -> None:
    raise MutationError(f"nothing in {mutation.domain} is changed on command")


@dataclass(frozen=True, slots=True)
class Department:
    """One domain's part of the bank. `resources` are those that the bank shows a holder, by the truth's names."""

    endpoints: tuple[Endpoint, ...]
    resources: Callable[[Life], list[str]]
    routines: Mapping[Persona, tuple[Routine, ...]] = field(default_factory=dict)
    obey: Obey = _refuse


DEPARTMENTS: dict[Domain, Department] = {
    "account": Department(
        account_endpoints.ENDPOINTS,
        lambda life: [HOLDER, *map(bank_account_resource, life.ibans)],
        obey=account_commands.obey,
    ),
    "transactions": Department(
        transactions_endpoints.ENDPOINTS,
        lambda life: [f"transactions/{iban}" for iban in life.ibans],
        transactions_routines.ROUTINES,
        transactions_commands.obey,
    ),
    "cards": Department(
        cards_endpoints.ENDPOINTS,
        cards_endpoints.resources,
        cards_routines.ROUTINES,
        cards_commands.obey,
    ),
    "bills": Department(
        bills_endpoints.ENDPOINTS,
        lambda _: ["bills"],
        bills_routines.ROUTINES,
        bills_commands.obey,
    ),
    "investments": Department(
        investments_endpoints.ENDPOINTS,
        investments_endpoints.resources,
        investments_routines.ROUTINES,
        investments_commands.obey,
    ),
    "lending": Department(
        lending_endpoints.ENDPOINTS,
        lambda life: ["loan"] if life.account.is_verified_adult else [],
        lending_routines.ROUTINES,
        lending_commands.obey,
    ),
    "loyalty": Department(
        loyalty_endpoints.ENDPOINTS,
        lambda _: ["points", "vouchers"],
        loyalty_routines.ROUTINES,
        loyalty_commands.obey,
    ),
    "bookings": Department(
        bookings_endpoints.ENDPOINTS,
        lambda _: ["bookings"],
        bookings_routines.ROUTINES,
        bookings_commands.obey,
    ),
}


def resources_of(life: Life) -> dict[str, Domain]:
    """The resources that the bank shows this holder, and the domain of each."""
    return {name: domain for domain, department in DEPARTMENTS.items() for name in department.resources(life)}


def routines_of(persona: Persona, late_entries_a_day: float) -> tuple[Routine, ...]:
    """Everything that a persona does, and the entries that the bank books late."""
    routines = tuple(routine for one in DEPARTMENTS.values() for routine in one.routines.get(persona, ()))
    if persona == "still" or not late_entries_a_day:
        return routines
    return (*routines, transactions_routines.late_entries(late_entries_a_day))
