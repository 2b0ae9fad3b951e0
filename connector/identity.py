"""Identity: which entity a bank's id names, within one read.

Pure. A bank may show one thing under several ids, one after the other (`replaces`) or for a while side by side. What a
read shows is resolved as a whole, before any of it is believed, so that the order of its entries does not matter.

- An id that another shown entry took over from does not speak: the later one does.
- An entity keeps the first id it was known by; every later one, and every earlier one that the bank names, is an alias.
- Two ids that are shown together and took over from the same third are two entities, whatever was believed before: a
  pending entry may be posted in two parts, and neither may be lost.
- An id that was taken over and stands in the feed later than what took over from it was given away a second time: it
  names another entity, under an id of ours.
- A partial read that shows an earlier id and not the present one proves nothing about which of them holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connector.domains.model import OWN, Entry, Record, Unreadable, bank_entity
from connector.state import EntityState, EntityStatus


@dataclass(frozen=True, slots=True)
class Naming:
    """Who is who in one read.

    `speaking`: id → entity, for every record that is to be believed. `present`: entities that the read shows in
    whatever form. `aliases`: the other ids of every entity that a speaking record is of. `merged`: entities that
    were never readable and turned out to be another one. `detached`: entities that were known as an alias of another
    one so far. `unreadable`: id → entity of entries that cannot be read.
    """

    speaking: Mapping[str, str]
    present: frozenset[str]
    aliases: Mapping[str, tuple[str, ...]]
    merged: frozenset[str]
    detached: frozenset[str]
    unreadable: Mapping[str, str]


def replaced_id(record: Record) -> str | None:
    """The bank's previous id of what this record is of, where it states one."""
    # Not isinstance(record, Replacing): checking a Protocol at run time costs microseconds for every entity known.
    replaces: str | None = getattr(record, "replaces", None)
    if replaces is None:
        return None
    earlier = bank_entity(replaces)
    return earlier if earlier != record.entity_id else None


def again(bank_id: str) -> str:
    """The entity of an id that the bank gives a second time, beside what took over from it."""
    return f"{OWN}again/{bank_id}"


def is_nameless(entity: EntityState) -> bool:
    """True for what stands in state for an entry whose id could not be read."""
    digest = entity.unreadable_digest
    return digest is not None and entity.entity_id == f"?{digest.hex()}"


def resolve(known: Mapping[str, EntityState], entries: Iterable[Entry | Unreadable], *, complete: bool) -> Naming:
    """Resolve every id that a read shows. `complete`: what the read does not show is not in the feed."""
    return _Resolution(known, tuple(entries), complete).naming()


