"""The bank ledger's backend: the holder and what the login holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.replies import Reply

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Body


def _me(bank: Bank, call: Call) -> Reply:
    life = bank.lives[call.holder]
    spec = life.spec
    body: Body = {
        "holder": {"name": spec.name, "cnic": spec.cnic, "msisdn": spec.msisdn, "email": spec.email},
        "tier": spec.tier,
        "segment": spec.segment,
        "minor": spec.minor,
        "accounts": [
            {"iban": iban, "title": title, "status": "ACTIVE"}
            for iban, title in zip(life.ibans, ("Zindigi Wallet", "Freelancer Account"), strict=False)
        ],
    }
    return Reply(body=body, cacheable=True)


ENDPOINTS = (Endpoint("GET", "/me", "bank", _me),)
