"""The consent text as shown, and the record of it: what is hashed is to the letter what the holder saw."""

from __future__ import annotations

import hashlib
import secrets
import textwrap
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from string import Template
from typing import Final

from connector.consent import Consent

LANGUAGE: Final = "en"
WIDTH: Final = 75
"""Columns of the text: what quotes it has five more."""

_DOMAINS: Final = {
    "account": "name, CNIC, mobile number and e-mail address; tier; every bank account, its status and balance",
    "transactions": "every entry of every bank account: amount, time, other party, balance",
    "cards": "cards, their status and limits, and each use of them: amount, time, merchant",
    "bills": "bills presented to you: biller, consumer number, amount, due date, payment",
    "bookings": "travel, cinema, hotel, e-voucher and insurance orders; never a code that spends a voucher",
    "investments": "shares and funds held, orders, and what a fund's unit is worth",
    "lending": "Advance Cash loans, their schedules and repayments",
    "loyalty": "Z-Miles points and vouchers",
}


@dataclass(frozen=True, slots=True)
class ConsentForm:
    """What is put before the holder."""

    text: str
    domains: frozenset[str]
    valid_from: datetime
    valid_until: datetime

    def accepted(self) -> Consent:
        """The record of this form, accepted."""
        return Consent(
            consent_id=f"con_{secrets.token_hex(16)}",
            domains=self.domains,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            text_sha256=hashlib.sha256(self.text.encode()).hexdigest(),
            language=LANGUAGE,
        )


def write_consent_form(domains: frozenset[str], days: int, now: datetime) -> ConsentForm:
    """The form for `domains` over `days` from `now` (UTC)."""
    valid_from = now.replace(microsecond=0)
    valid_until = valid_from + timedelta(days=days)
    template = resources.files("connector.cli").joinpath("consent_text", f"{LANGUAGE}.txt").read_text("utf-8")
    lines = (_item(f"{name}: {_DOMAINS.get(name, 'all that the bank states of it')}") for name in sorted(domains))
    text = Template(template).substitute(
        domains="".join(lines),
        valid_from=f"{valid_from:%Y-%m-%d %H:%M} UTC",
        valid_until=f"{valid_until:%Y-%m-%d %H:%M} UTC",
        days=days,
    )
    return ConsentForm(text, domains, valid_from, valid_until)


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  - ", subsequent_indent="    ") + "\n"
