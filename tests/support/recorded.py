"""The recorded answers under `tests/fixtures/`: which there are, and their JSON with every digit kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

DIRECTORY = Path(__file__).parents[1] / "fixtures"
IBAN = "PK65JSBL9999903000000011"
FREELANCER_CARD = "C2DF58E5EC6C1E5"
MINOR_CARD = "CDAE58EB89800A0"
_PART = re.compile(r"/(?:accounts|cards|invest/v1/funds)/([^/]+)")
_FEED = f"/accounts/{IBAN}/transactions"
_INQUIRY = "/advance-cash/inquiry"
_ACTIVITY = f"/cards/{FREELANCER_CARD}/authorizations"
FUND = "F-INC-02"
_PORTFOLIO = "/invest/v1/portfolio"
_ORDERS = "/invest/v1/orders"
_NAV = f"/invest/v1/funds/{FUND}/nav"


@dataclass(frozen=True, slots=True)
class Fixture:
    """One recorded answer: to what call it was given. `kind` names the resource whose page it is."""

    name: str
    method: str
    path: str
    status: int = 200
    kind: str | None = None

    @property
    def part(self) -> str | None:
        """The bank account, card or fund that it is of, by its path."""
        found = _PART.match(self.path)
        return found[1] if found else None

    @property
    def page_path(self) -> Path:
        """The answer as the bank gave it."""
        return DIRECTORY / f"{self.name}.json"

    @property
    def outcome_path(self) -> Path:
        """What the client makes of it."""
        return DIRECTORY / f"{self.name}.records.json"

    def page(self) -> Any:
        """The recorded JSON, numbers with a fraction as `Decimal`."""
        return parse(self.page_path.read_bytes())

    def outcome(self) -> Any:
        """What the client is to make of it."""
        return parse(self.outcome_path.read_bytes())


FIXTURES = {
    fixture.name: fixture
    for fixture in (
        Fixture("auth.otp-required", "POST", "/auth/session", 401),
        Fixture("auth.otp-invalid", "POST", "/auth/session", 401),
        Fixture("auth.pin-invalid", "POST", "/auth/session", 401),
        Fixture("auth.locked", "POST", "/auth/session", 423),
        Fixture("auth.app-upgrade-required", "POST", "/auth/session", 426),
        Fixture("auth.session", "POST", "/auth/session"),
        Fixture("auth.resend", "POST", "/auth/otp/resend"),
        Fixture("auth.refresh", "POST", "/auth/refresh"),
        Fixture("auth.refresh-reused", "POST", "/auth/refresh", 401),
        Fixture("auth.token-expired", "GET", "/me", 401),
        Fixture("auth.session-ended", "GET", "/me", 401),
        Fixture("auth.device-unbound", "GET", "/me", 403),
        Fixture("profile.adult", "GET", "/me"),
        Fixture("profile.minor", "GET", "/me"),
        Fixture("holder.adult", "GET", "/me", kind="holder"),
        Fixture("holder.minor", "GET", "/me", kind="holder"),
        Fixture("bank-account.active", "GET", f"/accounts/{IBAN}", kind="bank_account"),
        Fixture("transactions.first", "GET", _FEED, kind="transactions"),
        Fixture("transactions.second", "GET", _FEED, kind="transactions"),
        Fixture("transactions.last", "GET", _FEED, kind="transactions"),
        Fixture("transactions.cursor-invalid", "GET", _FEED, 400, kind="transactions"),
        Fixture("bills.first", "GET", "/bills", kind="bills"),
        Fixture("bills.last", "GET", "/bills", kind="bills"),
        Fixture("bookings.first", "GET", "/bookings", kind="bookings"),
        Fixture("bookings.last", "GET", "/bookings", kind="bookings"),
        Fixture("cards.list", "GET", "/cards", kind="cards"),
        Fixture("cards.minor", "GET", "/cards", kind="cards"),
        Fixture("cards.authorizations.first", "GET", _ACTIVITY, kind="authorizations"),
        Fixture("cards.authorizations.last", "GET", _ACTIVITY, kind="authorizations"),
        Fixture("cards.surface-forbidden", "GET", f"/cards/{MINOR_CARD}/authorizations", 403, kind="authorizations"),
        Fixture("brokerage.portfolio", "GET", _PORTFOLIO, kind="holdings"),
        Fixture("brokerage.orders.first", "GET", _ORDERS, kind="orders"),
        Fixture("brokerage.orders.last", "GET", _ORDERS, kind="orders"),
        Fixture("brokerage.nav", "GET", _NAV, kind="nav"),
        Fixture("brokerage.session-refused", "GET", _PORTFOLIO, 401, kind="holdings"),
        Fixture("brokerage.surface-forbidden", "GET", _PORTFOLIO, 403, kind="holdings"),
        Fixture("brokerage.rate-limited", "GET", _ORDERS, 429, kind="orders"),
        Fixture("brokerage.unavailable", "GET", _ORDERS, 503, kind="orders"),
        Fixture("advance-cash.loans", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.no-facility", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.not-eligible", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.session-not-valid", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.upstream-timeout", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.unavailable", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.malfunction", "POST", _INQUIRY, kind="loan"),
        Fixture("advance-cash.surface-forbidden", "POST", _INQUIRY, 403, kind="loan"),
        Fixture("z-miles.ledger.first", "GET", "/z-miles/ledger", kind="points"),
        Fixture("z-miles.ledger.last", "GET", "/z-miles/ledger", kind="points"),
        Fixture("z-miles.summary", "GET", "/z-miles/summary", kind="vouchers"),
    )
}


def parse(body: bytes) -> Any:
    """JSON with every digit kept."""
    return json.loads(body, parse_float=Decimal)


def pretty(value: Any) -> bytes:
    """JSON for people and for `git diff`: indented, in the order given, amounts with the decimals that they have."""
    return orjson.dumps(value, default=_number, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is no JSON")
