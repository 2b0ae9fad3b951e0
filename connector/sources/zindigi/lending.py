"""The Advance Cash inquiry as canonical loans, instalments and repayments. Pure.

Errors come as HTTP 200 with a code of the lending core's own: `examine_inquiry` turns them into the taxonomy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from connector.domains.lending import INSTALLMENT_STATUSES, LOAN_STATUSES, Installment, Loan, Repayment
from connector.domains.model import UNKNOWN, BookingKey, Entry, Unreadable
from connector.errors import DataError, ForbiddenError, TokenError, UnavailableError
from connector.limits import MAXIMUM_ENTRIES_A_WHOLE
from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, parse_object, require_json
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call, Surface
from connector.sources.zindigi.wire import (
    InquiryDataWire,
    InquiryWire,
    InstallmentWire,
    LoanKeyWire,
    LoansWire,
    LoanWire,
    NoFacilityWire,
    RepaymentWire,
    ShapeError,
    day_month_year_micros,
    field_names,
    identifier_of,
    micros_of,
    understand,
    whole_number_of,
)

OK: Final = "00"
NO_FACILITY: Final = "01"
_NOT_ELIGIBLE: Final = "05"
_SESSION_NOT_VALID: Final = "14"
_RETRYABLE: Final = {"68": "its upstream timed out", "91": "its backend is unavailable", "96": "it malfunctions"}
_CODE_LENGTH: Final = 2

_ENVELOPE_FIELDS: Final = frozenset({"RESPONSE_CODE", "RESPONSE_DESC", "DATA"})
_DATA_FIELDS: Final = field_names(LoansWire)
_PARTS: Final = ("SCHEDULE", "REPAYMENTS")
_LOAN_FIELDS: Final = field_names(LoanWire) | set(_PARTS)
_INSTALLMENT_FIELDS: Final = field_names(InstallmentWire)
_REPAYMENT_FIELDS: Final = field_names(RepaymentWire)


def examine_inquiry(body: bytes) -> None:
    """Pass an answer that can be read (codes 00 and 01).

    Raises:
        UnavailableError: the body broke off, the lending core said that it cannot answer for the moment, or there is no
            code of the contract: then it was not the lending core that answered, and there may be loans all the same.
        TokenError: the session is not valid at the lending core.
        ForbiddenError: the holder is not eligible.
    """
    require_json(body, "the answer of the lending core")
    try:
        code = understand(InquiryWire, parse_object(body)).response_code
    except DataError as error:
        raise UnavailableError(f"the answer has no code of the lending core: {error}") from None
    if code in {OK, NO_FACILITY}:
        return
    if code == _SESSION_NOT_VALID:
        raise TokenError("the session is not valid at the lending core")
    if code == _NOT_ELIGIBLE:
        raise ForbiddenError("the holder is not eligible for Advance Cash")
    if code in _RETRYABLE:
        raise UnavailableError(f"the lending core answered code {code}: {_RETRYABLE[code]}")
    raise UnavailableError(f"the lending core answered {_named(code)}, which the contract does not name")


def read_inquiry(_resource: Resource, body: bytes) -> Page:
    """Everything in one page: loans, then instalments, then repayments. No facility is an empty page.

    Raises:
        DataError: the envelope is not understood.
    """
    top = parse_object(body)
    unknown = UnknownFields()
    unknown.note("", top, _ENVELOPE_FIELDS)
    code = understand(InquiryWire, top).response_code
    if code == NO_FACILITY:
        # An empty page says that every loan is gone: not to be said on an answer that contradicts itself.
        understand(NoFacilityWire, top)
        return Page(entries=(), next_cursor=None, unknown_fields=unknown.counts)
    if code != OK:
        raise DataError(f"the lending core answered {_named(code)}: there is nothing to read")
    items = understand(InquiryDataWire, top).data.loans
    _require_few(items)
    unknown.note("DATA", top["DATA"], _DATA_FIELDS)
    entries = [_read_loan(item, unknown) for item in items]
    for part in _PARTS:
        for item in items:
            entries.extend(_read_part(item, part, unknown))
    return Page(entries=tuple(entries), next_cursor=None, unknown_fields=unknown.counts)


def _require_few(loans: list[Any]) -> None:
    """Raises ShapeError where loans and their parts are more than one answer may list."""
    entries = len(loans)
    for loan in loans:
        parts = (loan.get(part) for part in _PARTS) if isinstance(loan, dict) else ()
        entries += sum(len(part) for part in parts if isinstance(part, list))
    if entries > MAXIMUM_ENTRIES_A_WHOLE:
        raise ShapeError(f"DATA.LOANS: more than {MAXIMUM_ENTRIES_A_WHOLE} entries")


def _named(code: str) -> str:
    return f"code {code}" if code.isascii() and code.isalnum() and len(code) == _CODE_LENGTH else "a code of odd form"


def _read_loan(item: object, unknown: UnknownFields) -> Entry | Unreadable:
    own = item
    if isinstance(item, dict):
        unknown.note("DATA.LOANS", item, _LOAN_FIELDS)
        own = {name: value for name, value in item.items() if name not in _PARTS}
    # A loan's own digest stays when only its schedule moved.
    digest = digest_value(own)
    try:
        return Entry(_loan(understand(LoanWire, item)), digest)
    except ShapeError as error:
        loan_id = identifier_of(item, "LOAN_ID")
        if loan_id is None:
            return aside(item, digest, error)
        order = micros_of(item, "DISBURSED_ON", day_month_year_micros)
        key = None if order is None else BookingKey(order, f"0/{loan_id}")
        return aside(item, digest, error, f"loan/{loan_id}", key)


def _read_part(item: object, part: str, unknown: UnknownFields) -> Iterator[Entry | Unreadable]:
    """The entries of one list of a loan. A list that is not there leaves a mark without id: the read is incomplete."""
    lines = item.get(part) if isinstance(item, dict) else None
    if not isinstance(lines, list):
        fault = "missing" if not isinstance(item, dict) or part not in item else "not a list"
        yield aside(lines, digest_value([part, lines]), f"{part}: {fault}")
        return
    loan: LoanKeyWire | ShapeError
    try:
        loan = understand(LoanKeyWire, item)
    except ShapeError as error:
        loan = error
    loan_id = identifier_of(item, "LOAN_ID")
    read = _read_installment if part == "SCHEDULE" else _read_repayment
    for line in lines:
        yield read(loan, loan_id, line, unknown)


def _read_installment(
    loan: LoanKeyWire | ShapeError, loan_id: str | None, line: object, unknown: UnknownFields
) -> Entry | Unreadable:
    digest = digest_value(line)
    _note(unknown, "DATA.LOANS.SCHEDULE", line, _INSTALLMENT_FIELDS)
    try:
        wire = understand(InstallmentWire, line)
        if isinstance(loan, ShapeError):
            raise loan
    except ShapeError as error:
        number = whole_number_of(line, "INSTALLMENT_NO")
        if loan_id is None or number is None:
            return aside(line, digest, error)
        order = micros_of(line, "DUE_ON", day_month_year_micros)
        key = None if order is None else BookingKey(order, f"1/{loan_id}/{number:04d}")
        return aside(line, digest, error, f"installment/{loan_id}/{number}", key)
    record = Installment(
        loan_id=loan.loan_id,
        number=wire.installment_no,
        due_on=wire.due_on,
        amount=wire.amount,
        paid_amount=wire.paid_amount,
        currency=loan.ccy,
        status=wire.status if wire.status in INSTALLMENT_STATUSES else UNKNOWN,
        status_source=wire.status,
    )
    return Entry(record, digest)


def _read_repayment(
    loan: LoanKeyWire | ShapeError, loan_id: str | None, line: object, unknown: UnknownFields
) -> Entry | Unreadable:
    digest = digest_value(line)
    _note(unknown, "DATA.LOANS.REPAYMENTS", line, _REPAYMENT_FIELDS)
    try:
        wire = understand(RepaymentWire, line)
        if isinstance(loan, ShapeError):
            raise loan
    except ShapeError as error:
        repayment_id = identifier_of(line, "REPAYMENT_ID")
        if repayment_id is None:
            return aside(line, digest, error)
        order = micros_of(line, "PAID_ON", day_month_year_micros)
        known = loan_id is not None and order is not None
        key = BookingKey(order, f"2/{loan_id}/{repayment_id}") if known and order is not None else None
        return aside(line, digest, error, f"repayment/{repayment_id}", key)
    record = Repayment(
        repayment_id=wire.repayment_id,
        loan_id=loan.loan_id,
        amount=wire.amount,
        currency=loan.ccy,
        paid_on=wire.paid_on,
        transaction_id=wire.txn_id,
    )
    return Entry(record, digest)


def _note(unknown: UnknownFields, prefix: str, line: object, known: frozenset[str]) -> None:
    if isinstance(line, dict):
        unknown.note(prefix, line, known)


def _loan(wire: LoanWire) -> Loan:
    return Loan(
        loan_id=wire.loan_id,
        product=wire.product,
        principal=wire.principal,
        markup=wire.markup,
        outstanding=wire.outstanding,
        currency=wire.ccy,
        status=wire.status if wire.status in LOAN_STATUSES else UNKNOWN,
        status_source=wire.status,
        disbursed_on=wire.disbursed_on,
        due_on=wire.due_on,
        closed_on=wire.closed_on,
        disbursal_transaction_id=wire.disbursal_txn_id,
    )


def _call_inquiry(_options: ZindigiOptions, _resource: Resource, _request: PageRequest) -> Call:
    # A POST has no conditional form.
    return Call("POST", "/advance-cash/inquiry", payload={"CHANNEL": "APP"})


SURFACES: Final = {"loan": Surface(_call_inquiry, read_inquiry, examine_inquiry)}
