"""Codes and numbers as people type and paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.cli.typed import OTP_DIGITS, PIN_DIGITS, code_of, mobile_number_of

SPACED = st.sampled_from(["", " ", "-", "\u2013", "\u00a0", "\u200f", "\t", "\u202c", "  "])
SCRIPTS = st.sampled_from(["0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩", "".join(map(chr, range(0xFF10, 0xFF1A)))])


@pytest.mark.parametrize("typed", ["86229", "86 229", " 86-229 ", "86\u2013229", "۸۶۲۲۹", "\u200f86229\u200e"])
def test_a_code_is_a_code_however_it_is_typed(typed: str) -> None:
    assert code_of(typed, OTP_DIGITS) == "86229"


@pytest.mark.parametrize("typed", ["", "   ", "862", "123456789", "86a29", "86229.", "½6229", "8²229", "eighty"])
def test_what_is_no_code_is_none(typed: str) -> None:
    assert code_of(typed, OTP_DIGITS) is None


def test_a_pin_has_its_own_lengths() -> None:
    assert code_of("7391", PIN_DIGITS) == "7391"
    assert code_of("7391000", PIN_DIGITS) is None


@given(st.text("0123456789", min_size=4, max_size=8), st.data())
def test_every_way_to_space_and_write_it_is_the_same_code(code: str, data: st.DataObject) -> None:
    script = data.draw(SCRIPTS)
    typed = "".join(script[int(digit)] + data.draw(SPACED) for digit in code)
    assert code_of(data.draw(SPACED) + typed, OTP_DIGITS) == code


@pytest.mark.parametrize(
    "typed",
    ["+923001234567", "03001234567", "0300 1234567", "0300-1234567", "(0300) 123.4567", "۰۳۰۰۱۲۳۴۵۶۷",
     "+92 300 1234567", "0092 300 1234567", "\u202a+92 300 1234567\u202c"],
)  # fmt: skip
def test_a_mobile_number_is_one_however_it_is_written(typed: str) -> None:
    assert mobile_number_of(typed) == "+923001234567"


@pytest.mark.parametrize("typed", ["", "0300", "3001234567", "+0300123456", "03001234567x", "+", "++923001234567"])
def test_what_is_no_mobile_number_is_none(typed: str) -> None:
    assert mobile_number_of(typed) is None
