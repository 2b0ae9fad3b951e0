"""What an event must say about a loan and its parts."""

from __future__ import annotations

from decimal import Decimal

from connector.sandbox.rendering import Expected, Renders, Wire, day_month_year


def _loan(_entity: str, _iban: str | None, body: Wire) -> Expected:
    return {
        "loan_id": body["LOAN_ID"],
        "product": body["PRODUCT"],
        "principal": Decimal(body["PRINCIPAL"]),
        "markup": Decimal(body["MARKUP"]),
        "outstanding": Decimal(body["OUTSTANDING"]),
        "currency": body["CCY"],
        "status": body["STATUS"],
        "status_source": body["STATUS"],
        "disbursed_on": day_month_year(body["DISBURSED_ON"]),
        "due_on": day_month_year(body["DUE_ON"]),
        "closed_on": day_month_year(body["CLOSED_ON"]),
        "disbursal_transaction_id": body["DISBURSAL_TXN_ID"],
    }


def _installment(entity: str, _iban: str | None, body: Wire) -> Expected:
    loan_id = entity.removeprefix("installment/").rpartition("/")[0]
    return {
        "loan_id": loan_id,
        "number": int(body["INSTALLMENT_NO"]),
        "due_on": day_month_year(body["DUE_ON"]),
        "amount": Decimal(body["AMOUNT"]),
        "paid_amount": Decimal(body["PAID_AMOUNT"]),
        "status": body["STATUS"],
        "status_source": body["STATUS"],
    }


def _repayment(_entity: str, _iban: str | None, body: Wire) -> Expected:
    return {
        "repayment_id": body["REPAYMENT_ID"],
        "amount": Decimal(body["AMOUNT"]),
        "paid_on": day_month_year(body["PAID_ON"]),
        "transaction_id": body["TXN_ID"],
    }


RENDERS: Renders = {
    "loan": ("loan", _loan),
    "installment": ("installment", _installment),
    "repayment": ("repayment", _repayment),
}
