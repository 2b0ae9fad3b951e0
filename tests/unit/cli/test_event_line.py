"""One event in one line: the entry's own time, whom and how much; and nothing that a name holds moves a terminal."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.avro import decode_event, encode_event
from connector.cli.event_choice import EventChoice, moment
from connector.cli.event_line import as_line, how_much, own_time, whom
from connector.cli.exits import UsageError
from connector.cli.screen import printable, show_table
from connector.domains.model import KARACHI
from connector.ports import StoredEvent
from tests.golden.samples import EVENTS

NOW = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
ALL = [(domain, name) for domain, events in EVENTS.items() for name in events]


def line_of(domain: str, told: dict[str, Any], label: str = "", width: int | None = 80) -> str:
    return as_line(StoredEvent(domain, 0, 0, "acc_abcdefghijk", b"", ()), told, label=label, width=width).plain


@pytest.mark.parametrize(("domain", "name"), ALL)
def test_every_kind_of_event_fits_a_terminal(domain: str, name: str) -> None:
    told = decode_event(encode_event(domain, EVENTS[domain][name]))
    line = line_of(domain, told)
    assert line.isprintable()
    assert "{" not in line
    assert told["event_type"] in line
    # Names give way; only what is held against a field in words of ours may be longer.
    assert len(line) <= 80 or told["reason"], line
    assert line[1:5].isdigit(), "the date comes first"


def test_in_a_pipe_no_name_is_cut() -> None:
    told = decode_event(encode_event("loyalty", next(iter(EVENTS["loyalty"].values()))))
    record = next(value for value in (told["after"] or told["before"]).values() if value is not None)
    record["description" if "description" in record else "title"] = "A long invented name of something"
    assert "A long invented name of something" in line_of("loyalty", told, width=None)
    assert "A long invented name of something" not in line_of("loyalty", told)


def test_the_time_is_the_entrys_own_in_pakistan() -> None:
    late = {"effective_at": datetime(2026, 3, 1, 19, 10, tzinfo=UTC), "effective_date": None, "observed_at": NOW}
    assert own_time(late)[1] == " 2026-03-02 00:10"
    assert own_time({**late, "effective_at": None, "effective_date": date(2026, 2, 28)})[1] == " 2026-02-28"
    assert own_time({**late, "effective_at": None})[1] == "~2026-03-02 01:00"


def test_whom_and_how_much() -> None:
    assert whom({"counterparty": {"name": None, "alias": "shop@bank", "iban": None}, "biller": None}) == "shop@bank"
    assert whom({"counterparty": None, "biller": "K-Electric"}) == "K-Electric"
    assert whom({"merchant_name": "Invented Cafe"}) == "Invented Cafe"
    assert whom({"biller": {"code": "INVEL", "name": "Invented Electric"}}) == "Invented Electric"
    assert how_much({"points": 1200, "entry_id": 1}) == "+1,200 points"
    assert how_much({"points": 500, "voucher_id": "v"}) == "500 points"
    assert how_much({}) == ""


HOSTILE = ["\x1b[2J", "a\nb", "\u202eevil", "\u2066x", "\x9b31m", "\u2028", "a\tb", "\r"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_moves_the_cursor_forges_a_line_or_turns_the_text_round(name: str) -> None:
    told = decode_event(encode_event("loyalty", next(iter(EVENTS["loyalty"].values()))))
    record = next(value for value in (told["after"] or told["before"]).values() if value is not None)
    record["description" if "description" in record else "title"] = name
    assert line_of("loyalty", told, label=name).isprintable()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_shows_no_cell_as_anything_but_letters(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("WHAT",), [(name,)])
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


@given(st.text())
def test_printable_text_stays_and_json_is_read_back_as_it_was(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=KARACHI)),
        ("2026-03-01T09:30", datetime(2026, 3, 1, 9, 30, tzinfo=KARACHI)),
        ("2026-03-01T09:30Z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("90m", NOW - timedelta(minutes=90)),
        ("3d", NOW - timedelta(days=3)),
    ],
)
def test_a_moment_is_a_date_a_time_or_how_long_ago(text: str, expected: datetime) -> None:
    assert moment(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "3 d", "-3d", "999999w"])
def test_what_is_no_moment_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="--until"):
        moment(text, "--until", NOW)


def test_since_is_included_and_until_is_not() -> None:
    at = {"event_type": "PointsEarned", "entity_id": "x", "effective_at": NOW, "effective_date": None}
    assert EventChoice(since=NOW).wants(at)
    assert not EventChoice(until=NOW).wants(at)
    assert not EventChoice(since=NOW + timedelta(seconds=1)).wants(at)


def test_checkpoints_are_shown_when_asked_for() -> None:
    checkpoint = {"event_type": "Checkpoint", "entity_id": "x", "effective_at": NOW, "effective_date": None}
    assert not EventChoice().wants(checkpoint)
    assert EventChoice(checkpoints=True).wants(checkpoint)
    assert EventChoice(types=("Checkpoint",)).wants(checkpoint)
