"""A code that spends a voucher is not carried whole: in no record, no digest, no reason, wherever the bank puts it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.domains.bookings import Booking
from connector.domains.model import Entry, Unreadable
from connector.sources.zindigi import bookings
from tests.support.wire_samples import BOOKING, one

CODE = BOOKING["voucher"]["code"]
OTHER = "ANOTHER-CODE-7Q4X"
"""Ends as the first one does."""


def with_code(code: Any) -> dict[str, Any]:
    return {**BOOKING, "voucher": {**BOOKING["voucher"], "code": code}}


@pytest.mark.parametrize(
    ("code", "end"), [(CODE, "7Q4X"), ("12345678", "5678"), ("1234567", None), ("", None), (None, None)]
)
def test_what_is_carried_of_a_code_is_its_end(code: str | None, end: str | None) -> None:
    entry = one("bookings", with_code(code))
    assert isinstance(entry, Entry)
    assert isinstance(entry.record, Booking)
    assert entry.record.voucher is not None
    assert entry.record.voucher.code_last4 == end


SPILLS: dict[str, Any] = {
    "as it should be": with_code,
    "in a list": lambda code: with_code([code]),
    "in an object": lambda code: with_code({"value": code}),
    "as a field that is new to the voucher": lambda code: {**BOOKING, "voucher": {**BOOKING["voucher"], "pin": code}},
    "as a renamed field": lambda code: {**BOOKING, "voucher": {"id": "W-1", "code_v2": code, "valid_until": None}},
    "in the voucher's place": lambda code: {**BOOKING, "voucher": code},
    "in a field that is new to the order": lambda code: {**BOOKING, "voucher_v2": {"code": code}},
    "in the order's place": lambda code: code,
}


def telling(first: Any, second: Any) -> list[str]:
    """What differs between two entries, or repeats the code of the first."""
    found = []
    if first.raw_digest != second.raw_digest:
        found.append("digest")
    if CODE in repr(first):
        found.append("entry")
    return found


@pytest.mark.parametrize("spill", SPILLS)
def test_two_codes_that_end_alike_cannot_be_told_apart(spill: str) -> None:
    """Whoever holds the digest of an entry could try codes against it: there is nothing in it to try against."""
    first, second = [one("bookings", SPILLS[spill](code)) for code in (CODE, OTHER)]
    assert telling(first, second) == []


@pytest.mark.parametrize("spill", ["in a list", "in an object", "as a renamed field", "in the voucher's place"])
def test_a_code_out_of_place_makes_the_entry_unreadable(spill: str) -> None:
    entry = one("bookings", SPILLS[spill](CODE))
    assert isinstance(entry, Unreadable)
    assert entry.entity_id == "booking/BOOK-1"
    assert "voucher" in entry.reason
    # Another digest than that of the entry as it was: that something is wrong with it is seen.
    assert entry.raw_digest != one("bookings", BOOKING).raw_digest


def test_an_entry_that_is_not_curtailed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookings, "_curtailed", lambda item: item)
    first, second = [one("bookings", with_code(code)) for code in (CODE, OTHER)]
    assert telling(first, second) == ["digest", "entry"]