class _Resolution:
    def __init__(
        self, known: Mapping[str, EntityState], entries: tuple[Entry | Unreadable, ...], complete: bool
    ) -> None:
        self.known = known
        self.complete = complete
        self.records = {entry.name: entry.record for entry in entries if isinstance(entry, Entry)}
        self.names = [entry.name for entry in entries if isinstance(entry, Unreadable)]
        self.shown = {*self.records, *self.names}
        self.aliases = {alias: entity.entity_id for entity in known.values() for alias in entity.aliases}
        replaces = {name: earlier for name, record in self.records.items() if (earlier := replaced_id(record))}
        self.replaces = {name: earlier for name, earlier in replaces.items() if not _circular(name, replaces)}
        # An id that was taken over by what is committed, and stands later now, names something else.
        taken_over = {
            earlier: entity
            for entity in known.values()
            if entity.record is not None and (earlier := replaced_id(entity.record)) is not None
        }
        self.reused = {
            name
            for name, entity in taken_over.items()
            if name in self.records
            and (again(name) in known or self.records[name].booking_key.order > entity.key.order)
        }
        self.taken_over = {*self.replaces.values(), *(() if complete else taken_over)} - self.reused

    def naming(self) -> Naming:
        groups: dict[str, list[str]] = {}
        for name in sorted(self.records):
            if name not in self.taken_over:
                groups.setdefault(self._entity(name), []).append(name)
        speaking: dict[str, str] = {}
        detached: dict[str, set[str]] = {}
        for entity_id, names in groups.items():
            if self._is(entity_id, "forgotten"):
                # Nothing of it is believed any more, under whatever name it is shown.
                speaking |= dict.fromkeys(names, entity_id)
                continue
            holder = self._holder(entity_id, names)
            if holder is None:
                continue
            speaking[holder] = entity_id
            for name in names:
                if name != holder and self._is_sibling(name, holder, entity_id):
                    speaking[name] = name
                    detached.setdefault(entity_id, set()).add(name)
        spoken = set(speaking.values())
        merged = {
            name for name in speaking if speaking[name] != name and self._is(name, "live") and name not in self.reused
        }
        unreadable = self._unreadable()
        present = {*groups, *spoken, *unreadable.values()} - merged
        return Naming(
            speaking=speaking,
            present=frozenset(present),
            aliases=self._aliases(speaking, detached),
            merged=frozenset(merged),
            detached=frozenset(name for names in detached.values() for name in names if name in self.aliases),
            unreadable={name: entity_id for name, entity_id in unreadable.items() if entity_id not in spoken},
        )

    def _unreadable(self) -> dict[str, str]:
        """Of several unreadable forms of one entity the present id's counts, so that it is quarantined once."""
        groups: dict[str, list[str]] = {}
        for name in sorted(self.names):
            if name not in self.taken_over:
                groups.setdefault(self._known_as(name), []).append(name)
        return {
            next((name for name in (self._present_id(entity_id), entity_id) if name in names), names[0]): entity_id
            for entity_id, names in groups.items()
        }

    def _present_id(self, entity_id: str) -> str | None:
        entity = self.known.get(entity_id)
        return entity.record.entity_id if entity is not None and entity.record is not None else None

    def _is(self, entity_id: str, status: EntityStatus) -> bool:
        return entity_id in self.known and self.known[entity_id].status == status

    def _known_as(self, name: str) -> str:
        return self.aliases.get(name, name)

    def _earlier(self, name: str) -> tuple[str, ...]:
        """The ids that `name` took over from, nearest first."""
        chain = []
        earlier = self.replaces.get(name)
        while earlier is not None:
            chain.append(earlier)
            earlier = self.replaces.get(earlier)
        return tuple(chain)

    def _entity(self, name: str) -> str:
        """The entity that a shown record is of."""
        if name in self.reused:
            return again(name)
        if name in self.aliases:
            return self.aliases[name]
        own = self.known.get(name)
        if own is not None and (own.status == "forgotten" or (own.status == "live" and own.version > 0)):
            return name
        for earlier in self._earlier(name):
            entity_id = self._known_as(earlier)
            entity = self.known.get(entity_id)
            if entity is not None:
                if entity.status == "forgotten":
                    # What became of it nobody followed: a new id is judged by its own place in the feed.
                    return name
                present_id = self._present_id(entity_id) or earlier
                # An entity is taken over once: what another id holds already is not to be had again.
                return entity_id if present_id in self._earlier(name) else name
        return name

    def _holder(self, entity_id: str, names: list[str]) -> str | None:
        """Which of the ids shown speaks for the entity; None where none of them does."""
        present_id = self._present_id(entity_id)
        if present_id in names:
            came_after = next((name for name in names if self._came_after_the_first(name, entity_id)), None)
            if present_id == entity_id and came_after is not None:
                # The bank shows the first id again, beside one that took over from a later one.
                return came_after
            # Of two entities the one that the id was given to keeps it.
            return entity_id if entity_id in names and self._same_origin(entity_id, present_id) else present_id
        later = next((name for name in names if present_id in self._earlier(name)), None)
        if later is not None:
            return later
        if present_id is not None and (not self.complete or present_id in self.shown):
            # An earlier id, and nothing that says what became of the present one.
            return None
        return entity_id if entity_id in names else names[0]

    def _came_after_the_first(self, name: str, entity_id: str) -> bool:
        """True where `name` took over from an id that the entity had after its first one."""
        return any(self.aliases.get(earlier) == entity_id for earlier in self._earlier(name))

    def _is_sibling(self, name: str, holder: str, entity_id: str) -> bool:
        """True for another entity; false for an earlier id of the same."""
        if name not in self.aliases and name != entity_id:
            return True
        return self._same_origin(name, holder)

    def _same_origin(self, name: str, other: str) -> bool:
        return not set(self._earlier(name)).isdisjoint(self._earlier(other))

    def _aliases(self, speaking: Mapping[str, str], detached: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
        taken = dict(self.aliases)
        aliases: dict[str, tuple[str, ...]] = {}
        for name, entity_id in sorted(speaking.items()):
            if name in self.reused:
                aliases[entity_id] = ()
                continue
            entity = self.known.get(entity_id)
            mine = list(entity.aliases) if entity is not None else []
            for alias in (name, *self._earlier(name)):
                free = taken.get(alias, entity_id) == entity_id and (alias == name or alias not in self.known)
                if alias != entity_id and alias not in mine and free:
                    mine.append(alias)
                    taken[alias] = entity_id
            lost = detached.get(entity_id, set())
            aliases[entity_id] = tuple(alias for alias in mine if alias not in lost)
        return aliases


def _circular(name: str, replaces: Mapping[str, str]) -> bool:
    """True where an id took over, in the end, from itself: the bank's nonsense, which must lose no entry."""
    seen = {name}
    earlier = replaces.get(name)
    while earlier is not None and earlier not in seen:
        seen.add(earlier)
        earlier = replaces.get(earlier)
    return earlier is not None
