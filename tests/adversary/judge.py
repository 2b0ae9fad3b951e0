"""Holds everything that was told, and every claim that was ever made, against what was true when.

Shares no code with the connector: it reads decoded events, and the books of the second bank.

A claim is good until its instant (a change at that very instant may have come too late for the read). Of a stream that
a checkpoint does not list as behind it says

- by `polled_until` of its domain: every entry that was new at the bank by then is told, late ones aside (those that
  came below one that was there before);
- by `reconciled_until`: every entry is told as it stood then or later, the removed ones as gone.

A stream that it lists as behind is listed with a `polled_until` of its own, of which the first holds.

What a checkpoint counts as quarantined excuses as many entries that nobody could read; a domain in which it counts
something held, or a hole, is excused. Entries that the window may have forgotten are excused from everything but their
creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.second_bank.books import Books, Entry, Feed, Version
from tests.second_bank.surfaces import DOMAIN, LEDGERS, RESOURCE, Facts, stated, telling

Event = Mapping[str, Any]
Key = tuple[str, str]
"""(surface, the bank's id)."""

WINDOW = (50, 500)
WINDOWS = {"nav": (20, 60)}
WINDOW_DAYS = timedelta(days=35)
ENDINGS = {"ConsentExpired", "ConsentRevoked", "LinkClosed"}
RANKED = {*LEDGERS, "nav"}


@dataclass(slots=True)
class Lie:
    """The bank serves something else than the truth of a surface (None: of all), from `since` to `until`."""

    surface: str | None
    since: datetime
    until: datetime | None = None


@dataclass(slots=True)
class _Telling:
    """What an entity is told as."""

    key: Key | None
    facts: Facts | None
    version: int
    after: Any
    """The record as it was told; None: told as removed."""


@dataclass(slots=True)
class Judge:
    """Of one account. `told_at`: when, truly, a checkpoint of that sequence was committed."""

    books: Books
    account_id: str
    lies: Sequence[Lie] = ()
    told_at: Mapping[int, datetime] = field(default_factory=dict)
    claims: int = 0
    """How many claims about an entry were looked at."""
    _sequences: dict[str, int] = field(default_factory=dict)
    _entities: dict[tuple[str, str, str], _Telling] = field(default_factory=dict)
    _by_key: dict[Key, tuple[str, str, str]] = field(default_factory=dict)
    _aside: set[Key] = field(default_factory=set)

    def findings(self, events: Iterable[tuple[str, Event]], *, settled: bool) -> list[str]:
        """What is off, in words; `settled`: everything was read long enough without any fault."""
        found: list[str] = []
        for topic, event in events:
            if event["event_type"] == "Checkpoint":
                found += self._checkpoint(event)
            elif event["account_id"] == self.account_id and topic != "lifecycle":
                found += self._event(topic, event)
            elif event["account_id"] == self.account_id and event["event_type"] in ENDINGS:
                found.append(f"{event['event_type']} {event['sequence']}, though nobody ended anything")
        return [*found, *self._present()] if settled else found

    # ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _event(self, domain: str, event: Event) -> Iterator[str]:
        name = f"{domain} {event['sequence']} ({event['event_type']})"
        if event["sequence"] != self._sequences.get(domain, 0) + 1:
            yield f"{name}: the sequence does not follow {self._sequences.get(domain, 0)}"
        self._sequences[domain] = event["sequence"]
        if event["event_type"] == "StreamClosed":
            yield f"{name}: closed for {event['reason']}, which the bank never said"
        if event["op"] == "s":
            if event["event_type"] in {"EntryBelowFloor", "EntryQuarantined", "EntryReadable"}:
                self._aside.add((_surface(domain, event["resource"]), event["entity_id"].split("/")[-1]))
            return
        entity = (domain, event["resource"], event["entity_id"])
        was = self._entities.get(entity)
        yield from self._identity(name, event, was)
        after = telling(event["after"]) if event["after"] is not None else None
        key, facts = ((after[0], after[1]), after[2]) if after is not None else (was.key if was else None, None)
        self._entities[entity] = _Telling(key, facts, event["entity_version"], event["after"])
        if key is None:
            return
        self._by_key[key] = entity
        feed = self._feed_of(key)
        history = feed.history[key[1]] if feed is not None else []
        if event["op"] == "d":
            if all(version.entry is not None for version in history):
                yield f"{name}: {key[1]} is told as removed, and never was"
        elif not any(facts in _served(key[0], version.entry) for version in history):
            yield f"{name}: {key[1]} is told as {facts}, which it never was"

    def _identity(self, name: str, event: Event, was: _Telling | None) -> Iterator[str]:
        if event["op"] == "r":
            return
        if event["entity_version"] != (was.version if was else 0) + 1:
            yield f"{name}: version {event['entity_version']} after {was.version if was else 0}"
        if event["before"] != (was.after if was else None):
            yield f"{name}: before is not what was told last"
        if (event["op"] == "c") != (was is None or was.after is None):
            yield f"{name}: op {event['op']} of an entity that was {'not ' * (was is None)}told"

    # ── Claims ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _checkpoint(self, event: Event) -> Iterator[str]:
        said = event["after"]["checkpoint"]
        name = f"checkpoint {event['sequence']}"
        true = self.told_at.get(event["sequence"])
        behind = {row["domain"] for row in said["behind"] if row["account_id"] == self.account_id}
        rows = {row["domain"]: row for row in said["domains"]}
        claimed = [*_instants(said), *(one for row in rows.values() for one in _instants(row))]
        if true is not None and any(one > true for one in claimed):
            yield f"{name} claims {max(claimed)}, and it is {true}"
        if not rows and claimed:
            yield f"{name} claims {max(claimed)}, and vouches for no domain"
        for row in said["behind"]:
            if row["account_id"] == self.account_id:
                yield from self._listed(name, row)
        for domain in self._sequences:
            if domain in rows and domain not in behind:
                yield from self._vouched(name, said, rows[domain])

    def _vouched(self, name: str, said: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
        """What is not so of a domain's stream that is not behind, but for what the checkpoint counts."""
        excused = any(_count(said, row, one) for one in ("held", "holes"))
        unreadable: list[str] = []
        for feed in self.books:
            for words, by_quarantine in self._false(feed, row) if DOMAIN[feed.surface] == row["domain"] else ():
                if by_quarantine:
                    unreadable.append(words)
                elif not excused:
                    yield f"{name}: {words}"
        if len(unreadable) > _count(said, row, "quarantined"):
            yield f"{name}: {unreadable[0]} (it cannot be read, and is not counted)"

    def _listed(self, name: str, row: Mapping[str, Any]) -> Iterator[str]:
        """A stream that is behind is listed with the instant up to which its new entries are told."""
        for feed in self.books:
            if DOMAIN[feed.surface] == row["domain"]:
                for words, unreadable in self._false(feed, {"polled_until": row["polled_until"]}):
                    if not unreadable:
                        yield f"{name} (behind: {row['status']}): {words}"

    def _false(self, feed: Feed, row: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
        """The claims of a domain's row about a feed that are not so; True: of an entry that could not be read."""
        polled, reconciled = (self._served(feed, row.get(name)) for name in ("polled_until", "reconciled_until"))
        forgettable = _forgettable(feed)
        for entry_id, versions in feed.history.items():
            told = self._told((feed.surface, entry_id))
            gone = any(version.entry is None for version in versions)
            garbled = any(version.entry is not None and not version.entry.readable for version in versions)
            created = versions[0].at
            if polled is not None and created < polled and entry_id not in feed.late:
                self.claims += 1
                if told is None and not gone:
                    yield f"{feed.surface} {entry_id} was there by {polled}, and is not told", garbled
            if reconciled is None or created >= reconciled or entry_id in forgettable:
                continue
            stood = sum(version.at < reconciled for version in versions)
            since = [version.entry for version in versions[stood - 1 :]]
            self.claims += 1
            if not _fits(feed.surface, told, since):
                unread = any(one is not None and not one.readable for one in since)
                yield f"{feed.surface} {entry_id} is told as it was before {reconciled}, if at all", unread

    def _served(self, feed: Feed, until: datetime | None) -> datetime | None:
        """Up to when the bank had served what a claim is about."""
        if until is None:
            return None
        begun = [
            lie.since
            for lie in self.lies
            if lie.surface in {None, feed.surface} and lie.since <= until and (lie.until is None or until <= lie.until)
        ]
        return min([until, *begun])

    # ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _present(self) -> Iterator[str]:
        """Where what is told in all is not what the bank has."""
        for feed in self.books:
            forgettable = _forgettable(feed)
            for entry_id, versions in feed.history.items():
                key = (feed.surface, entry_id)
                told, present = self._told(key), feed.entries.get(entry_id)
                if entry_id in forgettable and (present is None or key in self._by_key or entry_id in feed.late):
                    continue
                if present is not None and not present.readable:
                    continue
                if not _fits(feed.surface, told, [present]):
                    was = "" if entry_id not in self._aside else " (told as set aside)"
                    yield (
                        f"at the end {feed.surface} {entry_id} is told as {_words(told)}, and is "
                        f"{_words(present and stated(feed.surface, present))} since {versions[-1].at}{was}"
                    )

    def _told(self, key: Key) -> Facts | None:
        """What an entry is told as: None, if it was never told or is told as gone."""
        now = self._entities.get(self._by_key.get(key, ("", "", "")))
        # An entity that goes under another id is not told under this one any more.
        return now.facts if now is not None and now.key == key else None

    def _feed_of(self, key: Key) -> Feed | None:
        return next((feed for feed in self.books if feed.surface == key[0] and key[1] in feed.history), None)


def _fits(surface: str, told: Facts | None, since: Sequence[Entry | None]) -> bool:
    """Whether what is told is one of what an entry was; None: that it is not there."""
    return any(told is None if one is None else told in _served(surface, one) for one in since)


def _served(surface: str, one: Entry | None) -> list[Facts]:
    """What could be understood of an entry."""
    return [] if one is None or not one.readable else [stated(surface, one)]


def _words(facts: Facts | None) -> str:
    return "gone" if facts is None else " ".join(map(str, facts))


def _surface(domain: str, resource: str) -> str:
    kind = resource.split(":", maxsplit=1)[0]
    return next((name for name, read_as in RESOURCE.items() if read_as == kind and DOMAIN[name] == domain), kind)


def _instants(row: Mapping[str, Any]) -> list[datetime]:
    return [row[name] for name in ("polled_until", "reconciled_until") if row.get(name) is not None]


def _count(said: Mapping[str, Any], row: Mapping[str, Any], name: str) -> int:
    """How many of something a checkpoint counts in a domain, whether it says so by domain, as a list, or at all."""
    value = row.get(name, said.get(name, 0))
    return value if isinstance(value, int) else sum(one.get("domain", row["domain"]) == row["domain"] for one in value)


def _forgettable(feed: Feed) -> set[str]:
    """What the window may have forgotten, at the latest by now."""
    if feed.surface not in RANKED:
        return set()
    least, most = WINDOWS.get(feed.surface, WINDOW)
    last = {name: entry for name, versions in feed.history.items() for entry in [_last(versions)] if entry is not None}
    newest_first = sorted(last.values(), key=feed.order, reverse=True)
    newest = max((one.at for one in newest_first if not one.outlier), default=feed.now())
    return {
        one.id
        for rank, one in enumerate(newest_first)
        if rank >= most or (rank >= least and not feed.numbered and one.at < newest - WINDOW_DAYS)
    }


def _last(versions: Sequence[Version]) -> Entry | None:
    return next((version.entry for version in reversed(versions) if version.entry is not None), None)
