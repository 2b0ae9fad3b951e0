"""What people type: codes and mobile numbers, however they are spaced, hyphenated, or in whatever digits. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

PIN_DIGITS: Final = range(4, 7)
OTP_DIGITS: Final = range(4, 9)
"""As the contract has them."""
_PASSED_OVER: Final = frozenset({"Zs", "Pd", "Cc", "Cf"})
"""White space, dashes of every kind, and what copying from right-to-left text leaves behind."""
_BESIDE_NUMBERS: Final = frozenset("().")


def code_of(text: str, lengths: range) -> str | None:
    """A code in ASCII digits (`۸۶ ۲۲۹` is 86229); None where it is none of these lengths."""
    digits = _digits(text)
    return digits if digits is not None and len(digits) in lengths else None


def mobile_number_of(text: str) -> str | None:
    """A mobile number as it is written in Pakistan or abroad, in E.164 form; None where it is none."""
    bare = "".join(char for char in text if unicodedata.category(char) != "Cf").strip()
    abroad = bare.startswith(("+", "\uff0b"))
    digits = _digits("".join(char for char in bare[abroad:] if char not in _BESIDE_NUMBERS))
    if digits is None:
        return None
    if not abroad and re.fullmatch(r"03[0-9]{9}", digits):
        return f"+92{digits[1:]}"
    if not abroad and digits.startswith("00"):
        abroad, digits = True, digits[2:]
    return f"+{digits}" if abroad and re.fullmatch(r"[1-9][0-9]{7,14}", digits) else None


def _digits(text: str) -> str | None:
    """The decimal digits of any script in ASCII; None where something else stands among them."""
    kept = [char for char in text if unicodedata.category(char) not in _PASSED_OVER]
    values = [unicodedata.decimal(char, None) for char in kept]
    return None if None in values else "".join(map(str, values))
