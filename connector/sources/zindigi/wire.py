"""The shapes that the bank sends, strict on types; what they lack or bend is named by field, never by value.

Fields beyond these shapes are tolerated and counted elsewhere. Amounts are exact `Decimal`s of scale 2, times keep
their source form beside the instant. A number's value decides, not its literal: 2500.500 has two decimals, and 5.0 is a
whole number (JSON Schema 2020-12, 6.1.1). Lengths are those of the contract. Models take parsed JSON (`exact_json`),
never text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from connector.domains.model import micros, midnight_micros
from connector.errors import DataError
from connector.limits import (
    MAXIMUM_CODE_CHARACTERS,
    MAXIMUM_IDENTIFIER_CHARACTERS,
    MAXIMUM_NUMBER_CHARACTERS,
    MAXIMUM_TEXT_CHARACTERS,
)

M = TypeVar("M", bound="Wire")

SCALE: Final = 2
SIGNIFICANT_DIGITS: Final = 15
_REASONS_LIMIT: Final = 3
_LONG: Final = 2**63
_LONG_DIGITS: Final = 19

_TIME_FORM: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY_FORM: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DAY_MONTH_YEAR_FORM: Final = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4})")
_DECIMAL_TEXT_FORM: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Moment(NamedTuple):
    """An instant, and the text that stated it."""

    instant: datetime
    source: str


def _fault(kind: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(f"wire_{kind}", message)


def _amount(value: object) -> Decimal:
    """A JSON number as an exact amount; the scale that the bank left out is restored, none is taken away."""
    return scaled(json_number(value), SCALE, SIGNIFICANT_DIGITS)


def json_number(value: object) -> Decimal:
    """A JSON number, exact.

    Raises:
        PydanticCustomError: it is none, or one that has no value here.
    """
    if type(value) is Decimal:
        # An exponent form (1E+3) is as exact as any other.
        return value
    if type(value) is int:
        return Decimal(value)
    raise _fault("amount_type", "not a JSON number")


def text_number(value: object) -> Decimal:
    """A decimal number as text, exact.

    Raises:
        PydanticCustomError: it is none, or too long to be one.
    """
    if type(value) is not str:
        raise _fault("amount_text_type", "not a string")
    if len(value) > MAXIMUM_NUMBER_CHARACTERS or not _DECIMAL_TEXT_FORM.fullmatch(value):
        raise _fault("amount_text_form", "not a decimal number")
    return Decimal(value)


def scaled(number: Decimal, scale: int, digits: int) -> Decimal:
    """`number` with `scale` decimals, however many zeros it was printed with; costs nothing for any exponent.

    Raises:
        PydanticCustomError: it is finer than that, or has more than `digits` digits in all.
    """
    if not number:
        return Decimal(0).scaleb(-scale)
    _, figures, exponent = number.as_tuple()
    if exponent == -scale and len(figures) <= digits:
        return number
    if _finer(number, scale):
        raise _fault("amount_scale", f"more than {scale} decimals")
    if number.adjusted() + 1 + scale > digits:
        raise _fault("amount_digits", f"more than {digits} significant digits")
    return number.quantize(Decimal(1).scaleb(-scale))


def _finer(number: Decimal, scale: int) -> bool:
    """Whether a number other than 0 has digits beyond `scale` decimals."""
    _, digits, exponent = number.as_tuple()
    beyond = -scale - int(exponent)
    return beyond > 0 and (beyond >= len(digits) or any(digits[-beyond:]))


def whole(value: object) -> object:
    """A whole number as `int`, however it was printed; anything else as it is."""
    if type(value) is not Decimal:
        return value
    if not value:
        return 0
    return value if value.adjusted() >= _LONG_DIGITS or _finer(value, 0) else int(value)


def _amount_text(value: object) -> Decimal:
    return scaled(text_number(value), SCALE, SIGNIFICANT_DIGITS)


def _moment(value: object) -> Moment:
    if type(value) is not str:
        raise _fault("time_type", "not a string")
    if not _TIME_FORM.fullmatch(value):
        raise _fault("time_form", "not a time with a UTC offset")
    try:
        return Moment(datetime.fromisoformat(value).astimezone(UTC), value)
    except (ValueError, OverflowError):
        raise _fault("time_value", "no such time") from None


def _date(year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise _fault("date_value", "no such day") from None


def _day(value: object) -> date:
    form = _DAY_FORM.fullmatch(value) if type(value) is str else None
    if form is None:
        raise _fault("date_form", "not a date of the form YYYY-MM-DD")
    return _date(form[1], form[2], form[3])


def _day_month_year(value: object) -> date:
    form = _DAY_MONTH_YEAR_FORM.fullmatch(value) if type(value) is str else None
    if form is None:
        raise _fault("date_form", "not a date of the form dd-MM-yyyy")
    return _date(form[3], form[2], form[1])


Amount = Annotated[Decimal, PlainValidator(_amount)]
AmountText = Annotated[Decimal, PlainValidator(_amount_text)]
MomentText = Annotated[Moment, PlainValidator(_moment)]
Day = Annotated[date, PlainValidator(_day)]
DayMonthYear = Annotated[date, PlainValidator(_day_month_year)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_IDENTIFIER_CHARACTERS)]
Reference = Annotated[
    Annotated[str, StringConstraints(max_length=MAXIMUM_IDENTIFIER_CHARACTERS)] | None,
    AfterValidator(lambda text: text or None),
]
"""The id of something else, where there is one: an empty one names nothing, as null does."""
Code = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_CODE_CHARACTERS)]
Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Text = Annotated[str, StringConstraints(max_length=MAXIMUM_TEXT_CHARACTERS)]
Whole = Annotated[int, BeforeValidator(whole)]
Long = Annotated[Whole, Field(gt=-_LONG, lt=_LONG)]

_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)


class Wire(BaseModel):
    """Base of the shapes: no coercion, every named field must be there."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


