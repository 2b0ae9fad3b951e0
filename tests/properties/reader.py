"""A reader of the model bank: observe → diff → apply → let go, and the laws that must hold after every read.

The rules it reads by are injected, so that a test can break one on purpose and see the laws notice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.diff import Change, apply, diff, visible
from connector.domains.loyalty import LOYALTY
from connector.domains.model import BookingKey, Entry, Feed, Record, ResourceKind, Unreadable
from connector.domains.transactions import TRANSACTIONS, Transaction
from connector.events import Event, Provenance, Sighting, change_event, stream_event
from connector.observe import Depth, Known, Observation, Read, Suspicion, Trust, moved_while_paging, observe
from connector.state import EntityState
from connector.window import Kept, let_go, lower_bound
from tests.properties.bank import Bank, Line

PAGE = 4
Entities = dict[str, EntityState]
OBSERVED_AT = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rules:
    """The pure core, piece by piece."""

    observe: Callable[[Known, Read, Trust], Observation] = observe
    diff: Callable[[Entities, Entities], tuple[Change, ...]] = diff  # type: ignore[assignment]
    apply: Callable[[Entities, Iterable[Change]], Entities] = apply
    let_go: Callable[[ResourceKind, BookingKey | None, Entities, frozenset[str]], Kept] = let_go
    lower_bound: Callable[[ResourceKind, BookingKey | None, Iterable[EntityState]], BookingKey | None] = lower_bound
    moved: Callable[[Iterable[Entry | Unreadable]], bool] = moved_while_paging


@dataclass
class Journal:
    """What consumers have: every event so far, and the fold of them. Refuses what no consumer should ever see."""

    events: list[Event] = field(default_factory=list)
    fold: dict[str, Record] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    def append(self, event: Event) -> None:
        assert event.sequence == len(self.events) + 1, "sequence has a gap or a repeat"
        assert event.event_id not in self.ids, f"event id repeated: {event.event_type} of {event.entity_id}"
        self.events.append(event)
        self.ids.add(event.event_id)
        if event.op == "s":
            return
        entity = event.entity_id
        assert event.entity_version == self.versions.get(entity, 0) + 1, f"version of {entity} is not the next"
        self.versions[entity] = event.entity_version
        assert event.before == self.fold.get(entity), f"before of {entity} is not what consumers hold"
        legal = {"c": (False, True), "u": (True, True), "d": (True, False)}[event.op]
        assert (event.before is not None, event.after is not None) == legal, f"illegal {event.op} of {entity}"
        self.named.add(entity)
        if event.after is None:
            del self.fold[entity]
        else:
            self.fold[entity] = event.after
            self.named.add(event.after.entity_id)


class Reader:
    """One resource, read as the runtime reads it, on a bank that goes on living."""

    def __init__(self, kind: ResourceKind, bank: Bank, rules: Rules) -> None:
        self.kind, self.bank, self.rules = kind, bank, rules
        self.domain = TRANSACTIONS if kind.feed is Feed.NEWEST_FIRST else LOYALTY
        self.journal = Journal()
        self.entities: Entities = {}
        self.floor: BookingKey | None = None
        self.bound: BookingKey | None = None
        self.backfilled = False
        self.swept = False
        self.suspicion = Suspicion()
        self.emptied = False
        self.commits = 0
        self.synced: set[str] = set()
        self.quarantined: list[tuple[str | None, bytes]] = []
        self.absent_reads: dict[str, int] = defaultdict(int)

    # ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def lower(self) -> BookingKey | None:
        bound = self.rules.lower_bound(self.kind, self.floor, self.entities.values())
        if self.floor is not None:
            for entity in self.entities.values():
                if entity.status == "live":
                    assert bound is not None
                    assert entity.key >= bound, f"no read will cover {entity.entity_id}"
        if self.kind.feed is not Feed.NEWEST_FIRST or not self.backfilled:
            return bound
        served = self.bank.key(self.bank.served_from)
        return served if bound is None else max(bound, served)

    def lines(self, lower: BookingKey | None) -> list[Line]:
        """The feed as the bank shows it down to `lower`: whether an entry can be read is no matter to the bank."""
        return [x for x in self.bank.shown() if lower is None or self.bank.record(x).booking_key >= lower]

    def entries(self, lower: BookingKey | None) -> list[Entry | Unreadable]:
        return [self.bank.entry(line) for line in self.lines(lower)]

    def head(self, a: int) -> None:
        lower = self.lower()
        entries = self.entries(lower)
        if self.kind.feed is Feed.ASCENDING:
            newest = max((entity.key for entity in self.entities.values()), default=BookingKey(0, ""))
            lines = [line for line in self.bank.shown() if self.bank.record(line).booking_key > newest]
            entries = [self.bank.entry(line) for line in lines]
        self.take(Read(Depth.HEAD, tuple(entries[: 1 + a % 6]), complete=False, lower=lower))

    def sweep(self) -> None:
        lower = self.lower()
        depth = Depth.WHOLE if self.kind.feed is Feed.WHOLE else Depth.RECONCILE
        self.take(Read(depth, tuple(self.entries(lower)), complete=True, lower=lower))

    def cut_short(self, a: int) -> None:
        lower = self.lower()
        entries = self.entries(lower)[: a % 8]
        self.take(Read(Depth.RECONCILE, tuple(entries), complete=False, lower=lower))

    def moving_sweep(self, change: Callable[[], None]) -> None:
        """Two pages that overlap by one line, and a change between them."""
        lower = self.lower()
        lines = self.lines(lower)[:PAGE]
        first = [self.bank.entry(line) for line in lines]
        change()
        border = lines[-1] if lines else None
        rest = self.lines(lower)
        if border is not None:
            key = self.bank.record(border).booking_key
            descending = self.kind.feed is Feed.NEWEST_FIRST
            keyed = [(line, self.bank.record(line).booking_key) for line in rest]
            rest = [line for line, its in keyed if (its <= key if descending else its >= key)]
        entries = (*first, *(self.bank.entry(line) for line in rest))
        now = self.bank.lines.get(border.name) if border is not None else None
        if border is not None and now is not None and now != border and "nameless" not in {border.hidden, now.hidden}:
            assert self.rules.moved(entries), "a feed that moved was taken for one that stood still"
            return
        assert not self.rules.moved(entries), "a feed that stood still was taken for one that moved"
        self.take(Read(Depth.RECONCILE, entries, complete=True, lower=lower))

    def backfill_chunk(self) -> bool:
        """One chunk of the first sync; False once there is nothing left."""
        lines = self.bank.shown()
        keyed = [(self.bank.record(line).booking_key, line) for line in lines]
        if self.kind.feed is Feed.NEWEST_FIRST and self.bound is not None:
            keyed = [(key, line) for key, line in keyed if key < self.bound]
        if self.kind.feed is Feed.ASCENDING and self.entities:
            newest = max(entity.key for entity in self.entities.values())
            keyed = [(key, line) for key, line in keyed if key > newest]
        chunk = keyed[:PAGE]
        if not chunk:
            self.backfilled = True
            return False
        for _key, line in chunk:
            record = self.bank.record(line)
            self.synced |= {record.entity_id} if not line.hidden else set()
        entries = tuple(self.bank.entry(line) for _key, line in chunk)
        self.take(Read(Depth.BACKFILL, entries, complete=len(keyed) <= PAGE))
        lost = self.synced - self.journal.named - self.bank.taken_over
        assert not lost, f"the first sync lost {lost}"
        if self.kind.feed is Feed.NEWEST_FIRST:
            self.bound = chunk[-1][0]
        return True

    # ── One read through the core ───────────────────────────────────────────────────────────────────────────────────

    def take(self, read: Read) -> None:
        known = Known(
            kind=self.kind,
            entities=self.entities,
            floor=self.floor,
            bound=self.bound,
            backfilled=self.backfilled,
            swept=self.swept,
            suspicion=self.suspicion,
        )
        # An emptiness that a complete read has shown is believed by the next one: time is not in this model.
        seen = self.rules.observe(known, read, Trust(emptiness=self.emptied))
        if read.whole:
            self.emptied = seen.suspicion.held == "emptiness"
        changes = self.rules.diff(self.entities, dict(seen.believed))
        apart = {name for entity in self.entities.values() if visible(entity) for name in self._names_of(entity)}
        self._count_absence(read)
        self._check_changes(changes, read)
        self._quarantine(seen)
        self.suspicion = seen.suspicion
        self._commit(changes, seen, read)
        self.swept = self.swept or seen.complete
        self._check_fold(read, apart)

    def _commit(self, changes: tuple[Change, ...], seen: Observation, read: Read) -> None:
        if not changes and not seen.below_floor:
            return
        self.commits += 1
        source = Provenance("app-session", self.kind.backend, "2", "1", read.depth.value)
        sighting = Sighting("acc", self.domain.name, self.kind.name, OBSERVED_AT, "consent", source)
        for change in changes:
            if change.op is not None:
                name = self.domain.name_event(change.op, change.record_before, change.record_after)
                assert name in self.domain.event_types
                sequence = len(self.journal.events) + 1
                event = change_event(sighting, change, sequence=sequence, event_type=name, source=source)
                assert event.after is None or event.after in self.bank.served, "a version the bank never served"
                self.journal.append(event)
        for entity_id in seen.below_floor:
            # What the bank took out and brought back while nobody followed it is new to whoever has bounded memory.
            emitted = entity_id in self.journal.named and entity_id not in self.bank.returned
            assert not emitted, f"below the floor, yet emitted before: {entity_id}"
            sequence = len(self.journal.events) + 1
            self.journal.append(
                stream_event(sighting, "EntryBelowFloor", sequence=sequence, entity_id=entity_id, entity_version=0)
            )
        after = self.rules.apply(self.entities, changes)
        kept = self.rules.let_go(self.kind, self.floor, after, self.suspicion.absent)
        if self.floor is not None:
            assert kept.floor is not None
            assert kept.floor >= self.floor, "the floor fell"
        self.entities, self.floor = kept.entities, kept.floor
        self._check_size()

    # ── Laws ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _names_of(self, entity: EntityState) -> set[str]:
        record = entity.record
        return {entity.entity_id, *entity.aliases, *([record.entity_id] if record else [])}

    def _count_absence(self, read: Read) -> None:
        """How many complete reads in a row an id was not in; a read that shows it begins the count again."""
        names = {entry.record.entity_id if isinstance(entry, Entry) else entry.entity_id for entry in read.entries}
        for name in list(self.absent_reads):
            if name in names:
                self.absent_reads[name] = 0
        if read.complete and None not in names:
            everything = {name for entity in self.entities.values() for name in self._names_of(entity)}
            for name in everything - names:
                self.absent_reads[name] += 1

    def _check_changes(self, changes: tuple[Change, ...], read: Read) -> None:
        keys = [(change.key, change.after.entity_id) for change in changes]
        assert keys == sorted(keys), "changes are not in the order of booking keys"
        shown = {entry.record.entity_id: entry.record for entry in read.entries if isinstance(entry, Entry)}
        taken_over = {record.replaces for record in shown.values() if isinstance(record, Transaction)}
        for change in changes:
            if change.op == "d":
                before = change.before
                assert before is not None
                for name in self._names_of(before):
                    proven = self.absent_reads[name] >= 2 or name in taken_over  # the law says two
                    assert proven, f"{name} was removed without two complete reads that lack it"
            if change.op == "c" and change.before is None and self.floor is not None and change.key <= self.floor:
                remainder = not self.backfilled and self.bound is not None and change.key < self.bound
                known = any(change.after.entity_id in entity.aliases for entity in self.entities.values())
                assert remainder or known, f"created at or below the floor: {change.after.entity_id}"

    def _quarantine(self, seen: Observation) -> None:
        for entry in seen.quarantined:
            name = entry.entity_id or f"?{entry.raw_digest.hex()}"
            held = {alias for entity in self.entities.values() for alias in self._names_of(entity)}
            digests = {entity.unreadable_digest for entity in self.entities.values()}
            known = name in held and entry.raw_digest in digests
            assert not known, f"quarantined again although nothing about it changed: {name}"
            self.quarantined.append((entry.entity_id, entry.raw_digest))

    def _check_size(self) -> None:
        window = self.kind.window
        if window is None:
            return
        bound = self.rules.lower_bound(self.kind, self.floor, self.entities.values())
        counted = 0
        for entity in self.entities.values():
            if entity.status == "forgotten":
                assert bound is not None
                assert entity.key >= bound, f"remembers {entity.entity_id}, which no read will show"
                assert entity.record is None
            elif entity.status == "removed" or (entity.settled and entity.entity_id not in self.suspicion.absent):
                # What one complete read did not show stays until another one has told.
                counted += 1
        assert counted <= window.maximum_entries, "state grows beyond the window"

    def _check_fold(self, read: Read, apart: set[str]) -> None:
        fold = self.journal.fold
        for entity in self.entities.values():
            if entity.status == "live":
                assert fold.get(entity.entity_id) == visible(entity), f"fold and state differ on {entity.entity_id}"
            elif entity.status == "removed":
                assert entity.entity_id not in fold
        # What is forgotten stays in the fold as it was, and nobody follows it.
        held = {record.entity_id for entity in self.entities.values() if (record := visible(entity))}
        for entry in read.entries:
            if isinstance(entry, Entry) and isinstance(entry.record, Transaction):
                record = entry.record
                both = record.replaces in held and record.entity_id in held
                # Two that consumers hold already cannot become one: the earlier leaves by absence.
                assert not both or {record.replaces, record.entity_id} <= apart, (
                    f"both kept: {record.replaces} and {record.entity_id} that took over from it"
                )

    def _forgotten_names(self) -> set[str | None]:
        """Every id that leads to a forgotten entity: nothing of it is followed any more."""
        names: set[str | None] = set()
        for entity in self.entities.values():
            if entity.status == "forgotten":
                names |= self._names_of(entity)
        lines = [*self.bank.gone, *self.bank.lines.values()]
        while more := {line.name for line in lines if line.replaces in names and line.replaces} - names:
            names |= more
        return names

    def check_settled(self) -> None:
        """After enough complete reads of a bank that stands still, consumers hold what the bank holds."""
        self.bank.show_all()
        for _ in range(3):
            self.sweep()
        commits = self.commits
        self.sweep()
        assert self.commits == commits, "an idle read wrote something"
        oldest = self.bank.key(self.bank.served_from) if self.kind.feed is Feed.NEWEST_FIRST else None

        unclear = self.bank.ambiguous() | self._forgotten_names()

        def counts(record: Record) -> bool:
            key = record.booking_key
            if record.entity_id in unclear:
                return False
            return (self.floor is None or key > self.floor) and (oldest is None or key >= oldest)

        bank = {name: record for name, record in self.bank.present().items() if counts(record)}
        fold = {record.entity_id: record for record in self.journal.fold.values() if counts(record)}
        assert len(fold) == sum(map(counts, self.journal.fold.values())), "two entities hold one record"
        assert fold == bank, "the fold of all events is not the bank's present state"
        present = self.bank.present()
        for entity in self.entities.values():
            if entity.status == "live" and entity.record is not None and (oldest is None or entity.key >= oldest):
                if entity.record.entity_id in unclear:
                    continue
                assert present.get(entity.record.entity_id) == entity.record, "an old unsettled entry went stale"
