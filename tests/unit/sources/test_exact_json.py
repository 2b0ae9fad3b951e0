from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import DataError
from connector.sources.zindigi.exact_json import UnknownFields, digest_value, is_json, parse_object

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2500.00", "-2500.00"),
        ("0.10", "0.10"),
        ("1e3", "1E+3"),
        ("1234567890123.45", "1234567890123.45"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
def test_numbers_keep_every_digit_and_their_scale(text: str, value: str) -> None:
    parsed = parse_object(f'{{"amount": {text}}}'.encode())["amount"]
    assert type(parsed) is Decimal
    assert str(parsed) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": 1',
        b"<html>",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1}x',
        b"\xff\xfe{",
        b'{"a": "\xff"}',
        b'{"a":' + b"[" * 100000,
        b'{"a": 1e99999999999999999999}',
        b"9" * 5000,
    ],
)
def test_what_is_no_json_object_is_told(body: bytes) -> None:
    with pytest.raises(DataError):
        parse_object(body)


@given(JSON_VALUES, st.integers(min_value=1))
def test_a_text_that_broke_off_is_no_json(value: Any, cut: int) -> None:
    body = json.dumps({"items": value}).encode()
    assert is_json(body)
    assert not is_json(body[: len(body) - 1 - cut % (len(body) - 1)])


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_the_digest_depends_on_the_content_not_on_the_order(item: dict[str, Any]) -> None:
    turned = dict(reversed(item.items()))
    assert digest_value(item) == digest_value(turned)
    assert len(digest_value(item)) == 16
    assert digest_value(item) != digest_value({**item, "one more": 1})


def test_a_retyped_number_has_another_digest() -> None:
    number, text, bare = Decimal("-2500.00"), "-2500.00", Decimal(-2500)
    assert len({digest_value({"amount": value}) for value in (number, text, bare)}) == 3


@pytest.mark.parametrize("text", ["1" * 30, '"\\ud800"', "[" * 600 + "]" * 600])
def test_odd_values_have_a_digest_too(text: str) -> None:
    item = parse_object(f'{{"a": {text}, "b": 1.50}}'.encode())
    assert len(digest_value(item)) == 16
    assert digest_value(item) != digest_value({**item, "b": Decimal("1.51")})


def test_unknown_fields_are_counted_by_name_and_bounded() -> None:
    unknown = UnknownFields()
    for _ in range(3):
        unknown.note("items", {"id": 1, "fresh": "planted"}, {"id"})
    unknown.note("", {"+923000000001": 1, "x" * 100: 1, "page": 1}, set())
    assert unknown.counts == {"items.fresh": 3, "(odd name)": 2, "page": 1}
    unknown.note("", {f"name{number}": 1 for number in range(1000)}, set())
    assert len(unknown.counts) == 64
