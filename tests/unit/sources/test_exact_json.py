from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import DataError, UnavailableError
from connector.limits import MAXIMUM_JSON_DEPTH, MAXIMUM_NUMBER_CHARACTERS
from connector.sources.zindigi import deep_json
from connector.sources.zindigi.exact_json import (
    OddNumber,
    UnknownFields,
    digest_value,
    is_json,
    parse_object,
    require_json,
)

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
        b'{"a": nan}',
        b'{"a": 1}x',
        b"\xff\xfe{",
        b'{"a":' + b"[" * 100000,
        b'{"a":' + b"[" * 100000 + b"]" * 99999 + b"}",
        b"9" * 5000,
    ],
)
def test_what_is_no_json_object_is_told(body: bytes) -> None:
    with pytest.raises(DataError):
        parse_object(body)


ODD_VALUES = [
    b'"\\ud83d"', b'"\\ude00\\ud83d"', b'"\xed\xa0\xbd"', b'"\xff"', b'"\xc3"', b'"a\x00\nb"', b"1e400", b"-1e309",
    b"NaN", b"Infinity", b"-Infinity", b"1e99999999999999999999", b"-1e-99999999999999999999", b"1e999999999",
    b"9" * 310, b"-" + b"9" * 5000, b"0." + b"1" * 5000, b"[" * 1500 + b"]" * 1500,
    b'{"a":' * 1500 + b"1" + b"}" * 1500,
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_an_odd_value_spoils_nothing_beside_it_and_has_a_digest(odd: bytes) -> None:
    body = b'{"good": 1.50, "odd": %s, "last": "x"}' % odd
    require_json(body, "it")
    parsed = parse_object(body)
    assert (parsed["good"], parsed["last"]) == (Decimal("1.50"), "x")
    assert digest_value(parsed) == digest_value(parse_object(body))
    assert digest_value(parsed) != digest_value({**parsed, "last": "y"})
    others = {digest_value(parse_object(b'{"good": 1.50, "odd": %s, "last": "x"}' % other)) for other in ODD_VALUES}
    assert len(others) == len(ODD_VALUES)


def test_an_odd_number_is_no_number_text_or_truth() -> None:
    for literal in ("NaN", "1e99999999999999999999", "9" * (MAXIMUM_NUMBER_CHARACTERS + 1)):
        odd = parse_object(b'{"a": %s}' % literal.encode())["a"]
        assert odd == OddNumber(literal)
        assert literal not in repr(odd)
    assert type(parse_object(b'{"a": %s}' % (b"9" * MAXIMUM_NUMBER_CHARACTERS))["a"]) is int


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "it is empty"),
        (b"  ", "it is empty"),
        (b"<html>", "it is not JSON"),
        (b'{"a": 1} x', "it is not JSON"),
        (b'{"a": 1', "it broke off"),
        (b'{"a": "x', "it broke off"),
        (b'{"a":', "it broke off"),
        (b'{"a":' + b"[" * 5000, "it broke off"),
        (b"[" * (MAXIMUM_JSON_DEPTH + 1) + b"]" * (MAXIMUM_JSON_DEPTH + 1), "it is nested too deep"),
    ],
)
def test_only_what_ends_too_early_broke_off(body: bytes, told: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        require_json(body, "it")
    assert str(caught.value) == told


def test_nesting_is_read_without_recursion_up_to_its_bound() -> None:
    depth = MAXIMUM_JSON_DEPTH - 1
    body = b'{"a": ' + b"[" * depth + b"]" * depth + b', "b": 1}'
    assert parse_object(body)["b"] == 1
    with pytest.raises(DataError):
        parse_object(body.replace(b'{"a": ', b'{"a": [').replace(b', "b"', b'], "b"'))


@given(JSON_VALUES)
def test_the_loop_reads_what_the_recursion_reads(value: Any) -> None:
    for indent in (None, 1):
        text = json.dumps(value, indent=indent)
        assert deep_json.decode(text, json.JSONDecoder(), 1000) == value


@given(JSON_VALUES, st.integers(0, 200), st.sampled_from(["", ",", "]", "}", '"', ":", "x", "[", "{"]))
def test_the_loop_refuses_what_the_recursion_refuses(value: Any, place: int, scrap: str) -> None:
    text = json.dumps(value)
    broken = text[: place % (len(text) + 1)] + scrap + text[place % (len(text) + 1) + 1 :]
    decoder = json.JSONDecoder()
    try:
        expected = decoder.decode(broken)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            deep_json.decode(broken, decoder, 1000)
    else:
        assert deep_json.decode(broken, decoder, 1000) == expected


@given(JSON_VALUES)
def test_the_slow_digest_depends_on_the_content_alone(value: Any) -> None:
    odd = OddNumber("NaN")
    assert digest_value([odd, value]) != digest_value([odd, [value]])
    assert digest_value({"a": odd, "b": value}) == digest_value({"b": value, "a": odd})


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
