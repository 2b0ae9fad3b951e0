"""The lending core's backend: an old system behind one POST, whose errors come as HTTP 200 with a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from connector.sandbox.auth import parse_body
from connector.sandbox.gateway import Call, Endpoint
from connector.sandbox.replies import Page, Reply, Row, Visit, surface_forbidden

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Body, Json

_DESCRIPTIONS = {
    "00": "SUCCESS",
    "01": "NO FACILITY FOUND",
    "05": "CUSTOMER NOT ELIGIBLE",
    "14": "SESSION NOT VALID AT CORE",
    "68": "UPSTREAM TIMEOUT",
    "91": "ISSUER OR SWITCH INOPERATIVE",
    "96": "SYSTEM MALFUNCTION",
}


class _InquiryRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    CHANNEL: Literal["APP"]


def _visit(_: Bank, call: Call) -> Visit:
    return Visit(call.holder, "lending", "loan", None, 0, {}, begins=True)


def _inquire(bank: Bank, call: Call) -> Reply:
    life = bank.lives[call.holder]
    if life.account.minor:
        raise surface_forbidden()
    parse_body(_InquiryRequest, call.body)
    if params := bank.faults.fire("advance_cash_code", call.target):
        return Reply(body=_answer(params.response_code, None))
    if life.account.tier == "L0":
        return Reply(body=_answer("05", None))
    present = life.ledgers["lending"].present
    rows = tuple(
        Row(loan.whole_body(), tuple((entity, present[entity].version) for entity in loan.parts()))
        for loan in life.lending.loans.values()
    )
    return Reply(page=Page(_visit(bank, call), rows, None, _envelope))


def _envelope(loans: list[Json], _: str | None) -> Body:
    return _answer("00", {"LOANS": loans}) if loans else _answer("01", None)


def _answer(code: str, data: Json) -> Body:
    return {"RESPONSE_CODE": code, "RESPONSE_DESC": _DESCRIPTIONS.get(code, "UNKNOWN"), "DATA": data}


ENDPOINTS = (Endpoint("POST", "/advance-cash/inquiry", "advance_cash", _inquire, visit=_visit),)
