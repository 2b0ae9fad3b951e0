"""Rows of links and commands that cannot be understood cost nobody but themselves; in both journals' decoding."""

from __future__ import annotations

import json

import pytest

from connector.journal.kafka.link_table import LinkTable, command_key
from connector.journal.link_codec import decode_command, decode_link, encode_command, encode_link, readable
from connector.journal.sqlite_rows import commands_in_order, links_by_account
from connector.ports import Damaged
from tests.contract.journal.samples import a_command, a_link

FAR = "9999-12-31T23:59:59-14:00"
LINK = encode_link(a_link("acc_1"))
COMMAND = encode_command(a_command("c", "acc_1"))


def changed(text: str, **fields: object) -> str:
    return json.dumps({**json.loads(text), **fields})


BAD = {
    "no JSON": b"\xff\xfe",
    "cut": COMMAND[:40].encode(),
    "of a newer version": changed(COMMAND, version=99).encode(),
    "of an unknown kind": changed(COMMAND, kind="explode").encode(),
    "at a time that there is not": changed(COMMAND, issued_at=FAR).encode(),
    "very deep": b"[" * 100_000,
    "of somebody else": changed(COMMAND, account_id="acc_2").encode(),
    "empty": b"",
    "no value": None,
    "a number": 7,
}


@pytest.mark.parametrize("name", [name for name in BAD if name != "no value"])
def test_a_bad_command_is_told_by_itself(name: str) -> None:
    rows = [(b"bad", b"acc_1", BAD[name]), (b"c", b"acc_1", COMMAND.encode())]
    commands, damaged = commands_in_order(rows)
    assert [command.command_id for command in commands] == ["c"]
    assert [(one.kind, one.key, one.account_id) for one in damaged] == [("command", "bad", "acc_1")]


@pytest.mark.parametrize("name", [name for name in BAD if name not in {"no value", "a number"}])
def test_a_bad_record_of_the_topic_is_told_by_itself(name: str) -> None:
    table = LinkTable()
    value = BAD[name]
    assert value is None or isinstance(value, bytes)
    table.take(b"acc_1/command/bad", value)
    table.take(b"acc_1", LINK.encode())
    table.take(command_key(a_command("c", "acc_1")), COMMAND.encode())
    table.take(b"\xff\x00", LINK.encode())
    assert set(table.links) == {"acc_1"}
    assert set(table.commands) == {"c"}
    assert [(one.kind, one.key) for one in table.damaged.values()] == [("command", "bad"), ("link", "\\xff\x00")]
    table.take(b"acc_1/command/bad", None)
    table.take(b"\xff\x00", None)
    assert not table.damaged, "a tombstone ends it"


def test_a_link_that_becomes_unreadable_is_no_link_any_more() -> None:
    table = LinkTable()
    table.take(b"acc_1", LINK.encode())
    table.take(b"acc_1", b"{}")
    assert not table.links
    assert [one.account_id for one in table.damaged.values()] == ["acc_1"]


def test_a_bad_link_is_told_by_itself() -> None:
    far = json.loads(LINK)
    far["consent"]["valid_until"] = FAR
    rows = [(b"acc_1", LINK.encode()), (b"acc_3", json.dumps({**far, "account_id": "acc_3"}).encode()), (b"\xfe", b"x")]
    links, damaged = links_by_account(rows)
    assert set(links) == {"acc_1"}
    assert [one.account_id for one in damaged] == ["acc_3", "\\xfe"]


def test_what_nobody_foresaw_in_decoding_is_the_rows_own_matter() -> None:
    def explode(_text: str | bytes) -> None:
        raise ZeroDivisionError

    decode: object = explode
    found = readable("link", "acc_1", "acc_1", decode, LINK)  # type: ignore[type-var,arg-type]
    assert found == Damaged("link", "acc_1", "acc_1", "the link cannot be read: ZeroDivisionError")


def test_the_good_ones_read_as_ever() -> None:
    assert decode_link(LINK) == a_link("acc_1")
    assert decode_command(COMMAND) == a_command("c", "acc_1")
