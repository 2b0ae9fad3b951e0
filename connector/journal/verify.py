"""Verifying an embedded journal: recompute the chain of each shard over what is there, and say what does not fit.

Reads one cut of the file, writes nothing, and may run beside a connector. Every commit's tip follows from the tip
before and its contents; every row of events and quarantine belongs to a commit, whose digests it must give; of every
key of state and links the last commit that wrote it says what value it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import orjson

from connector.chain import BEGINNING, GONE, Chain, digest_events, digest_quarantine, entries, entry, name_of
from connector.journal.sqlite_file import About, connect, failing, refusing
from connector.journal.sqlite_rows import decode_headers, last_commit
from connector.ports import Contents, EventRecord, LastCommit, QuarantineRecord

_EVENTS: Final = (
    "SELECT commit_number, topic, key, value, headers FROM events WHERE shard = ? ORDER BY commit_number, position"
)
_QUARANTINE: Final = "SELECT commit_number, key, value FROM quarantine WHERE shard = ? ORDER BY commit_number, position"
_POSITION_ORDER: Final = (
    "SELECT commit_number FROM (SELECT commit_number, lag(commit_number) OVER (ORDER BY position) AS before "
    "FROM events WHERE shard = ?) WHERE before > commit_number"
)

_UNREADABLE: Final = -1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `commit` is None where it is of no one commit."""

    shard: int
    commit: int | None
    table: str
    what: str

    def __str__(self) -> str:
        """As one line."""
        commit = "" if self.commit is None else f", commit {self.commit}"
        return f"shard {self.shard}{commit}, {self.table}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What one shard was found to be: its last commit, and what is wrong."""

    shard: int
    last: LastCommit
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    epoch: str
    tip: bytes
    contents: Contents


def read_about(path: Path) -> About:
    """What a journal file says of itself.

    Raises:
        ConfigurationError: it is missing, or no journal.
    """
    with refusing(path):
        connection, about = connect(path)
        connection.close()
        return about


def verify_file(path: Path, chains: Sequence[Chain], position_keys: Sequence[str]) -> list[Verified]:
    """Recompute every shard of a journal, each under its own chain, over one cut of the file.

    `position_keys` are the state keys, by shard, of what stands outside of the commits' contents.

    Raises:
        ConfigurationError, JournalError: the file cannot be read.
    """
    with refusing(path):
        connection, _ = connect(path)
    with closing(connection), failing(path):
        connection.execute("BEGIN")
        return [
            _Verification(connection, shard, chain, position_keys[shard]).verified()
            for shard, chain in enumerate(chains)
        ]


