"""What docs/parties.md says is so: its code runs, its flags, fields and spellings are those that there are."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from connector import parties
from connector.avro import decode_event, encode_event
from connector.consumers.parties import PartyBook
from tests.docs.test_docs import CODE_BLOCK
from tests.golden.samples import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "parties.md").read_text(encoding="utf-8")
READERS = {"mobile": parties.read_mobile, "IBAN": parties.read_iban, "CNIC": parties.read_cnic}


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table that begins with `heading`."""
    table = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_fold_runs_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    named = replace(EVENTS["transactions"]["named"], resource="transactions:feed")
    scope = {"events": [decode_event(encode_event("transactions", named))]}
    [block] = CODE_BLOCK.findall(PAGE)
    exec(compile(block, "docs/parties.md", "exec"), scope)  # noqa: S102  # our own page
    assert capsys.readouterr().out == "bbbbbb 1 records, 1 accounts\ncccccc -> aaaaaa 2026-03-01 2026-03-01\n"
    assert len(scope["own"]) == 1
    assert scope["book"] == PartyBook()


def test_its_fields_and_flags_are_those_that_there_are() -> None:
    assert first_cells("field of `party`") == {field.name for field in fields(parties.Party)}
    said = {
        value for name, value in vars(parties).items() if name == value and name not in {"ACCOUNT", "PERSON", "ALIAS"}
    }
    assert first_cells("flag") == said
    schema = (Path(__file__).parents[2] / "schemas" / "avro" / "transactions.avsc").read_text(encoding="utf-8")
    assert all(flag in schema for flag in said)


def test_its_spellings_are_read_so() -> None:
    rows = [
        row.split("|")[1:4] for row in PAGE.splitlines() if row.startswith(tuple(f"| {name} |" for name in READERS))
    ]
    assert len(rows) == len(READERS)
    for name, spellings, canonical in rows:
        found = {READERS[name.strip()](text).canonical for text in re.findall(r"`([^`]+)`", spellings)}
        assert found == {canonical.strip(" `")}