# ── Bank ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class CounterpartyWire(Wire):
    """The other side of a transaction."""

    alias: Text | None
    iban: Text | None
    cnic: Text | None
    name: Text | None


class TransactionWire(Wire):
    """One item of the feed."""

    id: Identifier
    rail: Code
    amount: Amount
    ccy: Currency
    counterparty: CounterpartyWire | None
    biller: Text | None
    initiated_at: MomentText
    posted_at: MomentText | None
    balance_after: Amount | None
    status: Code
    replaces: Reference
    receipt_ref: Text | None


class BankAccountWire(Wire):
    """One IBAN of the holder."""

    iban: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$")]
    status: Code


class HolderWire(Wire):
    """What marks own transfers; the holder's name and e-mail address are not read."""

    cnic: Text | None
    msisdn: Text | None


class MeWire(Wire):
    """What `/me` says of the login."""

    tier: Code
    minor: bool
    accounts: list[Any]
    holder: HolderWire


# ── Advance Cash ────────────────────────────────────────────────────────────────────────────────────────────────────


class LendingWire(Wire):
    """Base of the lending core's shapes: names in upper case."""

    model_config = ConfigDict(alias_generator=str.upper)


class LoanKeyWire(LendingWire):
    """What the parts of a loan need of it."""

    loan_id: Identifier
    ccy: Currency


class LoanWire(LoanKeyWire):
    """A loan, without its parts."""

    product: Text | None
    principal: AmountText
    markup: AmountText | None
    outstanding: AmountText
    status: Code
    disbursed_on: DayMonthYear
    due_on: DayMonthYear | None
    closed_on: DayMonthYear | None
    disbursal_txn_id: Reference


class InstallmentWire(LendingWire):
    """A line of the schedule."""

    installment_no: Annotated[Whole, Field(ge=0, le=9999)]
    due_on: DayMonthYear
    amount: AmountText
    paid_amount: AmountText
    status: Code


class RepaymentWire(LendingWire):
    """A repayment."""

    repayment_id: Identifier
    amount: AmountText
    paid_on: DayMonthYear
    txn_id: Reference


class InquiryWire(LendingWire):
    """The envelope's own code."""

    response_code: Code


class LoansWire(LendingWire):
    """What stands under DATA."""

    loans: list[Any]


