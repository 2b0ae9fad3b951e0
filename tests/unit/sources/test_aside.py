"""What is kept of an entry that is not understood: its content, exactly, up to a bound, and in nobody's sight."""

from __future__ import annotations

import pytest

from connector.limits import MAXIMUM_QUARANTINED_BYTES
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.exact_json import parse_object


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"b": 1.50, "a": "x"}', '{"a":"x","b":1.50}'),
        (b'{"amount": 0.1000000000000000000000001}', '{"amount":0.1000000000000000000000001}'),
        (b'{"half": "\\ud83d"}', '{"half":"\\ud83d"}'),
        ('{"name": "زارا"}'.encode(), '{"name":"زارا"}'),
    ],
)
def test_content_is_what_the_bank_stated(body: bytes, kept: str) -> None:
    assert aside(parse_object(body), b"digest", "a: missing").content == kept


def test_content_is_kept_up_to_its_bound() -> None:
    frame = len('{"text":""}')
    longest = {"text": "x" * (MAXIMUM_QUARANTINED_BYTES - frame)}
    assert len(aside(longest, b"digest", "a: missing").content or "") == MAXIMUM_QUARANTINED_BYTES
    assert aside({"text": longest["text"] + "x"}, b"digest", "a: missing").content is None


def test_content_stands_in_no_representation() -> None:
    assert "PLANTED" not in repr(aside({"name": "PLANTED"}, b"digest", "a: missing"))
