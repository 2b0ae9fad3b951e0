"""Observe: (state, read) → what is believed. What a read proves, and what it does not.

Pure. A head read proves what it shows. Only a complete read may claim absence, and only twice in a row; a read in
which the feed moved proves nothing and is begun again. What would change very much at once is suspected on both sides:
many entries that vanish, many that appear among those that were told, and an answer without anything that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum

from connector.domains.model import BookingKey, Entry, Feed, ResourceKind, Unreadable
from connector.domains.transactions import BalanceChain, Transaction
from connector.identity import is_nameless, replaced_id, resolve
from connector.state import EntityState, HeldKind
from connector.window import is_entry

MASS_RATIO = 0.30
MASS_ENTRIES = 20
"""More entries than this, and more than that part of what is known, do not vanish or appear by themselves."""


class Depth(Enum):
    """How much of a resource a read covers."""

    HEAD = "live"
    WHOLE = "snapshot"
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    FILL = "fill"
    """From the newest entry down to where everything was told, in chunks: it closes a gap."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a resource, its pages joined in the feed's own order.

    `complete`: the terminal page was reached and nothing moved while paging. `lower`: the lowest booking key that the
    read speaks of (None: the feed's beginning).
    """

    depth: Depth
    entries: tuple[Entry | Unreadable, ...]
    complete: bool
    lower: BookingKey | None = None

    @property
    def whole(self) -> bool:
        """True where what it does not show is not in the feed: the last chunk of a backfill is a part of it."""
        return self.complete and self.depth in {Depth.WHOLE, Depth.RECONCILE}


@dataclass(frozen=True, slots=True)
class Break:
    """The first place, oldest first, where an IBAN's running balance does not follow."""

    iban: str
    older: str
    newer: str
    expected: Decimal
    stated: Decimal


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What one read showed and a complete one must confirm; lives in memory only.

    `held` says what is too much, or too little, to be believed; `appeared` are the entities that were not taken up for
    it.
    """

    absent: frozenset[str] = frozenset()
    chain: Break | None = None
    held: HeldKind | None = None
    appeared: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.absent) or self.chain is not None or self.held is not None

    def beyond(self, before: Suspicion) -> bool:
        """True where there is more to confirm than `before`: what stays suspected waits for a person."""
        more = not self.absent <= before.absent or self.chain not in {None, before.chain}
        return more or self.held not in {None, before.held}

    @property
    def held_count(self) -> int:
        """How many entries are not believed to be gone, or to be there."""
        return max(len(self.absent), len(self.appeared)) if self.held is not None else 0


NOTHING_SUSPECTED = Suspicion()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a read makes us believe.

    `believed` holds every entity as believed, with the version it is committed with; `below_floor` are entries that
    came up at or below the floor and will never be taken up; `quarantined` those that could not be understood and are
    not yet known as such. `complete`: every entry of the resource was seen and named, and nothing of it is held, so
    that what was not shown is not there.
    """

    believed: Mapping[str, EntityState]
    suspicion: Suspicion
    supersedes: Mapping[str, str] = field(default_factory=dict)
    raw_digests: Mapping[str, bytes] = field(default_factory=dict)
    below_floor: tuple[str, ...] = ()
    quarantined: tuple[Unreadable, ...] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What `observe` needs to know of a resource.

    `swept`: an observation that was `complete` was committed since the first sync, so that every forgotten entry within
    the bounds of reads has left a mark. `joined_to`: up to where everything was told without a gap; `hole`: there is
    one above it.
    """

    kind: ResourceKind
    entities: Mapping[str, EntityState]
    floor: BookingKey | None = None
    bound: BookingKey | None = None
    backfilled: bool = True
    swept: bool = True
    suspicion: Suspicion = NOTHING_SUSPECTED
    joined_to: BookingKey | None = None
    hole: bool = False

    def creatable(self, key: BookingKey) -> bool:
        """May an entry that is not in state be taken up? Not at or below the floor, but for a backfill's remainder."""
        if self.floor is None or key > self.floor:
            return True
        if self.kind.feed is Feed.ASCENDING:
            # Its backfill runs upwards, away from the floor: what is below was committed.
            return False
        return not self.backfilled and (self.bound is None or key < self.bound)


def moved_while_paging(entries: Iterable[Entry | Unreadable]) -> bool:
    """True when one entry was shown twice with other content: the pages are not of one state of the bank.

    Content is what the bank sent: a running balance that shifted is no change of the entry, but the feed moved.
    """
    seen: dict[str, bytes] = {}
    return any(seen.setdefault(entry.name, entry.raw_digest) != entry.raw_digest for entry in entries)


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of what is suspected: `entries` of it by a person's word, and an `emptiness` that has lasted."""

    entries: int = 0
    emptiness: bool = False


NO_TRUST = Trust()


def observe(known: Known, read: Read, trust: Trust = NO_TRUST) -> Observation:
    """What `read` makes us believe about a resource.

    The read must not have moved while paging (`moved_while_paging`).
    """
    sighting = _Sighting(known, read)
    for entry in read.entries:
        sighting.take(entry)
    suspected = replace(known.suspicion, absent=known.suspicion.absent - sighting.present, held=None)
    suspected = replace(suspected, appeared=frozenset())
    nameless = any(isinstance(entry, Unreadable) and entry.entity_id is None for entry in read.entries)
    candidates = [entity for entity in known.entities.values() if entity.status == "live" and is_entry(entity)]
    lowest = _lowest(known, read)
    missing = _missing(candidates, sighting, lowest)
    covered = len(candidates) - _uncovered(candidates, sighting, lowest)
    emptied = covered > 0 and len(missing) == covered and not nameless
    doubted = emptied and not trust.emptiness and len(missing) > trust.entries
    late = sighting.late
    if doubted and _is_mass(len(sighting.fresh), len(candidates), trust):
        # Nothing that is known is shown any more, and much that is not: one and the same, under other ids.
        late |= sighting.fresh
    # Where each answer is the whole value, new parts have any key; that their ids moved shows in what vanishes, too.
    of_feed = known.kind.window is not None or _is_mass(len(missing), len(candidates), trust)
    if late and (doubted or (of_feed and _is_mass(len(late), len(candidates), trust))):
        sighting.withhold(late)
    else:
        late = frozenset()
    if not read.whole:
        held: HeldKind | None = (
            "mass_creation" if late else "emptiness" if doubted and read.depth is Depth.HEAD else None
        )
        return sighting.observation(replace(suspected, held=held, appeared=late))
    return _of_whole(
        known, read, sighting, missing, _Doubt(suspected, late, emptied, doubted, nameless, len(candidates)), trust
    )


@dataclass(frozen=True, slots=True)
class _Doubt:
    """What stands against believing a whole read."""

    suspected: Suspicion
    late: frozenset[str]
    emptied: bool
    doubted: bool
    nameless: bool
    candidates: int


def _of_whole(
    known: Known, read: Read, sighting: _Sighting, missing: frozenset[str], doubt: _Doubt, trust: Trust
) -> Observation:
    """What is gone: what two complete reads in a row did not show, unless that is too much to be true."""
    suspected = doubt.suspected
    # That nothing known is shown was seen before, by the complete read since which it lasts.
    proven = missing if doubt.emptied and trust.emptiness else missing & suspected.absent
    if doubt.nameless:
        # Any of the missing may be the entry whose id could not be read; only raw forms are known to be gone.
        proven = frozenset(name for name in proven if is_nameless(known.entities[name]))
        missing = missing & suspected.absent | {name for name in missing if is_nameless(known.entities[name])}
    held: HeldKind | None = None
    if _is_mass(len(missing), doubt.candidates, trust):
        held = "mass_removal"
    elif doubt.late:
        held = "mass_creation"
    elif doubt.doubted:
        held = "emptiness"
    if held is not None:
        return sighting.observation(Suspicion(missing, known.suspicion.chain, held, doubt.late))
    for entity_id in proven:
        del sighting.believed[entity_id]
    suspicion = Suspicion(absent=missing - proven)
    if known.kind.balance_chain:
        suspicion = replace(suspicion, chain=_believe_chain(known, sighting.believed, read.entries))
    return replace(sighting.observation(suspicion), complete=not doubt.nameless)


def _is_mass(count: int, known: int, trust: Trust) -> bool:
    return count > max(MASS_ENTRIES, trust.entries) and count > MASS_RATIO * known


def _lowest(known: Known, read: Read) -> BookingKey | None:
    """From where on a read shows everything there is: a head read down to its last entry."""
    if read.whole or read.depth is not Depth.HEAD:
        return read.lower
    keys = [key for entry in read.entries if (key := entry.key) is not None]
    if known.kind.feed is Feed.NEWEST_FIRST and keys:
        return min(keys)
    return read.lower


def _missing(candidates: Iterable[EntityState], sighting: _Sighting, lower: BookingKey | None) -> frozenset[str]:
    present = sighting.present | sighting.naming.merged
    return frozenset(
        entity.entity_id
        for entity in candidates
        if entity.entity_id not in present and (lower is None or entity.key >= lower)
    )


def _uncovered(candidates: Iterable[EntityState], sighting: _Sighting, lower: BookingKey | None) -> int:
    """How many of what is known the read neither shows nor speaks of."""
    if lower is None:
        return 0
    return sum(entity.key < lower and entity.entity_id not in sighting.present for entity in candidates)


class _Sighting:
    """Overlays entries on what is known, one at a time."""

    def __init__(self, known: Known, read: Read) -> None:
        self.known = known
        self.read = read
        self.believed: dict[str, EntityState] = dict(known.entities)
        self.supersedes: dict[str, str] = {}
        self.raw_digests: dict[str, bytes] = {}
        self.below_floor: list[str] = []
        self.quarantined: list[Unreadable] = []
        self.late: frozenset[str] = frozenset()
        """Entities that were not known and stand where everything was told."""
        self.fresh: set[str] = set()
        """Entities that were not known, wherever they stand, and are no part of a first sync or of a gap."""
        self.naming = resolve(known.entities, read.entries, complete=read.whole)
        self.present = self.naming.present
        for entity_id in self.naming.merged:
            del self.believed[entity_id]
        newest = max((entity.key for entity in known.entities.values() if is_entry(entity)), default=None)
        # An entry without a key of its own stands where its neighbour does, and one at the top beside the next one.
        self._last_key = newest or next((entry.key for entry in read.entries if entry.key is not None), None)

    def observation(self, suspicion: Suspicion) -> Observation:
        return Observation(
            believed=self.believed,
            suspicion=suspicion,
            supersedes=self.supersedes,
            raw_digests=self.raw_digests,
            below_floor=tuple(self.below_floor),
            quarantined=tuple(self.quarantined),
        )

    def take(self, entry: Entry | Unreadable) -> None:
        if isinstance(entry, Entry):
            self._take_record(entry)
        else:
            self._take_unreadable(entry)

    def _take_record(self, entry: Entry) -> None:
        record = entry.record
        self._last_key = key = entry.key
        entity_id = self.naming.speaking.get(entry.name)
        if entity_id is None:
            # Another id took over from this one: the later one speaks.
            return
        before = self.believed.get(entity_id)
        known_by_name = entity_id in self.naming.detached
        if before is None and not known_by_name and not self.known.creatable(key):
            self._take_below_floor(entity_id, key)
            return
        if before is not None and before.status == "forgotten":
            return
        if before is None and not known_by_name and not self._is_sync:
            self.fresh.add(entity_id)
            if self._is_late(key):
                self.late |= {entity_id}
        replaced = replaced_id(record)
        if replaced is not None:
            self.supersedes[entity_id] = replaced
        self.raw_digests[entity_id] = entry.raw_digest
        self.believed[entity_id] = EntityState(
            entity_id=entity_id,
            version=before.version if before else 0,
            key=key,
            record=record,
            aliases=self.naming.aliases[entity_id],
        )

    @property
    def _is_sync(self) -> bool:
        """A backfill's remainder, and what fills a gap, come as no surprise."""
        return self.read.depth in {Depth.BACKFILL, Depth.FILL} or self.known.hole or not self.known.backfilled

    def _is_late(self, key: BookingKey) -> bool:
        told_to = self.known.joined_to
        return told_to is not None and key <= told_to

    def withhold(self, entity_ids: frozenset[str]) -> None:
        """Take back what was believed of entities that were not known before."""
        for entity_id in entity_ids:
            del self.believed[entity_id]
            self.supersedes.pop(entity_id, None)
            self.raw_digests.pop(entity_id, None)

    def _take_below_floor(self, entity_id: str, key: BookingKey) -> None:
        """Forgotten long ago, or late: the two are told apart only where every forgotten entry left a mark."""
        if not self._within(key):
            return
        if self.known.swept:
            self.below_floor.append(entity_id)
        self.believed[entity_id] = EntityState(entity_id, 0, key, None, "forgotten")

    def _within(self, key: BookingKey) -> bool:
        """True where forgotten entries leave a mark: within the bounds of reads, once there are any."""
        return self.read.depth is not Depth.BACKFILL and (self.read.lower is None or key >= self.read.lower)

    def _take_unreadable(self, entry: Unreadable) -> None:
        entity_id = self.naming.unreadable.get(entry.name)
        if entity_id is None:
            return
        before = self.believed.get(entity_id)
        if before is not None and before.status == "forgotten":
            return
        if before is not None and before.unreadable_digest == entry.raw_digest:
            if before.version == 0 and entry.key is not None:
                # A state that was made anew knows of it, but not where it stands.
                self.believed[entity_id] = replace(before, key=entry.key)
            return
        key = entry.key or (before.key if before else None) or self._last_key or BookingKey(0, "")
        if before is None and not self.known.creatable(key):
            if not self.known.swept and entry.entity_id is not None and self._within(key):
                # Forgotten long ago, as far as one can tell: the mark must be left, readable or not.
                self.believed[entity_id] = EntityState(entity_id, 0, key, None, "forgotten")
            return
        self.quarantined.append(entry)
        if before is not None and before.status == "live":
            self.believed[entity_id] = replace(before, unreadable_digest=entry.raw_digest)
        else:
            version, aliases = (before.version, before.aliases) if before else (0, ())
            digest = entry.raw_digest
            self.believed[entity_id] = EntityState(
                entity_id, version, key, None, aliases=aliases, unreadable_digest=digest
            )


def find_break(entries: Iterable[Entry | Unreadable]) -> tuple[Break | None, bool]:
    """The oldest break of the balance chain over a newest-first feed, and whether the chain is proven elsewhere.

    `balance_after[n] = balance_after[n-1] + amount[n]` over posted entries with a balance, in the feed's own order. An
    entry that could not be read, or whose status is unknown, leaves the chain unproven across it.
    """
    older: Transaction | None = None
    proven = True
    seen: set[str] = set()
    for entry in reversed(tuple(entries)):
        record = entry.record if isinstance(entry, Entry) else None
        if not isinstance(record, Transaction) or record.status not in {"PENDING", "POSTED", "REVERSED"}:
            older, proven = None, False
            continue
        if record.status != "POSTED" or record.transaction_id in seen:
            # An entry may be shown again where two pages meet.
            continue
        seen.add(record.transaction_id)
        if record.balance_after is None:
            older, proven = None, False
            continue
        if older is not None and older.currency != record.currency:
            # The balance is in the account's currency: an amount in another one says nothing about it.
            older, proven = None, False
        if older is not None and older.balance_after is not None:
            expected = older.balance_after + record.amount
            if expected != record.balance_after:
                found = Break(record.iban, older.transaction_id, record.transaction_id, expected, record.balance_after)
                return found, proven
        older = record
    return None, proven


def _believe_chain(
    known: Known, believed: dict[str, EntityState], entries: tuple[Entry | Unreadable, ...]
) -> Break | None:
    """Write a confirmed break, or a healing, into `believed`; answer with a break that a second read must confirm."""
    found, proven = find_break(entries)
    committed = known.entities.get(BalanceChain.ENTITY_ID)
    chain = committed.record if committed is not None else None
    broken = isinstance(chain, BalanceChain) and chain.status == "BROKEN"
    if found is not None:
        if broken and isinstance(chain, BalanceChain) and chain.newer_transaction_id == found.newer:
            return None
        if known.suspicion.chain != found:
            return found
        record = BalanceChain(found.iban, "BROKEN", found.older, found.newer, found.expected, found.stated)
    elif broken and proven and isinstance(chain, BalanceChain):
        record = BalanceChain(chain.iban, "WHOLE", None, None, None, None)
    else:
        return None
    believed[record.entity_id] = EntityState(
        record.entity_id, committed.version if committed else 0, record.booking_key, record
    )
    return None