class _Verification:
    def __init__(self, connection: sqlite3.Connection, shard: int, chain: Chain, position_key: str) -> None:
        self.connection = connection
        self.shard = shard
        self.chain = chain
        self.position_key = position_key
        self.findings: list[Finding] = []
        self.state: dict[bytes, tuple[int, bytes]] = {}
        self.links: dict[bytes, tuple[int, bytes]] = {}

    def verified(self) -> Verified:
        events = self._by_commit(_EVENTS, "events", _digest_event_rows)
        quarantine = self._by_commit(_QUARANTINE, "quarantine", _digest_quarantine_rows)
        tip, expected = BEGINNING, 0
        for row in self._commits():
            expected = self._number(row, expected)
            good = self.chain.tip(tip, self.shard, row.number, row.epoch, row.contents)
            if good != row.tip:
                self._say(row.number, "commits", "it does not follow from the one before: edited, swapped or replayed")
            tip = row.tip
            self._compare(row.number, "events", events, row.contents.event_count, row.contents.events)
            self._compare(row.number, "quarantine", quarantine, row.contents.quarantine_count, row.contents.quarantine)
            self.state |= {name: (row.number, value) for name, value in entries(row.contents.state)}
            self.links |= {name: (row.number, value) for name, value in entries(row.contents.links)}
        self._end(expected)
        for table, digests in (("events", events), ("quarantine", quarantine)):
            for number, (count, _) in digests.items():
                self._say(number, table, f"{count} rows of a commit that never was")
        for (number,) in self.connection.execute(_POSITION_ORDER, (self.shard,)):
            self._say(number, "events", "its events stand after those of a later commit: swapped")
        self._compare_rows("state", "key", self.state)
        self._compare_rows("links", "account_id", self.links)
        return Verified(self.shard, last_commit(self.shard, self.connection), tuple(self.findings))

    def _say(self, commit: int | None, table: str, what: str) -> None:
        self.findings.append(Finding(self.shard, commit, table, what))

    def _commits(self) -> Iterator[_Row]:
        rows = self.connection.execute(
            "SELECT number, epoch, tip, event_count, events, quarantine_count, quarantine, state, links, commands "
            "FROM commits WHERE shard = ? ORDER BY number",
            (self.shard,),
        )
        for number, epoch, tip, events, digest, quarantined, other, state, links, commands in rows:
            applied = tuple(orjson.loads(commands))
            yield _Row(number, epoch, tip, Contents(events, digest, quarantined, other, state, links, applied))

    def _number(self, row: _Row, before: int) -> int:
        if row.number != before + 1:
            self._say(row.number, "commits", f"it follows commit {before}: those between are missing")
        return row.number

    def _end(self, last: int) -> None:
        counted = self.connection.execute("SELECT commit_number FROM shards WHERE shard = ?", (self.shard,)).fetchone()
        if counted is None or counted[0] != last:
            self._say(
                last, "shards", f"it counts {0 if counted is None else counted[0]} commits, and {last} is the last"
            )

    def _by_commit(
        self, query: str, table: str, digest: Callable[[list[tuple[Any, ...]]], tuple[int, bytes]]
    ) -> dict[int, tuple[int, bytes]]:
        """How many rows each commit has, and their digest."""
        rows = self.connection.execute(query, (self.shard,))
        found = {}
        for number, of_commit in groupby(rows, itemgetter(0)):
            try:
                found[number] = digest(list(of_commit))
            except (ValueError, TypeError, KeyError, AttributeError):
                self._say(number, table, "a row cannot be read")
                found[number] = (_UNREADABLE, b"")
        return found

    def _compare(
        self, number: int, table: str, digests: dict[int, tuple[int, bytes]], count: int, digest: bytes
    ) -> None:
        there, given = digests.pop(number, (0, None))
        if there == _UNREADABLE:
            return  # said already
        if there != count:
            how = "removed" if there < count else "inserted or doubled"
            self._say(number, table, f"it wrote {count} rows, and {there} are there: {how}")
        elif count and given != digest:
            self._say(number, table, "a row was edited, or rows were swapped")

    def _compare_rows(self, table: str, key: str, written: dict[bytes, tuple[int, bytes]]) -> None:
        rows = self.connection.execute(f"SELECT {key}, value FROM {table} WHERE shard = ?", (self.shard,))  # noqa: S608  two literals each
        for name, value in rows:
            if name == self.position_key and table == "state":
                continue
            raw = value.encode() if isinstance(value, str) else value
            commit, wanted = written.pop(name_of(name), (None, GONE))
            given = entry(name, raw)[-len(wanted) :]
            if commit is None:
                self._say(None, table, f"no commit wrote the row {name}: inserted")
            elif wanted == GONE:
                self._say(commit, table, f"the row {name} was deleted by that commit: put back")
            elif given != wanted:
                self._say(commit, table, f"the row {name} is not as that commit wrote it: edited, or an older one")
        for commit, wanted in written.values():
            if wanted != GONE:
                self._say(commit, table, "a row that it wrote, and none deleted since, is missing")


def _digest_event_rows(rows: list[tuple[Any, ...]]) -> tuple[int, bytes]:
    events = [EventRecord(topic, key, value, decode_headers(headers)) for _, topic, key, value, headers in rows]
    return len(events), digest_events(events)


def _digest_quarantine_rows(rows: list[tuple[Any, ...]]) -> tuple[int, bytes]:
    records = [QuarantineRecord(key, value) for _, key, value in rows]
    return len(records), digest_quarantine(records)
