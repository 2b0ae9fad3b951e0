"""Invented commits, links and commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.consent import Consent
from connector.links import Command, Link
from connector.ports import Commit, EventRecord, QuarantineRecord, StateRecord, StoredEvent

AT = datetime(2026, 3, 1, 4, 30, 0, 123456, tzinfo=UTC)
TOPICS = ("transactions", "lending", "lifecycle")
EVENTS_A_COMMIT = 20


def an_event(topic: str, key: str, value: bytes) -> EventRecord:
    return EventRecord(topic, key, value, (("ce_type", b"TransactionPosted"), ("raw", b"\xff\x00")))


def a_link(account_id: str, generation: int = 1, *, paused: bool = False) -> Link:
    consent = Consent("c-1", frozenset({"lending", "transactions"}), AT, AT + timedelta(days=90), "ab" * 32, "en")
    return Link(account_id, generation, "app", "mine", frozenset({"transactions"}), consent, paused=paused)


def a_command(command_id: str, account_id: str) -> Command:
    return Command(command_id, "connect", account_id, AT, link=a_link(account_id, 0))


def numbered_commit(shard: int, number: int) -> Commit:
    """A commit whose every part says its number, so that a reader can tell a whole one from a torn one."""
    told = str(number).encode()
    return Commit(
        shard=shard,
        number=number,
        events=tuple(
            an_event(TOPICS[index % 2], "account", b"%d/%d" % (number, index)) for index in range(EVENTS_A_COMMIT)
        ),
        state=(
            StateRecord("account/transactions", told),
            StateRecord("account/lending", told),
            StateRecord(f"account/transactions/t/{number}", told),
            StateRecord(f"account/transactions/t/{number - 3}", None),
        ),
        links=(a_link("account", number),),
        quarantine=(QuarantineRecord("account", told),),
    )


def numbers_of(events: list[StoredEvent]) -> list[int]:
    """The commit number that each event of `numbered_commit` says."""
    return [int(event.value.split(b"/")[0]) for event in events]
