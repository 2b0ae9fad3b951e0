from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.cadence import DailySnapshot, Live, Off, PeriodicSnapshot
from connector.consent import Consent
from connector.errors import DataError
from connector.journal.link_codec import decode_command, decode_link, encode_command, encode_link
from connector.links import Command, Link

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.frozensets(words, max_size=6)
# As far as every zone can be put in UTC.
EARLIEST, LATEST = (datetime.fromisoformat(day) for day in ("0002-01-01", "9998-12-31"))
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5))])
instants = st.datetimes(EARLIEST, LATEST, timezones=ZONES)
modes = st.one_of(
    st.just(Off()),
    st.just(Live()),
    st.builds(Live, st.integers(1, 60)),
    st.builds(Live, st.integers(1, 60), st.integers(60, 86_400)),
    st.builds(PeriodicSnapshot, st.integers(1, 86_400)),
    st.lists(st.times().map(lambda at: at.replace(second=0, microsecond=0)), min_size=1, unique=True).map(
        lambda times: DailySnapshot(tuple(sorted(times)))
    ),
)
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
    cadence=st.dictionaries(words, modes, max_size=4).map(
        lambda found: tuple((name, found[name]) for name in sorted(found))
    ),
)
commands = st.builds(
    Command,
    command_id=words.filter(bool),
    kind=st.sampled_from(["connect", "pause", "resume", "remove", "accept", "cadence"]),
    account_id=words.filter(bool),
    issued_at=instants,
    link=st.none() | links,
    domain=st.none() | words,
    cadence=st.dictionaries(words, st.none() | modes, max_size=4).map(
        lambda found: tuple((name, found[name]) for name in sorted(found))
    ),
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


BODY = (
    '{"account_id":"a","generation":2,"route":"app","label":"mine","domains":["x"],"consent":{"consent_id":"c",'
    '"domains":["x"],"valid_from":"2026-03-01T04:30:00.000005Z","valid_until":"2026-03-01T04:30:00.000005Z",'
    '"text_sha256":"00","language":"en","status":"AUTH"},"paused":false,"removed":false'
)
COMMAND = (
    '"command_id":"cmd","kind":"%s","account_id":"a","issued_at":"2026-03-01T04:30:00.000005Z","link":%s,"domain":null'
)


def test_the_row_of_a_link_is_this_for_ever() -> None:
    link = replace(LINK, cadence=(("x", DailySnapshot((time(6), time(18, 30)))), ("y", Off())))
    row = BODY + ',"cadence":{"x":"snapshot@06:00,18:30","y":"off"},"version":2}'
    assert encode_link(link) == row
    assert decode_link(row) == link


def test_a_row_of_a_link_of_version_1_is_read_for_ever() -> None:
    assert decode_link(BODY + ',"version":1}') == LINK


def test_the_row_of_a_command_is_this_for_ever() -> None:
    command = Command("cmd", "cadence", "a", AT, cadence=(("x", PeriodicSnapshot(21_600)), ("y", None)))
    row = '{"version":2,' + COMMAND % ("cadence", "null") + ',"resource":null,"cadence":{"x":"snapshot/6h","y":null}}'
    assert encode_command(command) == row
    assert decode_command(row) == command


def test_a_row_of_a_command_of_version_1_is_read_for_ever() -> None:
    for kind in ("connect", "pause", "resume", "remove"):
        row = '{"version":1,' + COMMAND % (kind, BODY + "}") + "}"
        assert decode_command(row) == Command("cmd", kind, "a", AT, LINK)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [
        BODY + ',"cadence":{},"version":1}',
        BODY + ',"version":2}',
        BODY + ',"cadence":{"x":"hourly"},"version":2}',
        '{"version":1,' + COMMAND % ("cadence", "null") + "}",
        '{"version":2,' + COMMAND % ("cadence", BODY + "}") + ',"cadence":{}}',
    ],
)
def test_no_version_is_taken_for_another_and_no_unknown_cadence_for_a_known_one(row: str) -> None:
    decode = decode_link if "command_id" not in row else decode_command
    with pytest.raises(DataError):
        decode(row)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 3}, "version: union_tag_invalid"),
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
