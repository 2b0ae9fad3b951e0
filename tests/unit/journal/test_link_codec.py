from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent import Consent
from connector.errors import DataError
from connector.journal.link_codec import decode_command, decode_link, encode_command, encode_link
from connector.links import Command, Link

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.frozensets(words, max_size=6)
instants = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))]))
consents = st.builds(Consent, words, names, instants, instants, words, words, st.sampled_from(["AUTH", "EXPD", "CANC"]))
links = st.builds(
    Link,
    account_id=words.filter(bool),
    generation=st.integers(0, 2**62),
    route=words,
    label=words,
    domains=names,
    consent=st.none() | consents,
    paused=st.booleans(),
    removed=st.booleans(),
)
commands = st.builds(
    Command,
    command_id=words.filter(bool),
    kind=st.sampled_from(["connect", "pause", "resume", "remove", "accept_removals"]),
    account_id=words.filter(bool),
    issued_at=instants,
    link=st.none() | links,
    domain=st.none() | words,
)
AT = datetime(2026, 3, 1, 4, 30, 0, 5, tzinfo=UTC)
LINK = Link("a", 2, "app", "mine", frozenset({"x"}), Consent("c", frozenset({"x"}), AT, AT, "00", "en"))


@given(links)
def test_a_link_reads_back_the_same(link: Link) -> None:
    text = encode_link(link)
    assert decode_link(text) == link
    assert encode_link(decode_link(text)) == text


@given(commands)
def test_a_command_reads_back_the_same(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


def test_the_row_of_a_link_is_this_for_ever() -> None:
    row = (
        '{"account_id":"a","generation":2,"route":"app","label":"mine","domains":["x"],"consent":{"consent_id":"c",'
        '"domains":["x"],"valid_from":"2026-03-01T04:30:00.000005Z","valid_until":"2026-03-01T04:30:00.000005Z",'
        '"text_sha256":"00","language":"en","status":"AUTH"},"paused":false,"removed":false,"version":1}'
    )
    assert encode_link(LINK) == row
    assert decode_link(row) == LINK


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version: literal_error"),
        ({"surprise": 1}, "surprise: extra_forbidden"),
        ({"paused": 1}, "paused: bool_type"),
        ({"paused": "true"}, "paused: bool_type"),
        ({"generation": "2"}, "generation: int_type"),
        ({"generation": -1}, "generation: greater_than_equal"),
        ({"account_id": ""}, "account_id: string_too_short"),
        ({"consent": {"consent_id": "c"}}, "consent.domains: missing"),
        ({"domains": "transactions"}, "domains: list_type"),
    ],
)
def test_any_other_row_is_refused_without_its_values(change: dict[str, Any], said: str) -> None:
    row = json.loads(encode_link(LINK)) | change
    with pytest.raises(DataError, match=said) as caught:
        decode_link(json.dumps(row))
    assert "mine" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"'])
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        decode_link(text)
    with pytest.raises(DataError):
        decode_command(text)


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = Command("c", "pause", "a", AT.replace(tzinfo=None))
    with pytest.raises(DataError, match="issued_at"):
        encode_command(naive)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(DataError):
        encode_command(Command("c", "pause", "\ud800", AT))
