"""The bank ledger's backend: the holder and what the login holds, and each bank account with what stands on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.sandbox.account.books import HOLDER, bank_account_resource
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.replies import Page, Refusal, Reply, Row, Visit

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Body, Json


def _visit_me(_: Bank, call: Call) -> Visit:
    return Visit(call.holder, "account", HOLDER, None, 0, {}, begins=True)


def _me(bank: Bank, call: Call) -> Reply:
    account = bank.lives[call.holder].account
    row = Row({**account.holder.body(), "accounts": account.listed()}, account.versions(HOLDER))
    return Reply(page=Page(_visit_me(bank, call), (row,), None, _bare), cacheable=True)


def _visit_account(bank: Bank, call: Call) -> Visit:
    iban = call.parts["iban"]
    if iban not in bank.lives[call.holder].ibans:
        raise Refusal(404, "NOT_FOUND", "There is no such account.")
    return Visit(call.holder, "account", bank_account_resource(iban), None, 0, {}, begins=True)


def _account(bank: Bank, call: Call) -> Reply:
    visit, iban = _visit_account(bank, call), call.parts["iban"]
    account = bank.lives[call.holder].account
    row = Row(account.whole_body(iban), account.versions_of(iban))
    return Reply(page=Page(visit, (row,), None, _bare), cacheable=True)


def _bare(items: list[Json], _: str | None) -> Body:
    return {name: value for item in items if isinstance(item, dict) for name, value in item.items()}


ENDPOINTS = (
    Endpoint("GET", "/me", "bank", _me, visit=_visit_me),
    Endpoint("GET", "/accounts/{iban}", "bank", _account, visit=_visit_account),
)