class InquiryDataWire(LendingWire):
    """The envelope of an answer that carries loans."""

    data: LoansWire


class NoFacilityWire(LendingWire):
    """The envelope of an answer that says there are none."""

    data: None


# ── Z-Miles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class PointsWire(Wire):
    """A line of the ledger."""

    id: Annotated[Whole, Field(ge=0, lt=_LONG)]
    type: Code
    points: Long
    description: Text | None
    at: MomentText
    source_ref: Text | None
    voucher_id: Reference


class LedgerEnvelope(Wire):
    """A page of the ledger."""

    entries: list[Any]
    has_more: bool


class VoucherWire(Wire):
    """A voucher."""

    voucher_id: Identifier
    title: Text
    points: Long
    status: Code
    issued_at: MomentText
    expires_on: Day | None
    redeemed_at: MomentText | None


class SummaryEnvelope(Wire):
    """The summary; the balance is not a record of its own."""

    vouchers: list[Any]


# ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_FAULTS: Final = {
    "missing": "missing",
    "string_type": "not a string",
    "string_too_short": "empty",
    "string_too_long": "too long",
    "string_pattern_mismatch": "of another form",
    "string_unicode": "not valid text",
    "int_type": "not a whole number",
    "bool_type": "not a boolean",
    "list_type": "not a list",
    "too_long": "too many",
    "model_type": "not an object",
    "none_required": "not null",
    "greater_than": "out of range",
    "greater_than_equal": "out of range",
    "less_than": "out of range",
    "less_than_equal": "out of range",
}


class ShapeError(DataError):
    """A part of an answer has not the shape that the contract states. The message is `field.path: fault; …`."""


def understand(model: type[M], value: object) -> M:
    """`value` as `model`.

    Raises:
        ShapeError: it has another shape; names up to three fields and faults, no value.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ShapeError(_describe(error)) from None


def _describe(error: ValidationError) -> str:
    faults = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in detail["loc"]) or "the entry"
        kind = detail["type"]
        faults.append(f"{path}: {detail['msg'] if kind.startswith('wire_') else _FAULTS.get(kind, kind)}")
    more = len(faults) - _REASONS_LIMIT
    return "; ".join(faults[:_REASONS_LIMIT]) + (f"; and {more} more" if more > 0 else "")


def bounded(items: list[Any], maximum: int, name: str) -> list[Any]:
    """`items`, of which the field `name` may list as many as `maximum`.

    Raises:
        ShapeError: there are more.
    """
    if len(items) > maximum:
        raise ShapeError(f"{name}: more than {maximum}")
    return items


def identifier_of(item: object, name: str) -> str | None:
    """The identifier under `name`, where `item` has one that can be read."""
    value = item.get(name) if isinstance(item, dict) else None
    try:
        return _IDENTIFIER.validate_python(value, strict=True)
    except ValidationError:
        return None


def whole_number_of(item: object, name: str) -> int | None:
    """The whole number from 0 under `name`, where `item` has one that can be read."""
    value = whole(item.get(name)) if isinstance(item, dict) else None
    return value if type(value) is int and 0 <= value < _LONG else None


def micros_of(item: object, name: str, read: Callable[[object], int]) -> int | None:
    """The time or date under `name` as microseconds by `read`, where `item` has one that can be read."""
    value = item.get(name) if isinstance(item, dict) else None
    try:
        return read(value)
    except PydanticCustomError:
        return None


def day_of(item: object, name: str) -> date | None:
    """The YYYY-MM-DD date under `name`, where `item` has one that can be read."""
    value = item.get(name) if isinstance(item, dict) else None
    try:
        return _day(value)
    except PydanticCustomError:
        return None


def moment_micros(value: object) -> int:
    """A time's microseconds since the epoch; for `micros_of`."""
    return micros(_moment(value).instant)


def day_month_year_micros(value: object) -> int:
    """A dd-MM-yyyy date's midnight as microseconds since the epoch; for `micros_of`."""
    return midnight_micros(_day_month_year(value))


@cache
def field_names(model: type[Wire]) -> frozenset[str]:
    """The names on the wire of a model's fields."""
    return frozenset(info.alias or name for name, info in model.model_fields.items())
